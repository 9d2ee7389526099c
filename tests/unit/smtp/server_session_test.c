/* SPDX-License-Identifier: MIT */
/* Tests of smtp/server_session.c, server.c and server_verbs.c. */
#include "smtp/server.h"

#include "core/tls.h"
#include "tests/unit/core/test_certificate.h"
#include "tests/unit/smtp/server_harness.h"

#define MAIL "MAIL FROM:<a@sender.example>\r\n"
#define RCPT "RCPT TO:<b@good.example>\r\n"

static void order_of_commands(void **state)
{
    static const struct exchange rows[] = {
        { "", "220 mx.example ESMTP Baton\r\n" },
        { MAIL, "503 5.5.1" },
        { "RCPT TO:<b@good.example>\r\n", "503 5.5.1" },
        { "DATA\r\n", "503 5.5.1" },
        { "RSET\r\n", "250 2.0.0" },
        { "NOOP hello\r\n", "250 2.0.0" },
        { "HELP\r\n", "214-2.0.0" },
        { "VRFY bob\r\n", "252 2.0.0" },
        { "EHLO\r\n", "501 5.5.4" },
        { "helo client.example\r\n", "250 mx.example\r\n" },
        { MAIL, "250 2.1.0" },
        { MAIL, "503 5.5.1" },
        { "EHLO client.example\r\n", "250-mx.example\r\n" },
        { RCPT, "503 5.5.1" }, /* a second greeting resets */
        { MAIL, "250 2.1.0" },
        { "DATA\r\n", "503 5.5.1" },
        { "DATA now\r\n", "501 5.5.4" },
        { RCPT, "250 2.1.5" },
        { "VRFY bob\r\n", "252 2.0.0" },
        { "RSET\r\n", "250 2.0.0" },
        { RCPT, "503 5.5.1" },
        { "QUIT\r\n", "221 2.0.0|!" },
    };
    harness_connect(*state);
    TALK(*state, rows);
}

static void refusals_have_their_codes(void **state)
{
    static const struct exchange rows[] = {
        { "FOO\r\n", "500 5.5.1" },
        { "\r\n", "500 5.5.2" },
        { "EXPN staff\r\n", "502 5.5.1" },
        { "VRFY\r\n", "501 5.5.4" },
        { "STARTTLS\r\n", "502 5.5.1" },
        { "MAIL\r\n", "501 5.5.4" },
        { "MAIL FROM\r\n", "501 5.5.4" },
        { "MAIL FROM:a@b.example\r\n", "501 5.1.7" },
        { "MAIL FROM:<a>\r\n", "501 5.1.7" },
        { "MAIL FROM:<a@b.example>SIZE=1\r\n", "501 5.1.7" },
        { "MAIL FROM:<a@b.example> FOO=1\r\n", "555 5.5.4" },
        { "MAIL FROM:<a@refused.example>\r\n", "550 5.7.1" },
        { "MAIL FROM:<\xc3\xa4@b.example>\r\n", "553 5.6.7" },
        { "MAIL FROM:<a@b.example> SIZE=52428801\r\n", "552 5.3.4" },
        { "MAIL FROM: <a@b.example> \r\n", "250 2.1.0" },
        { "RCPT TO:<>\r\n", "501 5.1.3" },
        { "RCPT TO:<b>\r\n", "501 5.1.3" },
        { "RCPT TO:<\xc3\xa4@b.example>\r\n", "553 5.6.7" },
        { "RCPT TO:<b@refused.example>\r\n", "550 5.1.1" },
        { "RCPT TO:<b@later.example>\r\n", "451 4.0.0" },
        { "DATA\r\n", "554 5.5.1" },
        { "RCPT TO:<postmaster>\r\n", "250 2.1.5" },
        { "QUIT\r\n", "221 2.0.0|!" },
    };
    harness_set_limit("errors_per_session", 100);
    harness_say_hello(*state);
    TALK(*state, rows);
}

