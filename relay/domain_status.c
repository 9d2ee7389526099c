/* SPDX-License-Identifier: MIT */
#include "relay/domain_status.h"

#include <string.h>

#include "core/arena.h"
#include "core/text.h"

/* How a set of findings stands: right if each of them is, and there is one. */
struct tally {
    size_t count;
    size_t right;
    size_t unknown;
};

static void count(struct tally *tally, const struct domain_finding *finding)
{
    tally->count++;
    tally->right += finding->state == DOMAIN_RIGHT;
    tally->unknown += finding->state == DOMAIN_UNKNOWN;
}

static bool is_right(const struct tally *tally, bool before)
{
    if (tally->right + tally->unknown < tally->count) {
        return false;
    }
    return tally->unknown > 0 ? before : tally->count > 0;
}

static bool is_of_selector(const struct domain_finding *finding,
                           const char *selector)
{
    size_t length = strlen(selector);
    return strncmp(finding->name, selector, length) == 0 &&
           strncmp(finding->name + length, "._domainkey.", 12) == 0;
}

static void count_keys(const struct domain_row *row, const char *state,
                       const struct domain_report *report,
                       struct tally *out_tally)
{
    for (size_t k = 0; k < row->key_count; k++) {
        if (strcmp(row->keys[k].state, state) != 0) {
            continue;
        }
        for (size_t i = 0; i < report->finding_count; i++) {
            const struct domain_finding *finding = &report->findings[i];
            if (finding->subject == DOMAIN_DKIM &&
                is_of_selector(finding, row->keys[k].selector)) {
                count(out_tally, finding);
            }
        }
    }
}

static void count_subject(enum domain_subject subject,
                          const struct domain_report *report,
                          struct tally *out_tally)
{
    for (size_t i = 0; i < report->finding_count; i++) {
        if (report->findings[i].subject == subject) {
            count(out_tally, &report->findings[i]);
        }
    }
}

void domain_status_decide(const struct domain_row *row,
                          const struct domain_status *before,
                          const struct domain_report *report,
                          struct domain_status *out_status)
{
    struct tally signing = { 0 };
    struct tally next = { 0 };
    struct tally comes_back = { 0 };
    struct tally links = { 0 };
    count_keys(row, "signing", report, &signing);
    count_keys(row, "next", report, &next);
    count_subject(DOMAIN_RETURN_PATH, report, &comes_back);
    count_subject(DOMAIN_SPF, report, &comes_back);
    count_subject(DOMAIN_LINK, report, &links);
    out_status->switches = is_right(&next, false);
    out_status->dkim_is_right =
        out_status->switches || is_right(&signing, before->dkim_is_right);
    out_status->return_is_right =
        is_right(&comes_back, before->return_is_right);
    out_status->link_is_right = is_right(&links, before->link_is_right);
}

const char *const *domain_status_next_selectors(
    const struct domain_row *row, const struct domain_status *status,
    struct arena *arena, size_t *out_count)
{
    const char **selectors =
        arena_alloc(arena, (row->key_count + 1) * sizeof(*selectors));
    *out_count = 0;
    for (size_t i = 0; status->switches && i < row->key_count; i++) {
        if (strcmp(row->keys[i].state, "next") == 0) {
            selectors[(*out_count)++] = row->keys[i].selector;
        }
    }
    return selectors;
}
