/* SPDX-License-Identifier: MIT */
/* D9: DMARC records, the walk up the tree and alignment (RFC 9989). */
#include "dkim/dmarc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/log.h"
#include "core/memory.h"
#include "tests/unit/inquiry_rig.h"

#define TXT DNS_TYPE_TXT

static const struct {
    const char *text;
    bool is_usable;
    enum dmarc_policy policies[3]; /* p, sp, np */
    char psd;
    const char *remark;
} record_cases[] = {
    { "v=DMARC1; p=none", true, { 0, 0, 0 }, 'u', "" },
    { "v=DMARC1;p=reject;", true, { 2, 2, 2 }, 'u', "" },
    { "v = DMARC1 ; p = Quarantine", true, { 1, 1, 1 }, 'u', "" },
    { "v=DMARC1; p=reject; sp=none", true, { 2, 0, 0 }, 'u', "" },
    { "v=DMARC1; p=none; np=reject", true, { 0, 0, 2 }, 'u', "" },
    { "v=DMARC1; p=reject; sp=quarantine; np=none",
      true,
      { 2, 1, 0 },
      'u',
      "" },
    { "v=DMARC1; p=none; psd=y", true, { 0, 0, 0 }, 'y', "" },
    { "v=DMARC1; p=none; psd=N", true, { 0, 0, 0 }, 'n', "" },
    { "v=DMARC1; p=none; psd=x", true, { 0, 0, 0 }, 'u', "" },
    /* pct, rf and ri are gone, as is what nobody knows. */
    { "v=DMARC1; p=reject; pct=0; rf=afrf; ri=1; x=y; z",
      true,
      { 2, 2, 2 },
      'u',
      "" },
    { "v=DMARC1; rua=mailto:a@b.test",
      true,
      { 0, 0, 0 },
      'u',
      "p= is missing" },
    { "v=DMARC1", true, { 0, 0, 0 }, 'u', "p= is missing" },
    { "v=DMARC1; p=all", false, { 0, 0, 0 }, 'u', "p=all is no policy" },
    { "v=DMARC1; p=all; rua=mailto:a@b.test",
      true,
      { 0, 0, 0 },
      'u',
      "p=all is no policy" },
    { "v=DMARC1; p=reject; sp=x; rua=mailto:a@b.test",
      true,
      { 0, 0, 0 },
      'u',
      "sp=x is no policy" },
    { "v=DMARC1; p=reject; np=x",
      false,
      { 0, 0, 0 },
      'u',
      "np=x is no policy" },
    { "v=DMARC1; p=all; rua=a@b.test", false, { 0, 0, 0 }, 'u', "p=all" },
    { "v=DMARC1; p=all; rua=x:y, mailto:a@b.test",
      true,
      { 0, 0, 0 },
      'u',
      "p=all" },
    { "v=dmarc1; p=none", false, { 0, 0, 0 }, 'u', "does not begin" },
    { "v=DMARC2; p=none", false, { 0, 0, 0 }, 'u', "does not begin" },
    { "v=DMARC1p=none", false, { 0, 0, 0 }, 'u', "does not begin" },
    { "p=none; v=DMARC1", false, { 0, 0, 0 }, 'u', "does not begin" },
    { " v=DMARC1; p=none", false, { 0, 0, 0 }, 'u', "does not begin" },
    { ";v=DMARC1; p=none", false, { 0, 0, 0 }, 'u', "does not begin" },
    { "", false, { 0, 0, 0 }, 'u', "does not begin" },
};

static void records_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(record_cases); i++) {
        struct dmarc_record record;
        struct error error;
        bool is_usable =
            dmarc_read(text_of(record_cases[i].text), &record, &error);
        bool is_remark =
            record_cases[i].remark[0] == '\0'
                ? error.text[0] == '\0'
                : strstr(error.text, record_cases[i].remark) != NULL;
        if (is_usable != record_cases[i].is_usable || !is_remark ||
            (is_usable &&
             (record.policy != record_cases[i].policies[0] ||
              record.subdomain_policy != record_cases[i].policies[1] ||
              record.missing_policy != record_cases[i].policies[2] ||
              record.psd != record_cases[i].psd))) {
            fail_msg("%s: %d, p=%s sp=%s np=%s, %s", record_cases[i].text,
                     is_usable, dmarc_policy_text(record.policy),
                     dmarc_policy_text(record.subdomain_policy),
                     dmarc_policy_text(record.missing_policy), error.text);
        }
    }
}