static void parameters_need_ehlo(void **state)
{
    static const struct exchange rows[] = {
        { "HELO client.example\r\n", "250 mx.example" },
        { "MAIL FROM:<a@b.example> SIZE=1\r\n", "555 5.5.4" },
        { "AUTH PLAIN\r\n", "503 5.5.1" },
        { "MAIL FROM:<a@b.example>\r\n", "250 2.1.0" },
        { RCPT, "250 2.1.5" },
        { "DATA\r\n", "354 " },
        { "x\r\n.\r\n", "250 2.0.0" },
    };
    struct harness *harness = *state;
    harness->policy.auth_in_clear = true;
    harness_connect(harness);
    harness_expect(harness, "220 ");
    TALK(harness, rows);
    assert_string_equal(harness->protocol, "SMTP");
}

static void ehlo_says_what_is_there(void **state)
{
    struct harness *harness = *state;
    harness_set_limit("recipients_per_message", 123);
    harness_set_limit("messages_per_session", 45);
    harness->policy.auth_in_clear = true;
    harness_connect(harness);
    harness_expect(harness, "220 ");
    harness_exchange(harness, "EHLO client.example\r\n",
                     "250-mx.example\r\n250-PIPELINING\r\n"
                     "250-SIZE 52428800\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
                     "250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-DSN\r\n"
                     "250-AUTH PLAIN LOGIN\r\n"
                     "250 LIMITS RCPTMAX=123 MAILMAX=45\r\n");
}

static void limits_are_enforced_as_announced(void **state)
{
    struct harness *harness = *state;
    harness_set_limit("recipients_per_message", 100);
    harness_set_limit("messages_per_session", 2);
    harness_say_hello(harness);
    harness_exchange(harness, MAIL, "250 ");
    for (int i = 0; i < 100; i++) {
        harness_exchange(harness, RCPT, "250 2.1.5");
    }
    harness_exchange(harness, RCPT, "452 4.5.3");
    harness_exchange(harness, "DATA\r\nx\r\n.\r\n", "354 |250 ");
    assert_int_equal(harness->recipient_count, 100);
    harness_exchange(harness, MAIL "RSET\r\n", "250 |250 ");
    harness_exchange(harness, MAIL, "421 4.7.0|!");
}

static void pipelined_commands_are_answered_in_order(void **state)
{
    struct harness *harness = *state;
    harness_say_hello(harness);
    harness_exchange(
        harness,
        MAIL RCPT "RCPT TO:<b@refused.example>\r\n"
                  "RCPT TO:<c@later.example>\r\n" RCPT "DATA\r\n"
                  "Subject: x\r\n\r\nbody\r\n.\r\n" MAIL
                  "RCPT TO:<b@refused.example>\r\nDATA\r\nNOOP\r\nQUIT\r\n",
        "250 2.1.0|250 2.1.5|550 5.1.1|451 4|250 2.1.5|354 |250 2.0.0|"
        "250 2.1.0|550 5.1.1|554 5.5.1|250 2.0.0|221 2.0.0|!");
    assert_int_equal(harness->message_count, 1);
    assert_int_equal(harness->recipient_count, 2);
    assert_string_equal(harness->data.data, "Subject: x\r\n\r\nbody\r\n");
    assert_string_equal(harness->protocol, "ESMTP");
}

/* A recipient's answer may take time; the order stays. */
static void recipients_are_answered_later(void **state)
{
    struct harness *harness = *state;
    harness_say_hello(harness);
    harness_exchange(harness,
                     MAIL "RCPT TO:<b@asked.example>\r\n" RCPT
                          "RCPT TO:<x@asked.example>\r\n"
                          "RCPT TO:<c@refused.example>\r\n"
                          "RCPT TO:<c@asked.example>\r\nDATA\r\n"
                          "x\r\n.\r\n" MAIL
                          "RCPT TO:<x@asked.example>\r\nDATA\r\nQUIT\r\n",
                     "250 2.1.0|250 2.1.5|250 2.1.5|550 5.7.1|550 5.1.1|"
                     "250 2.1.5|354 |250 2.0.0|250 2.1.0|550 5.7.1|554 5.5.1|"
                     "221 2.0.0|!");
    assert_int_equal(harness->recipient_count, 3);
}

