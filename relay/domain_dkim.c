/* SPDX-License-Identifier: MIT */
/* Whether the key of a selector is published. */
#include <string.h>

#include "core/memory.h"
#include "dkim/public_key.h"
#include "dkim/tag_list.h"
#include "relay/domain_check_internal.h"

struct key_place {
    struct inspection *inspection;
    const struct domain_selector *selector;
    const struct dns_answer *alias;
    const struct dns_answer *texts;
    struct dkim_public_key *expected;
    struct domain_finding finding;
};

static void set(struct key_place *place, enum domain_state state,
                const char *advice)
{
    place->finding.state = state;
    place->finding.advice = advice;
}

#define SAY(place, state, ...) \
    set(place, state, arena_printf((place)->inspection->arena, __VA_ARGS__))

/* What is to be entered, for the end of a sentence. */
static const char *publish(const struct key_place *place)
{
    return arena_printf(
        place->inspection->arena, "name \"%s\", %s",
        slip_entered_name(place->inspection, place->finding.name),
        place->selector->cname != NULL
            ? arena_printf(place->inspection->arena, "type CNAME, target %s",
                           place->selector->cname)
            : arena_printf(place->inspection->arena, "type TXT, value %s",
                           place->selector->record));
}

static bool is_expected_key(const struct key_place *place, struct text text)
{
    struct dkim_public_key *key;
    struct error error;
    bool is_equal =
        dkim_public_key_read(text, &key, &error) == DKIM_KEY_USABLE &&
        place->expected != NULL && dkim_public_key_equal(key, place->expected);
    dkim_public_key_free(&key);
    return is_equal;
}

static bool is_in_test(struct text text)
{
    struct dkim_public_key *key;
    struct error error;
    bool is_testing =
        dkim_public_key_read(text, &key, &error) == DKIM_KEY_USABLE &&
        dkim_public_key_is_testing(key);
    dkim_public_key_free(&key);
    return is_testing;
}

/* The key is there. */
static void judge_right_key(struct key_place *place, struct text text)
{
    if (place->texts->count > 1) {
        SAY(place, DOMAIN_HALF,
            "The right key is there, but %zu TXT records stand at %s, and a "
            "receiver may read another one: delete all but ours.",
            place->texts->count, place->finding.name);
    } else if (is_in_test(text)) {
        SAY(place, DOMAIN_HALF,
            "The key is right, but t=y says that it is only tested: receivers "
            "treat such mail as if it were not signed. Remove \"t=y;\".");
    } else {
        SAY(place, DOMAIN_RIGHT, "The key is published.");
    }
}

/* Several TXT records whose texts in some order are the one expected. */
static bool is_cut_into_records(const struct key_place *place)
{
    const struct dns_answer *texts = place->texts;
    bool is_cut = false;
    for (size_t first = 0; texts->count == 2 && first < 2; first++) {
        struct buffer joined = { 0 };
        buffer_append_text(&joined, texts->records.texts[first].text);
        buffer_append_text(&joined, texts->records.texts[1 - first].text);
        is_cut |= is_expected_key(place, buffer_text(&joined));
        buffer_free(&joined);
    }
    return is_cut;
}

/* The base64 that stands in p=, without blanks. */
static void append_p(struct text record, struct buffer *out)
{
    struct text value;
    (void)tag_find(record, "p", &value);
    tag_append_unfolded(value, out);
}

/* Whether the key begins as ours and ends early. */
static bool is_cut_off(const struct key_place *place, struct text text)
{
    struct buffer found = { 0 };
    struct buffer wanted = { 0 };
    append_p(text, &found);
    append_p(text_of(place->selector->record), &wanted);
    bool is_cut = found.length >= 16 && found.length < wanted.length &&
                  memcmp(found.data, wanted.data, found.length) == 0;
    buffer_free(&found);
    buffer_free(&wanted);
    return is_cut;
}

/* One TXT record, and it is not ours. */
static void judge_wrong_text(struct key_place *place, struct text text)
{
    struct dkim_public_key *key;
    struct error error;
    const char *name = place->finding.name;
    enum dkim_key_state state = dkim_public_key_read(text, &key, &error);
    bool is_ours_in_quotes =
        slip_has_quotes(text) &&
        is_expected_key(place,
                        text_of(slip_without_quotes(place->inspection, text)));
    dkim_public_key_free(&key);
    if (is_ours_in_quotes) {
        SAY(place, DOMAIN_WRONG,
            "There are quotes or backslashes inside the record at %s: enter it "
            "without them, your DNS provider adds what is needed.",
            name);
    } else if (is_cut_off(place, text)) {
        SAY(place, DOMAIN_WRONG,
            "The record at %s is cut off after %zu characters. Enter the whole "
            "record; if the form takes 255 characters at most, split it into "
            "two strings of one record: \"first part\" \"second part\".",
            name, text.length);
    } else if (state == DKIM_KEY_REVOKED) {
        SAY(place, DOMAIN_WRONG,
            "The key at %s is revoked (its p= is empty). Replace the record "
            "with: %s",
            name, publish(place));
    } else if (state == DKIM_KEY_ABSENT) {
        SAY(place, DOMAIN_WRONG,
            "There is a TXT record at %s, but it has no key in it. Replace it "
            "with: %s",
            name, publish(place));
    } else if (state == DKIM_KEY_UNUSABLE) {
        SAY(place, DOMAIN_WRONG,
            "There is a TXT record at %s, but receivers cannot use it: %s. "
            "Replace it with: %s",
            name, error.text, publish(place));
    } else {
        SAY(place, DOMAIN_WRONG,
            "There is a TXT record at %s, but its p= is another key. Replace "
            "it with: %s",
            name, publish(place));
    }
}