static void other_tags_are_read(void **state)
{
    struct dmarc_record record;
    struct error error;
    (void)state;
    assert_true(dmarc_read(text_of("v=DMARC1; p=none; adkim=s; aspf=S; t=y; "
                                   "rua=mailto:a@b.test!10m,mailto:c@d.test; "
                                   "ruf=mailto:e@f.test; fo=d:s"),
                           &record, &error));
    assert_true(record.is_dkim_strict);
    assert_true(record.is_spf_strict);
    assert_true(record.is_testing);
    assert_true(text_is(record.rua, "mailto:a@b.test!10m,mailto:c@d.test"));
    assert_true(text_is(record.ruf, "mailto:e@f.test"));
    assert_true(text_is(record.fo, "d:s"));
    assert_true(dmarc_read(text_of("v=DMARC1; p=none; adkim=x; aspf=; t=1"),
                           &record, &error));
    assert_false(record.is_dkim_strict);
    assert_false(record.is_spf_strict);
    assert_false(record.is_testing);
    assert_int_equal(record.rua.length, 0);
}

static const struct zone_row zone[] = {
    { "_dmarc.shop.test", TXT, 0,
      "v=DMARC1; p=reject; sp=quarantine; np=none" },
    { "sub.shop.test", DNS_TYPE_A, 0, "192.0.2.1" },
    { "_dmarc.own.shop.test", TXT, 0, "v=DMARC1; p=none" },
    { "_dmarc.unit.shop.test", TXT, 0, "v=DMARC1; p=none; psd=n" },
    { "_dmarc.bank.test", TXT, 0, "v=DMARC1; p=reject; psd=y; sp=none" },
    { "_dmarc.a.b.c.d.e.f.g.deep.test", TXT, 0, "v=DMARC1; p=reject" },
    { "_dmarc.c.d.e.f.g.deep.test", TXT, 0, "v=DMARC1; p=reject" },
    { "_dmarc.two.test", TXT, 0, "v=DMARC1; p=reject" },
    { "_dmarc.two.test", TXT, 0, "v=DMARC1; p=none" },
    { "_dmarc.mixed.test", TXT, 0, "v=DMARC1; p=quarantine" },
    { "_dmarc.mixed.test", TXT, 0, "v=spf1 -all" },
    { "_dmarc.fail.test", TXT, 2, NULL },
    { "_dmarc.bad.test", TXT, 0, "v=DMARC1; p=bad" },
    { "_dmarc.alias.test", DNS_TYPE_CNAME, 0, "_dmarc.shop.test" },
};

static const struct {
    const char *domain;
    enum dmarc_status status;
    const char *policy_domain;
    const char *organization;
    enum dmarc_policy policy;
    unsigned query_count;
} walk_cases[] = {
    { "shop.test", DMARC_FOUND, "shop.test", "shop.test", DMARC_REJECT, 2 },
    { "sub.shop.test", DMARC_FOUND, "shop.test", "shop.test", DMARC_QUARANTINE,
      3 },
    { "gone.shop.test", DMARC_FOUND, "shop.test", "shop.test", DMARC_NONE, 3 },
    { "own.shop.test", DMARC_FOUND, "own.shop.test", "shop.test", DMARC_NONE,
      3 },
    { "a.own.shop.test", DMARC_FOUND, "shop.test", "shop.test", DMARC_NONE, 4 },
    { "unit.shop.test", DMARC_FOUND, "unit.shop.test", "unit.shop.test",
      DMARC_NONE, 1 },
    { "a.unit.shop.test", DMARC_FOUND, "unit.shop.test", "unit.shop.test",
      DMARC_NONE, 2 },
    /* Under a public suffix (psd=y) the organization is one label below. */
    { "my.bank.test", DMARC_FOUND, "bank.test", "my.bank.test", DMARC_NONE, 2 },
    { "a.b.my.bank.test", DMARC_FOUND, "bank.test", "my.bank.test", DMARC_NONE,
      4 },
    { "bank.test", DMARC_FOUND, "bank.test", "bank.test", DMARC_REJECT, 1 },
    { "none.test", DMARC_MISSING, "", "none.test", DMARC_NONE, 2 },
    { "a.b.none.test", DMARC_MISSING, "", "a.b.none.test", DMARC_NONE, 4 },
    /* Names of more than eight labels: the walk goes on at the seventh. */
    { "a.b.c.d.e.f.g.deep.test", DMARC_FOUND, "a.b.c.d.e.f.g.deep.test",
      "c.d.e.f.g.deep.test", DMARC_REJECT, 8 },
    { "z.y.x.a.b.c.d.e.f.g.deep.test", DMARC_FOUND, "c.d.e.f.g.deep.test",
      "c.d.e.f.g.deep.test", DMARC_REJECT, 8 },
    { "two.test", DMARC_SEVERAL, "", "two.test", DMARC_NONE, 2 },
    { "mixed.test", DMARC_FOUND, "mixed.test", "mixed.test", DMARC_QUARANTINE,
      2 },
    { "fail.test", DMARC_TEMPORARY, "", "fail.test", DMARC_NONE, 2 },
    { "bad.test", DMARC_UNUSABLE, "bad.test", "bad.test", DMARC_NONE, 2 },
    { "alias.test", DMARC_FOUND, "alias.test", "alias.test", DMARC_REJECT, 2 },
    { "", DMARC_MISSING, "", "", DMARC_NONE, 0 },
};

