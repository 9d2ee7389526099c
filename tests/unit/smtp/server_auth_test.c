/* SPDX-License-Identifier: MIT */
/* Tests of smtp/server_auth.c. */
#include "smtp/server.h"

#include "core/encoding.h"
#include "tests/unit/smtp/server_harness.h"

#define MAIL "MAIL FROM:<a@sender.example>\r\n"
#define AUTH_LINE_OCTETS ((size_t)12288) /* RFC 4954 4.b */
/* NUL user NUL secret */
#define PLAIN_RIGHT "AHVzZXIAc2VjcmV0"
#define PLAIN_WRONG "AHVzZXIAd3Jvbmc="

/* In one session, in order, until one succeeds. */
static void mistakes_have_their_codes(void **state)
{
    static const struct exchange rows[] = {
        { MAIL, "530 5.7.0 Authentication required\r\n" },
        { "AUTH\r\n", "504 5.5.4" },
        { "AUTH CRAM-MD5\r\n", "504 5.5.4" },
        { "AUTH PLAIN !!!\r\n", "501 5.5.2" },
        { "AUTH PLAIN AHVzZXIAc2VjcmV0=\r\n", "501 5.5.2" },
        { "AUTH PLAIN =\r\n", "501 5.5.2" },
        { "AUTH PLAIN dXNlcg==\r\n", "501 5.5.2" }, /* no NUL */
        { "AUTH PLAIN AHVzZXIAc2VjAHJldA==\r\n", "501 5.5.2" }, /* three */
        { "AUTH PLAIN b3RoZXIAdXNlcgBzZWNyZXQ=\r\n", "535 5.7.8" },
        { "AUTH PLAIN " PLAIN_WRONG "\r\n", "535 5.7.8" },
        { "AUTH PLAIN\r\n", "334 \r\n" },
        { "*\r\n", "501 5.7.0" },
        { "AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n" },
        { "*\r\n", "501 5.7.0" },
        { "AUTH LOGIN dXNlcg==\r\n", "334 UGFzc3dvcmQ6\r\n" },
        { "*\r\n", "501 5.7.0" },
        { "AUTH LOGIN =\r\n", "501 5.5.2" },
        { "AUTH LOGIN\r\n", "334 " },
        { "dXNlcg==\r\n", "334 " },
        { "d3Jvbmc=\r\n", "535 5.7.8" },
        { "AUTH PLAIN AGRvd24Ac2VjcmV0\r\n", "454 4.7.0" },
        { "AUTH PLAIN AHRocm90dGxlZABzZWNyZXQ=\r\n", "454 4.7.0" },
        { MAIL, "530 5.7.0 Authentication required\r\n" },
        { "auth plain " PLAIN_RIGHT "\r\n", "235 2.7.0" },
        { "AUTH PLAIN " PLAIN_RIGHT "\r\n", "503 5.5.1" },
        { "STARTTLS\r\n", "503 5.5.1" },
        { MAIL, "250 2.1.0" },
        { "AUTH PLAIN " PLAIN_RIGHT "\r\n", "503 5.5.1" },
    };
    struct harness *harness = *state;
    harness_set_limit("errors_per_session", 100);
    harness->policy.auth_in_clear = true;
    harness->policy.auth_required = true;
    harness_say_hello(harness);
    TALK(harness, rows);
    assert_string_equal(harness->facts->auth_user, "user");
}

static void not_inside_a_transaction(void **state)
{
    struct harness *harness = *state;
    harness->policy.auth_in_clear = true;
    harness_say_hello(harness);
    harness_exchange(harness, MAIL "AUTH PLAIN " PLAIN_RIGHT "\r\n",
                     "250 |503 5.5.1");
    harness_exchange(harness, "RSET\r\nAUTH PLAIN " PLAIN_RIGHT "\r\n",
                     "250 |235 2.7.0");
}

static void not_in_clear(void **state)
{
    struct harness *harness = *state;
    harness->policy.tls = SMTP_TLS_OPTIONAL;
    harness_say_hello(harness);
    harness_exchange(harness, "AUTH PLAIN " PLAIN_RIGHT "\r\n", "538 5.7.11");
    assert_int_equal(harness->auth_count, 0);
}

static const struct login {
    const char *lines;
    const char *expect;
} logins[] = {
    { "AUTH PLAIN " PLAIN_RIGHT "\r\n", "235 2.7.0" },
    { "AUTH PLAIN dXNlcgB1c2VyAHNlY3JldA==\r\n", "235 2.7.0" }, /* own id */
    { "AUTH PLAIN\r\n" PLAIN_RIGHT "\r\n", "334 |235 2.7.0" },
    { "AUTH LOGIN\r\ndXNlcg==\r\nc2VjcmV0\r\n", "334 |334 |235 2.7.0" },
    { "AUTH LOGIN dXNlcg==\r\nc2VjcmV0\r\n", "334 |235 2.7.0" },
};