static void one_byte_at_a_time(void **state)
{
    struct harness *harness = *state;
    harness_connect(harness);
    harness->bytes_per_write = 1;
    harness_exchange(harness,
                     "EHLO c.example\r\n" MAIL RCPT "DATA\r\n"
                     "..dot\r\n...\r\n.\r\nQUIT\r\n",
                     "220 |250-mx|250 |250 |354 |250 2.0.0|221 |!");
    assert_string_equal(harness->data.data, ".dot\r\n..\r\n");
}

static void early_talk_is_pipelined_input(void **state)
{
    struct harness *harness = *state;
    harness_connect(harness);
    stream_write_text(harness->client, TEXT_LITERAL("EHLO early.example\r\n"));
    harness_expect(harness, "220 |250-mx.example");
}

static void bare_line_ends_in_commands(void **state)
{
    static const struct exchange rows[] = {
        { "NOOP\nNOOP\r\n", "500 5.5.2" },
        { "NOOP\r\n", "250 2.0.0" },
        { "\nMAIL FROM:<evil@a.example>\r\n", "500 5.5.2" },
        { "NOOP\rNOOP\r\n", "500 5.5.2" },
        { "NOOP\r\r\n", "500 5.5.2" },
        { "MAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\r\n", "500 5.5.2" },
        { "RCPT TO:<c@d.example>\r\n", "503 5.5.1" },
        { "QUIT\r\n", "221 2.0.0|!" },
    };
    harness_say_hello(*state);
    TALK(*state, rows);
    harness_say_hello(*state);
    harness_send(*state, (struct text){ "NOOP\0x\r\nNOOP\r\n", 14 });
    harness_expect(*state, "500 5.5.2|250 2.0.0");
    assert_int_equal(((struct harness *)*state)->mail_count, 0);
}

/* Each is followed by a NOOP whose reply must be the next one. */
static void over_long_lines_are_skipped(void **state)
{
    static const size_t lengths[] = { 4097, 5000, 12289, 70000, 300000 };
    struct harness *harness = *state;
    harness_say_hello(harness);
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        char *line = memory_alloc(lengths[i] + 1);
        memset(line, 'x', lengths[i]);
        memcpy(line, "NOOP ", 5);
        harness_send(harness, text_of(line));
        harness_exchange(harness, "\r\nNOOP\r\n", "500 5.5.2|250 2.0.0");
        memory_free(line);
    }
    char *line = memory_alloc(4097);
    memset(line, 'x', 4096);
    memcpy(line, "NOOP ", 5);
    harness_send(harness, text_of(line));
    harness_exchange(harness, "\r\nNOOP\r\n", "250 2.0.0|250 2.0.0");
    memory_free(line);
}

static void too_many_errors_end_it(void **state)
{
    struct harness *harness = *state;
    harness_set_limit("errors_per_session", 3);
    harness_say_hello(harness);
    harness_exchange(harness, MAIL, "250 ");
    for (int i = 0; i < 10; i++) { /* refused recipients are no mistakes */
        harness_exchange(harness, "RCPT TO:<b@refused.example>\r\n", "550 ");
    }
    harness_exchange(harness, "FOO\r\nFOO\r\nFOO\r\nNOOP\r\n",
                     "500 |500 |500 |421 4.7.0|!");
}

static void null_sender_and_utf8(void **state)
{
    struct harness *harness = *state;
    harness_say_hello(harness);
    harness_exchange(harness, "MAIL FROM:<>\r\n" RCPT "DATA\r\nx\r\n.\r\n",
                     "250 |250 |354 |250 ");
    assert_string_equal(harness->sender, "");
    harness_exchange(harness,
                     "MAIL FROM:<\xc3\xa4@\xc3\xa4.example> SMTPUTF8\r\n"
                     "RCPT TO:<\xc3\xb6@good.example>\r\n"
                     "DATA\r\n\xc3\xa4\r\n.\r\n",
                     "250 |250 |354 |250 ");
    assert_true(harness->is_smtputf8 && harness->has_8bit);
    assert_string_equal(harness->sender, "\xc3\xa4@\xc3\xa4.example");
    assert_string_equal(harness->protocol, "UTF8SMTP");
}

