/* SPDX-License-Identifier: MIT */
#include "relay/domain_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

static const struct domain_key_row keys[] = {
    { "old-rsa", "signing", "" },
    { "old-ed", "signing", "" },
    { "new-rsa", "next", "" },
    { "gone-rsa", "retired", "" },
};

#define FINDINGS_MAX 8

struct sample {
    struct domain_finding findings[FINDINGS_MAX];
    size_t count;
};

static void find(struct sample *sample, enum domain_subject subject,
                 const char *name, enum domain_state state)
{
    assert_true(sample->count < FINDINGS_MAX);
    sample->findings[sample->count++] = (struct domain_finding){
        .subject = subject, .name = name, .state = state
    };
}

static struct domain_status decide(const struct sample *sample,
                                   const struct domain_status *before)
{
    struct domain_row row = { .name = "a.example",
                              .keys = keys,
                              .key_count = ARRAY_LENGTH(keys) };
    struct domain_report report = { .domain = "a.example",
                                    .findings = sample->findings,
                                    .finding_count = sample->count };
    struct domain_status status;
    domain_status_decide(&row, before, &report, &status);
    return status;
}

static const struct domain_status nothing;
static const struct domain_status everything = { true, true, true, false };

static void all_keys_that_sign_have_to_be_there(void **state)
{
    struct sample sample = { 0 };
    (void)state;
    find(&sample, DOMAIN_DKIM, "old-rsa._domainkey.a.example", DOMAIN_RIGHT);
    find(&sample, DOMAIN_DKIM, "old-ed._domainkey.a.example", DOMAIN_MISSING);
    assert_false(decide(&sample, &everything).dkim_is_right);
    sample.findings[1].state = DOMAIN_RIGHT;
    assert_true(decide(&sample, &nothing).dkim_is_right);
    /* A selector that begins like another one is not that one. */
    sample.findings[1].name = "old-edx._domainkey.a.example";
    sample.findings[1].state = DOMAIN_WRONG;
    assert_true(decide(&sample, &nothing).dkim_is_right);
}

static void d6_the_next_keys_sign_once_they_are_there(void **state)
{
    struct sample sample = { 0 };
    (void)state;
    find(&sample, DOMAIN_DKIM, "old-rsa._domainkey.a.example", DOMAIN_RIGHT);
    find(&sample, DOMAIN_DKIM, "old-ed._domainkey.a.example", DOMAIN_RIGHT);
    find(&sample, DOMAIN_DKIM, "new-rsa._domainkey.a.example", DOMAIN_MISSING);
    assert_false(decide(&sample, &nothing).switches);
    sample.findings[2].state = DOMAIN_UNKNOWN;
    assert_false(decide(&sample, &everything).switches);
    sample.findings[2].state = DOMAIN_RIGHT;
    sample.findings[0].state = DOMAIN_MISSING; /* taken away too early */
    assert_true(decide(&sample, &nothing).switches);
    assert_true(decide(&sample, &nothing).dkim_is_right);
}

static void bounces_come_back_if_spf_passes_as_well(void **state)
{
    struct sample sample = { 0 };
    (void)state;
    find(&sample, DOMAIN_RETURN_PATH, "bounce.a.example", DOMAIN_RIGHT);
    assert_true(decide(&sample, &nothing).return_is_right);
    find(&sample, DOMAIN_SPF, "bounce.a.example", DOMAIN_HALF);
    assert_false(decide(&sample, &everything).return_is_right);
    assert_false(decide(&sample, &everything).link_is_right);
}

static void no_answer_changes_nothing(void **state)
{
    struct sample sample = { 0 };
    (void)state;
    find(&sample, DOMAIN_LINK, "click.a.example", DOMAIN_UNKNOWN);
    find(&sample, DOMAIN_RETURN_PATH, "bounce.a.example", DOMAIN_UNKNOWN);
    find(&sample, DOMAIN_SPF, "bounce.a.example", DOMAIN_RIGHT);
    assert_true(decide(&sample, &everything).link_is_right);
    assert_true(decide(&sample, &everything).return_is_right);
    assert_false(decide(&sample, &nothing).link_is_right);
    assert_false(decide(&sample, &nothing).return_is_right);
    /* What is wrong for sure is, whatever else did not answer. */
    sample.findings[2].state = DOMAIN_WRONG;
    assert_false(decide(&sample, &everything).return_is_right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_keys_that_sign_have_to_be_there),
        cmocka_unit_test(d6_the_next_keys_sign_once_they_are_there),
        cmocka_unit_test(bounces_come_back_if_spf_passes_as_well),
        cmocka_unit_test(no_answer_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
