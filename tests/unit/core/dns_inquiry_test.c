/* SPDX-License-Identifier: MIT */
/* Tests of core/dns_inquiry.c: a function is run again until it has every
 * answer, and what one run asks is asked at once. */
#include "core/dns_inquiry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "tests/unit/inquiry_rig.h"

static const struct zone_row zone[] = {
    { "a.test", DNS_TYPE_TXT, 0, "b.test" },
    { "b.test", DNS_TYPE_TXT, 0, "c.test" },
    { "c.test", DNS_TYPE_A, 0, "192.0.2.1" },
    { "c.test", DNS_TYPE_AAAA, 0, "2001:db8::1" },
    { "m.test", DNS_TYPE_MX, 0, "10 c.test" },
    { "alias.test", DNS_TYPE_CNAME, 0, "c.test" },
    { "fail.test", DNS_TYPE_TXT, 2, NULL },
    { "silent.test", DNS_TYPE_TXT, -1, NULL },
};

struct steps {
    int run_count;
    char last[DNS_HOST_MAX + 1];
    enum dns_status status;
};

/* Follow texts from name to name. */
static bool follow(void *owner, struct dns_inquiry *inquiry)
{
    struct steps *steps = owner;
    char name[DNS_HOST_MAX + 1] = "a.test";
    steps->run_count++;
    for (;;) {
        const struct dns_answer *answer =
            dns_inquiry_ask(inquiry, DNS_TYPE_TXT, name);
        if (answer == NULL) {
            return false;
        }
        if (answer->count == 0) {
            break;
        }
        struct text text = answer->records.texts[0].text;
        assert_true(text.length <= DNS_HOST_MAX);
        memcpy(name, text.data, text.length);
        name[text.length] = '\0';
    }
    memcpy(steps->last, name, sizeof(name));
    return true;
}

static void answers_lead_to_questions(void **state)
{
    struct inquiry_rig rig;
    struct steps steps = { 0 };
    (void)state;
    inquiry_rig_open(&rig, zone, ARRAY_LENGTH(zone));
    inquiry_rig_run(&rig, follow, &steps);
    assert_string_equal(steps.last, "c.test");
    assert_int_equal(steps.run_count, 4);
    assert_int_equal(rig.server.query_count, 3);
    inquiry_rig_close(&rig);
}

static bool ask_all(void *owner, struct dns_inquiry *inquiry)
{
    struct steps *steps = owner;
    const struct dns_answer *answers[] = {
        dns_inquiry_ask(inquiry, DNS_TYPE_A, "c.test"),
        dns_inquiry_ask(inquiry, DNS_TYPE_AAAA, "C.Test"),
        dns_inquiry_ask(inquiry, DNS_TYPE_MX, "m.test"),
        dns_inquiry_ask(inquiry, DNS_TYPE_CNAME, "alias.test"),
        dns_inquiry_ask(inquiry, DNS_TYPE_A, "C.TEST"), /* the first again */
        dns_inquiry_ask(inquiry, DNS_TYPE_TXT, "fail.test"),
        dns_inquiry_ask(inquiry, DNS_TYPE_TXT, "gone.test"),
    };
    steps->run_count++;
    for (size_t i = 0; i < ARRAY_LENGTH(answers); i++) {
        if (answers[i] == NULL) {
            return false;
        }
    }
    assert_int_equal(answers[0]->count, 1);
    assert_int_equal(answers[1]->count, 1);
    assert_string_equal(answers[2]->records.exchangers[0].host, "c.test");
    assert_string_equal(answers[3]->records.names[0].host, "c.test");
    assert_ptr_equal(answers[4], answers[0]);
    assert_int_equal(answers[5]->status, DNS_TEMPORARY);
    assert_int_equal(answers[6]->status, DNS_NO_NAME);
    return true;
}

static void questions_of_one_run_go_together(void **state)
{
    struct inquiry_rig rig;
    struct steps steps = { 0 };
    (void)state;
    inquiry_rig_open(&rig, zone, ARRAY_LENGTH(zone));
    inquiry_rig_run(&rig, ask_all, &steps);
    assert_int_equal(steps.run_count, 2);
    inquiry_rig_close(&rig);
}

static bool never(void *owner, struct dns_inquiry *inquiry)
{
    (void)owner;
    (void)inquiry;
    fail_msg("a freed inquiry was run");
    return true;
}

static bool ask_silence(void *owner, struct dns_inquiry *inquiry)
{
    struct steps *steps = owner;
    steps->run_count++;
    return dns_inquiry_ask(inquiry, DNS_TYPE_TXT, "silent.test") != NULL;
}

/* Its question is on its way when the loop stops. */
static bool ask_and_stop(void *owner, struct dns_inquiry *inquiry)
{
    struct inquiry_rig *rig = owner;
    assert_null(dns_inquiry_ask(inquiry, DNS_TYPE_TXT, "b.test"));
    loop_stop(rig->loop);
    return false;
}

static void stop(void *owner)
{
    struct inquiry_rig *rig = owner;
    loop_stop(rig->loop);
}

static void freed_inquiries_do_not_run(void **state)
{
    struct inquiry_rig rig;
    struct steps steps = { 0 };
    struct timer timer = { 0 };
    (void)state;
    inquiry_rig_open(&rig, zone, ARRAY_LENGTH(zone));
    /* Before its first run. */
    struct dns_inquiry *inquiry =
        dns_inquiry_start(rig.loop, rig.resolver, never, NULL);
    dns_inquiry_free(&inquiry);
    assert_null(inquiry);
    dns_inquiry_free(&inquiry);
    /* While it waits. */
    inquiry = dns_inquiry_start(rig.loop, rig.resolver, ask_silence, &steps);
    timer_start(&timer, rig.loop, 50, stop, &rig);
    loop_run(rig.loop);
    assert_int_equal(steps.run_count, 1);
    dns_inquiry_free(&inquiry);
    /* Before an answer that comes. */
    inquiry = dns_inquiry_start(rig.loop, rig.resolver, ask_and_stop, &rig);
    loop_run(rig.loop);
    dns_inquiry_free(&inquiry);
    inquiry_rig_run(&rig, follow, &steps);
    assert_string_equal(steps.last, "c.test");
    inquiry_rig_close(&rig);
}

static void answers_can_be_told(void **state)
{
    struct dns_inquiry *inquiry = dns_inquiry_start(NULL, NULL, never, NULL);
    char name[] = "b.test";
    char text[] = "end.test";
    struct dns_txt txt = { text_of(text), 1 };
    struct dns_answer answer = { .type = DNS_TYPE_TXT,
                                 .status = DNS_FOUND,
                                 .count = 1 };
    (void)state;
    answer.records.texts = &txt;
    dns_inquiry_tell(inquiry, name, &answer);
    memset(name, 'x', sizeof(name) - 1); /* it has copies */
    memset(text, 'x', sizeof(text) - 1);
    const struct dns_answer *told =
        dns_inquiry_ask(inquiry, DNS_TYPE_TXT, "B.test");
    assert_int_equal(told->count, 1);
    assert_true(text_is(told->records.texts[0].text, "end.test"));
    told = dns_inquiry_ask(inquiry, DNS_TYPE_A, "b.test");
    assert_int_equal(told->status, DNS_NO_NAME);
    assert_int_equal(told->count, 0);
    dns_inquiry_free(&inquiry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_lead_to_questions),
        cmocka_unit_test(questions_of_one_run_go_together),
        cmocka_unit_test(freed_inquiries_do_not_run),
        cmocka_unit_test(answers_can_be_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