static void handler_refuses_a_session(void **state)
{
    struct harness *harness = *state;
    smtp_reply_set(&harness->session_refusal, 554, "5.7.1", "Go away");
    harness_connect(harness);
    harness_expect(harness, "554 5.7.1 Go away\r\n|!");
    assert_int_equal(smtp_server_session_count(harness->server), 0);
}

static void sessions_are_limited(void **state)
{
    struct harness *harness = *state;
    struct stream *others[2];
    harness_set_limit("sessions_per_address", 2);
    for (size_t i = 0; i < 2; i++) {
        harness_connect_from(harness, i == 0 ? "2001:db8::1" : "2001:db8::2");
        harness_expect(harness, "220 ");
        others[i] = harness->client;
        harness->client = NULL;
    }
    harness_connect_from(harness, "2001:db8::3"); /* the same /64 */
    harness_expect(harness, "421 4.7.0|!");
    harness_connect_from(harness, "2001:db8:0:1::3");
    harness_exchange(harness, "QUIT\r\n", "220 |221 |!");
    stream_close(&others[0]);
    harness_connect_from(harness, "203.0.113.1");
    harness_expect(harness, "220 ");
    harness_connect_from(harness, "2001:db8::3");
    harness_expect(harness, "220 ");
    harness_set_limit("sessions_per_worker", 1);
    harness_connect_from(harness, "203.0.113.9");
    harness_expect(harness, "421 4.7.0|!");
    stream_close(&others[1]);
}

static void silence_ends_it(void **state)
{
    struct harness *harness = *state;
    harness_set_limit("idle_timeout", 20);
    harness_say_hello(harness);
    harness_expect(harness, "421 4.4.2|!");
    harness_set_limit("idle_timeout", 20000);
    harness_set_limit("data_timeout", 20);
    harness_say_hello(harness);
    harness_exchange(harness, MAIL RCPT "DATA\r\nhalf",
                     "250 |250 |354 |421 4.4.2|!");
    harness_set_limit("data_timeout", 20000);
    harness_set_limit("message_timeout", 20);
    harness_say_hello(harness);
    harness_exchange(harness, MAIL RCPT "DATA\r\nhalf",
                     "250 |250 |354 |421 4.4.2|!");
}

static void proxy_header_comes_first(void **state)
{
    struct harness *harness = *state;
    char peer[NETWORK_TEXT_SIZE];
    harness->policy.proxy_protocol = true;
    harness_connect(harness);
    harness_exchange(harness,
                     "PROXY TCP4 198.51.100.7 192.0.2.1 56324 25\r\n"
                     "EHLO c.example\r\n",
                     "220 |250-mx");
    assert_string_equal(network_address_text(&harness->facts->peer, peer),
                        "198.51.100.7");
    harness_connect(harness);
    harness_exchange(harness, "EHLO c.example\r\n", "!");
    harness_set_limit("handshake_timeout", 20);
    harness_connect(harness);
    harness_exchange(harness, "PROXY ", "!");
}

static void note_drained(void *owner)
{
    struct harness *harness = owner;
    harness->is_drained = true;
}

static bool is_drained(struct harness *harness)
{
    return harness->is_drained;
}

static void draining_lets_transactions_end(void **state)
{
    struct harness *harness = *state;
    harness_say_hello(harness);
    struct stream *idle = harness->client;
    stream_pause(idle);
    harness->client = NULL;
    harness_say_hello(harness);
    harness_exchange(harness, MAIL RCPT, "250 |250 ");
    smtp_server_drain(harness->server, note_drained, harness);
    assert_int_equal(smtp_server_session_count(harness->server), 1);
    assert_false(harness->is_drained);
    harness_exchange(harness, "DATA\r\nx\r\n.\r\n",
                     "354 |250 2.0.0|421 4.3.2|!");
    assert_int_equal(harness->message_count, 1);
    harness_run_until(harness, is_drained);
    harness_connect(harness);
    harness_expect(harness, "421 4.3.2|!");
    stream_close(&idle);
}

static bool has_no_session(struct harness *harness)
{
    return smtp_server_session_count(harness->server) == 0;
}

static bool is_asking(struct harness *harness)
{
    return harness->message_count == 1;
}