struct run {
    const char *domain;
    const char *other;
    bool is_strict;
    bool is_aligned;
    struct dmarc_discovery discovery;
};

static bool discover(void *owner, struct dns_inquiry *inquiry)
{
    struct run *run = owner;
    return dmarc_discover(inquiry, run->domain, &run->discovery);
}

static bool align(void *owner, struct dns_inquiry *inquiry)
{
    struct run *run = owner;
    return dmarc_align(inquiry, run->domain, run->other, run->is_strict,
                       &run->is_aligned);
}

static void the_tree_is_walked(void **state)
{
    struct inquiry_rig rig;
    (void)state;
    inquiry_rig_open(&rig, zone, ARRAY_LENGTH(zone));
    for (size_t i = 0; i < ARRAY_LENGTH(walk_cases); i++) {
        struct run run = { .domain = walk_cases[i].domain };
        const struct dmarc_discovery *found = &run.discovery;
        inquiry_rig_run(&rig, discover, &run);
        if (found->status != walk_cases[i].status ||
            strcmp(found->policy_domain, walk_cases[i].policy_domain) != 0 ||
            strcmp(found->organization, walk_cases[i].organization) != 0 ||
            found->policy != walk_cases[i].policy ||
            found->query_count != walk_cases[i].query_count) {
            fail_msg("%s: %d at \"%s\" of \"%s\", %s after %u, %s", run.domain,
                     (int)found->status, found->policy_domain,
                     found->organization, dmarc_policy_text(found->policy),
                     found->query_count, found->reason.text);
        }
    }
    inquiry_rig_close(&rig);
}

static void domains_align(void **state)
{
    static const struct {
        const char *domain;
        const char *other;
        bool is_relaxed;
        bool is_strict;
    } rows[] = {
        { "shop.test", "shop.test", true, true },
        { "shop.test", "bounce.shop.test", true, false },
        { "bounce.shop.test", "shop.test", true, false },
        { "a.shop.test", "b.shop.test", true, false },
        { "own.shop.test", "shop.test", true, false },
        { "unit.shop.test", "shop.test", false, false },
        { "unit.shop.test", "a.unit.shop.test", true, false },
        { "a.bank.test", "b.bank.test", false, false },
        { "x.a.bank.test", "a.bank.test", true, false },
        { "shop.test", "notshop.test", false, false },
        { "shop.test", "none.test", false, false },
        /* Without any record each name is its own organization. */
        { "none.test", "a.none.test", false, false },
        { "shop.test", "", false, false },
    };
    struct inquiry_rig rig;
    (void)state;
    inquiry_rig_open(&rig, zone, ARRAY_LENGTH(zone));
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(rows); i++) {
        struct run run = { .domain = rows[i / 2].domain,
                           .other = rows[i / 2].other,
                           .is_strict = i % 2 == 1 };
        inquiry_rig_run(&rig, align, &run);
        if (run.is_aligned !=
            (run.is_strict ? rows[i / 2].is_strict : rows[i / 2].is_relaxed)) {
            fail_msg("%s and %s: %d, strict %d", run.domain, run.other,
                     run.is_aligned, run.is_strict);
        }
    }
    inquiry_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read),
        cmocka_unit_test(other_tags_are_read),
        { "D9: the tree is walked", the_tree_is_walked, NULL, NULL, NULL },
        cmocka_unit_test(domains_align),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