static void logins_succeed(void **state)
{
    struct harness *harness = *state;
    harness->policy.auth_in_clear = true;
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(logins); i++) {
        const struct login *login = &logins[i / 2];
        harness->answers_later = i % 2 == 1;
        harness_say_hello(harness);
        harness_exchange(harness, login->lines, login->expect);
        assert_string_equal(harness->user, "user");
        assert_string_equal(harness->password, "secret");
        harness_exchange(harness,
                         MAIL "RCPT TO:<b@good.example>\r\nDATA\r\n"
                              "x\r\n.\r\n",
                         "250 |250 |354 |250 ");
        assert_string_equal(harness->protocol, "ESMTPA");
        assert_null(strstr(harness->transcript, "c2VjcmV0"));
        assert_null(strstr(harness->transcript, PLAIN_RIGHT));
        assert_non_null(strstr(harness->transcript, "< AUTH ***\n"));
    }
}

/* What was sent ahead waits for the verdict. */
static void input_waits_for_the_verdict(void **state)
{
    struct harness *harness = *state;
    harness->policy.auth_in_clear = true;
    harness->policy.auth_required = true;
    harness->answers_later = true;
    harness_say_hello(harness);
    harness_exchange(harness, "AUTH PLAIN " PLAIN_WRONG "\r\n" MAIL "NOOP\r\n",
                     "535 5.7.8|530 5.7.0|250 ");
    harness_exchange(harness, "AUTH PLAIN " PLAIN_RIGHT "\r\n" MAIL "NOOP\r\n",
                     "235 2.7.0|250 2.1.0|250 ");
}

/* 12288 octets of base64 are 9216: NUL, user, NUL and a long password. */
static void send_long_login(struct harness *harness, size_t encoded_length,
                            bool is_initial)
{
    struct buffer plain = { 0 };
    struct buffer line = { 0 };
    size_t prefix = is_initial ? strlen("AUTH PLAIN ") : 0;
    size_t length = (encoded_length - prefix) / 4 * 3;
    buffer_append(&plain, "\0user\0", 6);
    while (plain.length < length) {
        buffer_append_byte(&plain, 'p');
    }
    if (is_initial) {
        buffer_append_string(&line, "AUTH PLAIN ");
    }
    base64_encode(buffer_text(&plain), &line);
    buffer_append_string(&line, "\r\n");
    harness_send(harness, buffer_text(&line));
    buffer_free(&plain);
    buffer_free(&line);
}

static void long_lines_are_taken(void **state)
{
    struct harness *harness = *state;
    harness->policy.auth_in_clear = true;
    harness_say_hello(harness);
    harness_exchange(harness, "AUTH PLAIN\r\n", "334 ");
    send_long_login(harness, AUTH_LINE_OCTETS, false);
    harness_expect(harness, "535 5.7.8");
    assert_int_equal(harness->auth_count, 1);
    send_long_login(harness, AUTH_LINE_OCTETS, true);
    harness_expect(harness, "535 5.7.8");
    assert_int_equal(harness->auth_count, 2);
    harness_exchange(harness, "AUTH PLAIN\r\n", "334 ");
    send_long_login(harness, AUTH_LINE_OCTETS + 4, false);
    harness_expect(harness, "500 5.5.6");
    harness_exchange(harness, "AUTH PLAIN\r\n", "334 ");
    send_long_login(harness, 40000, false);
    harness_expect(harness, "500 5.5.6");
    harness_exchange(harness, "NOOP\r\n", "250 2.0.0");
    assert_int_equal(harness->auth_count, 2);
}

static void bare_line_ends_cancel(void **state)
{
    struct harness *harness = *state;
    harness->policy.auth_in_clear = true;
    harness_say_hello(harness);
    harness_exchange(harness,
                     "AUTH PLAIN\r\n" PLAIN_RIGHT "\n" PLAIN_RIGHT "\r\n"
                     "NOOP\r\n",
                     "334 |500 5.5.2|250 2.0.0");
    assert_int_equal(harness->auth_count, 0);
}

static bool has_no_session(struct harness *harness)
{
    return smtp_server_session_count(harness->server) == 0;
}

static void client_leaves_during_the_penalty(void **state)
{
    struct harness *harness = *state;
    harness_set_limit("auth_delay", 15000);
    harness->policy.auth_in_clear = true;
    harness_say_hello(harness);
    stream_write_text(harness->client,
                      TEXT_LITERAL("AUTH PLAIN " PLAIN_WRONG "\r\n"));
    stream_close(&harness->client);
    harness_run_until(harness, has_no_session);
    assert_int_equal(harness->auth_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST("A5: mistakes have their codes", mistakes_have_their_codes),
        SERVER_TEST("A5: not inside a transaction", not_inside_a_transaction),
        SERVER_TEST("A4: not in clear", not_in_clear),
        SERVER_TEST("A5: logins succeed", logins_succeed),
        SERVER_TEST("A5: input waits for the verdict",
                    input_waits_for_the_verdict),
        SERVER_TEST("A6: long lines are taken", long_lines_are_taken),
        SERVER_TEST("S1: bare line ends cancel", bare_line_ends_cancel),
        SERVER_TEST("client leaves during the penalty",
                    client_leaves_during_the_penalty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