static void client_leaves_while_its_message_is_pending(void **state)
{
    struct harness *harness = *state;
    harness->never_answers = true;
    harness_say_hello(harness);
    harness_exchange(harness, MAIL RCPT "DATA\r\n", "250 |250 |354 ");
    harness_send(harness, TEXT_LITERAL("x\r\n.\r\nNOOP\r\n"));
    harness_run_until(harness, is_asking);
    assert_int_equal(harness->sessions_ended, 0);
    stream_close(&harness->client);
    harness_run_until(harness, has_no_session);
    assert_int_equal(harness->sessions_ended, 1);
}

#define NOOP_COUNT 100000
#define NOOP_REPLY "250 2.0.0 Ok\r\n"

static bool has_all_noop_replies(struct harness *harness)
{
    return harness->received.length == NOOP_COUNT * (sizeof(NOOP_REPLY) - 1);
}

/* A client that reads slowly gets its replies as it reads. */
static void replies_do_not_pile_up(void **state)
{
    struct harness *harness = *state;
    harness_say_hello(harness);
    struct buffer noops = { 0 };
    for (int i = 0; i < NOOP_COUNT; i++) {
        buffer_append_string(&noops, "NOOP\r\n");
    }
    harness_send(harness, buffer_text(&noops));
    buffer_free(&noops);
    harness_run_until(harness, has_all_noop_replies);
}

/* --- TLS --- */

struct tls_pair {
    struct test_certificate files;
    struct tls_context *server;
    struct tls_context *client;
};

static void make_tls(struct tls_pair *out_pair)
{
    struct error error;
    assert_true(test_certificate_make(&out_pair->files, HARNESS_HOST));
    out_pair->server = tls_server_context_create(
        out_pair->files.certificate_path, out_pair->files.key_path, &error);
    out_pair->client = tls_client_context_create(TLS_VERIFY_NONE, NULL, &error);
    assert_non_null(out_pair->server);
    assert_non_null(out_pair->client);
}

static void free_tls(struct tls_pair *pair)
{
    tls_context_free(&pair->server);
    tls_context_free(&pair->client);
    test_certificate_remove(&pair->files);
}

static bool offers(struct harness *harness, const char *keyword)
{
    harness_send(harness, TEXT_LITERAL("EHLO client.example\r\n"));
    char *reply = harness_take_reply(harness);
    bool is_offered = strstr(reply, keyword) != NULL;
    memory_free(reply);
    return is_offered;
}

static void tls_forgets_what_was_before(void **state)
{
    struct harness *harness = *state;
    struct tls_pair pair;
    make_tls(&pair);
    smtp_server_set_tls(harness->server, pair.server);
    harness->policy.tls = SMTP_TLS_OPTIONAL;
    harness_connect(harness);
    harness_expect(harness, "220 ");
    assert_true(offers(harness, "STARTTLS"));
    assert_false(offers(harness, "AUTH"));
    harness_exchange(harness, MAIL RCPT, "250 |250 ");
    harness_exchange(harness, "STARTTLS\r\n", "220 Ready");
    harness_start_tls(harness, pair.client);
    harness_exchange(harness, RCPT MAIL, "503 5.5.1|503 5.5.1");
    assert_true(harness->facts->is_tls);
    assert_string_equal(harness->facts->helo_name, "");
    assert_false(offers(harness, "STARTTLS"));
    assert_true(offers(harness, "AUTH PLAIN LOGIN"));
    harness_exchange(harness, "STARTTLS\r\n", "503 5.5.1");
    harness_exchange(harness, MAIL RCPT "DATA\r\nx\r\n.\r\n",
                     "250 |250 |354 |250 ");
    assert_string_equal(harness->protocol, "ESMTPS");
    free_tls(&pair);
}

static void nothing_is_smuggled_behind_starttls(void **state)
{
    static const char *const tails[] = { MAIL, "x", "\r\n", "QUIT\r\n" };
    struct harness *harness = *state;
    struct tls_pair pair;
    make_tls(&pair);
    smtp_server_set_tls(harness->server, pair.server);
    harness->policy.tls = SMTP_TLS_OPTIONAL;
    for (size_t i = 0; i < ARRAY_LENGTH(tails); i++) {
        harness_say_hello(harness);
        harness_send(harness, TEXT_LITERAL("STARTTLS\r\n"));
        harness_send(harness, text_of(tails[i]));
        harness_expect(harness, "554 5.5.1|!");
    }
    assert_int_equal(harness->mail_count, 0);
    free_tls(&pair);
}