static void judge_texts(struct key_place *place)
{
    const struct dns_answer *texts = place->texts;
    for (size_t i = 0; i < texts->count; i++) {
        if (is_expected_key(place, texts->records.texts[i].text)) {
            judge_right_key(place, texts->records.texts[i].text);
            return;
        }
    }
    const char *cname = place->selector->cname;
    if (cname != NULL && slip_is_txt_for_cname(texts, cname)) {
        SAY(place, DOMAIN_WRONG,
            "A TXT record stands at %s where a CNAME belongs: delete it and "
            "enter the same value as a CNAME.",
            place->finding.name);
    } else if (is_cut_into_records(place)) {
        SAY(place, DOMAIN_WRONG,
            "The key at %s is split into %zu TXT records. It must be one "
            "record: enter both parts in one, one directly after the other.",
            place->finding.name, texts->count);
    } else if (texts->count > 1) {
        SAY(place, DOMAIN_WRONG,
            "%zu TXT records stand at %s, and none is our key. Delete them and "
            "enter: %s",
            texts->count, place->finding.name, publish(place));
    } else {
        judge_wrong_text(place, texts->records.texts[0].text);
    }
}

/* There is a CNAME, and behind it no key of ours. */
static void judge_alias(struct key_place *place)
{
    const char *target = place->alias->records.names[0].host;
    const char *cname = place->selector->cname;
    if (cname == NULL) {
        SAY(place, DOMAIN_WRONG,
            "A CNAME stands at %s where a TXT record belongs: delete it and "
            "enter: %s",
            place->finding.name, publish(place));
    } else if (strcmp(target, cname) == 0) {
        SAY(place, DOMAIN_HALF,
            "The CNAME is right, but there is no right key at its target %s. "
            "That is not yours to repair: it is the sending service's.",
            cname);
    } else if (slip_is_completed(place->inspection, target, cname)) {
        SAY(place, DOMAIN_WRONG,
            "Your DNS provider has added the domain to the target: %s. Enter "
            "the target with a dot at its end: %s.",
            target, cname);
    } else {
        SAY(place, DOMAIN_WRONG,
            "The CNAME at %s leads to %s. Change its target to %s",
            place->finding.name, target, cname);
    }
}

static void judge_missing(struct key_place *place)
{
    SAY(place, DOMAIN_MISSING,
        "There is no record at %s yet. Enter at your DNS provider: %s",
        place->finding.name, publish(place));
    (void)slip_explain_missing(place->inspection, DNS_TYPE_TXT,
                               &place->finding);
}

static void judge(struct key_place *place)
{
    bool has_key = false;
    for (size_t i = 0; i < place->texts->count; i++) {
        has_key |= is_expected_key(place, place->texts->records.texts[i].text);
    }
    if (!has_key && (place->texts->status == DNS_TEMPORARY ||
                     place->alias->status == DNS_TEMPORARY)) {
        SAY(place, DOMAIN_UNKNOWN,
            "The DNS servers of %s did not answer; this says nothing about the "
            "record.",
            place->finding.name);
    } else if (!has_key && place->alias->count > 0) {
        judge_alias(place);
    } else if (place->texts->count > 0) {
        judge_texts(place);
    } else {
        judge_missing(place);
    }
}

void inspect_dkim(struct inspection *inspection,
                  const struct domain_selector *selector)
{
    struct arena *arena = inspection->arena;
    struct error error;
    struct key_place place = { .inspection = inspection, .selector = selector };
    place.finding.subject = DOMAIN_DKIM;
    place.finding.name =
        arena_printf(arena, "%s._domainkey.%s", selector->selector,
                     inspection->expected->domain);
    place.alias =
        inspection_ask(inspection, DNS_TYPE_CNAME, place.finding.name);
    place.texts = inspection_ask(inspection, DNS_TYPE_TXT, place.finding.name);
    if (inspection->is_waiting) {
        return;
    }
    place.finding.expected =
        selector->cname != NULL
            ? arena_printf(arena, "CNAME %s", selector->cname)
            : arena_printf(arena, "TXT %s", selector->record);
    place.finding.found =
        inspection_join(inspection, inspection_show(inspection, place.alias),
                        inspection_show(inspection, place.texts));
    if (dkim_public_key_read(text_of(selector->record), &place.expected,
                             &error) == DKIM_KEY_USABLE) {
        judge(&place);
    } else {
        SAY(&place, DOMAIN_UNKNOWN,
            "There is no usable key for the selector %s here: %s.",
            selector->selector, error.text);
    }
    dkim_public_key_free(&place.expected);
    inspection_add(inspection, &place.finding);
}