static void required_tls_is_required(void **state)
{
    static const struct exchange rows[] = {
        { "VRFY bob\r\n", "530 5.7.0" },
        { "NOOP\r\n", "250 2.0.0" },
        { "AUTH PLAIN\r\n",
          "530 5.7.0 Must issue a STARTTLS command first\r\n" },
        { MAIL, "530 5.7.0 Must issue a STARTTLS command first\r\n" },
        { "STARTTLS now\r\n", "501 5.5.4" },
        { "STARTTLS\r\n", "454 4.7.0" }, /* no certificate */
    };
    struct harness *harness = *state;
    harness->policy.tls = SMTP_TLS_REQUIRED;
    harness_say_hello(harness);
    TALK(harness, rows);
}

static void implicit_tls_begins_with_the_handshake(void **state)
{
    struct harness *harness = *state;
    struct tls_pair pair;
    make_tls(&pair);
    smtp_server_set_tls(harness->server, pair.server);
    harness->policy.tls = SMTP_TLS_IMPLICIT;
    harness_connect(harness);
    harness_start_tls(harness, pair.client);
    harness_expect(harness, "220 mx.example ESMTP Baton");
    assert_true(offers(harness, "AUTH PLAIN LOGIN"));
    assert_false(offers(harness, "STARTTLS"));

    /* Behind PROXY: the handshake follows the header in one segment. */
    harness->policy.proxy_protocol = true;
    harness_connect(harness);
    stream_printf(harness->client, "PROXY TCP4 198.51.100.7 192.0.2.1 5 6\r\n");
    harness_start_tls(harness, pair.client);
    harness_expect(harness, "220 mx.example ESMTP Baton");
    free_tls(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST("S16: order of commands", order_of_commands),
        SERVER_TEST("E5 E6 E7 S17: refusals have their codes",
                    refusals_have_their_codes),
        SERVER_TEST("S16: HELO has no extensions", parameters_need_ehlo),
        SERVER_TEST("E10: EHLO says what is there", ehlo_says_what_is_there),
        SERVER_TEST("S8 E10: limits are enforced as announced",
                    limits_are_enforced_as_announced),
        SERVER_TEST("E1 S17: pipelined commands",
                    pipelined_commands_are_answered_in_order),
        SERVER_TEST("recipients are answered later",
                    recipients_are_answered_later),
        SERVER_TEST("S5: one byte at a time", one_byte_at_a_time),
        SERVER_TEST("early talk is pipelined input",
                    early_talk_is_pipelined_input),
        SERVER_TEST("S1: bare line ends in commands",
                    bare_line_ends_in_commands),
        SERVER_TEST("S6: over-long lines are skipped",
                    over_long_lines_are_skipped),
        SERVER_TEST("too many errors end it", too_many_errors_end_it),
        SERVER_TEST("S9 E6: null sender and UTF-8", null_sender_and_utf8),
        SERVER_TEST("handler refuses a session", handler_refuses_a_session),
        SERVER_TEST("sessions are limited", sessions_are_limited),
        SERVER_TEST("S11: silence ends it", silence_ends_it),
        SERVER_TEST("PROXY header comes first", proxy_header_comes_first),
        SERVER_TEST("draining lets transactions end",
                    draining_lets_transactions_end),
        SERVER_TEST("client leaves while its message is pending",
                    client_leaves_while_its_message_is_pending),
        SERVER_TEST("F13: replies do not pile up", replies_do_not_pile_up),
        SERVER_TEST("A3: TLS forgets what was before",
                    tls_forgets_what_was_before),
        SERVER_TEST("A1: nothing is smuggled behind STARTTLS",
                    nothing_is_smuggled_behind_starttls),
        SERVER_TEST("A4: required TLS is required", required_tls_is_required),
        SERVER_TEST("A7: implicit TLS", implicit_tls_begins_with_the_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
