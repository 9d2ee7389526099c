/* SPDX-License-Identifier: MIT */
/* Tests of smtp/server_data.c. */
#include "smtp/server.h"

#include "tests/unit/smtp/server_harness.h"

#define MAIL "MAIL FROM:<a@sender.example>\r\n"
#define RCPT "RCPT TO:<b@good.example>\r\n"
#define ENVELOPE MAIL RCPT
#define EVIL "MAIL FROM:<evil@a.example>\r\n"

#define BYTES(s)           \
    {                      \
        (s), sizeof(s) - 1 \
    }

/* Endings that are none, each with what a receiver that is fooled would take
 * for commands, and then the true end. */
static const struct text smuggling[] = {
    BYTES("x\n.\n" EVIL "\r\n.\r\n"),
    BYTES("x\n.\r\n" EVIL "\r\n.\r\n"),
    BYTES("x\r\n.\n" EVIL "\r\n.\r\n"),
    BYTES("x\r.\r" EVIL "\r\n.\r\n"),
    BYTES("x\r.\r\n" EVIL "\r\n.\r\n"),
    BYTES("x\r\n.\r" EVIL "\r\n.\r\n"),
    BYTES("x\r\n\0.\r\n" EVIL "\r\n.\r\n"),
    BYTES("x\r\n.\0\r\n" EVIL "\r\n.\r\n"),
    BYTES("x\r\n.\r\0\n" EVIL "\r\n.\r\n"),
    BYTES("x\r\r\n.\r\r\n" EVIL "\r\n.\r\n"),
    BYTES("x\n\n.\n\n" EVIL "\r\n.\r\n"),
};

static void smuggled_endings_end_nothing(void **state)
{
    struct harness *harness = *state;
    size_t mail_count = 0;
    harness_set_limit("messages_per_session", 100000);
    harness_say_hello(harness);
    for (size_t i = 0; i < ARRAY_LENGTH(smuggling); i++) {
        for (size_t cut = 1; cut <= smuggling[i].length; cut++) {
            harness->bytes_per_write = 0;
            harness_exchange(harness, ENVELOPE "DATA\r\n", "250 |250 |354 ");
            harness->bytes_per_write = cut;
            harness_send(harness, smuggling[i]);
            harness_expect(harness, "550 5.6.0");
            harness_exchange(harness, "NOOP\r\n", "250 2.0.0 Ok");
            assert_int_equal(harness->mail_count, ++mail_count);
            assert_int_equal(harness->message_count, 0);
        }
    }
    assert_int_equal(harness->received.length, 0);
}

static void chunks_follow_the_same_rule(void **state)
{
    struct harness *harness = *state;
    harness_set_limit("messages_per_session", 100000);
    harness_say_hello(harness);
    for (size_t i = 0; i < ARRAY_LENGTH(smuggling); i++) {
        char command[64];
        (void)snprintf(command, sizeof(command), "BDAT %zu LAST\r\n",
                       smuggling[i].length);
        harness_send(harness, TEXT_LITERAL(ENVELOPE));
        harness_send(harness, text_of(command));
        harness_send(harness, smuggling[i]);
        harness_exchange(harness, "NOOP\r\n",
                         "250 |250 |550 5.6.0|250 2.0.0 Ok");
    }
    assert_int_equal(harness->mail_count, ARRAY_LENGTH(smuggling));
    assert_int_equal(harness->message_count, 0);
}

static void the_refusal_names_the_line(void **state)
{
    static const struct exchange rows[] = {
        { ENVELOPE "DATA\r\n", "250 |250 |354 " },
        { "a\r\nb\nc\r\n.\r\n",
          "550 5.6.0 bare LF at line 2 of the message: lines must end with "
          "CR LF (RFC 5321 2.3.8)\r\n" },
        { RCPT, "503 5.5.1" }, /* the transaction is over */
        { ENVELOPE "DATA\r\n", "250 |250 |354 " },
        { "a\r\n\r\nb\rc\r\n.\r\n", "550 5.6.0 bare CR at line 3 of" },
    };
    harness_say_hello(*state);
    TALK(*state, rows);
}

static const struct dialogue {
    const char *send; /* behind the envelope */
    const char *expect;
    const char *data; /* the one message that comes of it, or NULL */
} dialogues[] = {
    { "DATA\r\n.\r\n", "354 |250 2.0.0", "" },
    { "DATA\r\n..\r\n...\r\n.x\r\n.\r\n", "354 |250 2.0.0",
      ".\r\n..\r\nx\r\n" },
    /* Behind DATA everything is content. */
    { "DATA\r\nQUIT\r\n.\r\n", "354 |250 2.0.0", "QUIT\r\n" },
    { "BDAT 3\r\na\r\nBDAT 3 LAST\r\nb\r\n", "250 2.0.0 3|250 2.0.0",
      "a\r\nb\r\n" },
    { "BDAT 3 LAST\r\na\r\n", "250 2.0.0", "a\r\n" },
    { "bdat 1 last\r\na", "250 2.0.0", "a\r\n" }, /* gets its line end */
    { "BDAT 3\r\na\r\nBDAT 0 LAST\r\n", "250 2.0.0 3|250 2.0.0", "a\r\n" },
    { "BDAT 0 LAST\r\n", "250 2.0.0", "" },
    { "BDAT 0\r\nBDAT 2 LAST\r\n\r\n", "250 2.0.0 0|250 2.0.0", "\r\n" },
    { "BDAT 5 LAST\r\n.\r\n.x", "250 2.0.0", ".\r\n.x\r\n" },
    { "BDAT 2\r\na\rBDAT 2 LAST\r\n\nb", "250 2.0.0 2|250 2.0.0",
      "a\r\nb\r\n" },
    { "BDAT 2\r\na\rBDAT 2 LAST\r\nbc", "250 2.0.0 2|550 5.6.0", NULL },
    { "BDAT 2 LAST\r\na\r", "550 5.6.0", NULL },
    { "BDAT 2\r\na\nBDAT 2 LAST\r\nbc", "550 5.6.0|503 5.5.1", NULL },
    { "BDAT 3 LAST\r\na\r\nBDAT 6 LAST\r\nRSET\r\n", "250 2.0.0|503 5.5.1",
      "a\r\n" }, /* after LAST */
    { "BDAT 3\r\na\r\nDATA\r\nBDAT 0 LAST\r\n",
      "250 2.0.0 3|503 5.5.1|250 2.0.0", "a\r\n" },
    { "BDAT 3\r\na\r\n" RCPT "BDAT 0 LAST\r\n",
      "250 2.0.0 3|503 5.5.1|250 2.0.0", "a\r\n" },
    { "BDAT 3\r\na\r\nRSET\r\nBDAT 6 LAST\r\nNOOP\r\n",
      "250 2.0.0 3|250 2.0.0|503 5.5.1", NULL },
    { "RSET\r\nBDAT 6 LAST\r\nNOOP\r\n", "250 2.0.0|503 5.5.1", NULL },
    { "RSET\r\n" MAIL "BDAT 6 LAST\r\nNOOP\r\n", "250 |250 |503 5.5.1", NULL },
    { "RSET\r\n" MAIL "RCPT TO:<b@refused.example>\r\n"
      "BDAT 6 LAST\r\nNOOP\r\n",
      "250 |250 |550 |554 5.5.1", NULL },
    { "BDAT\r\n", "501 5.5.4", NULL },
    { "BDAT x LAST\r\n", "501 5.5.4", NULL },
    { "BDAT 6 FIRST\r\nNOOP\r\n", "501 5.5.4", NULL },
};

static void run_dialogue(struct harness *harness, const struct dialogue *row)
{
    size_t messages_before = harness->message_count;
    harness_exchange(harness, "RSET\r\n" ENVELOPE, "250 |250 |250 ");
    harness_send(harness, text_of(row->send));
    harness_expect(harness, row->expect);
    /* Nothing more came, and the session is in step. */
    harness_exchange(harness, "HELP\r\n", "214-2.0.0");
    assert_int_equal(harness->message_count - messages_before,
                     row->data != NULL);
    if (row->data != NULL) {
        assert_true(text_is(buffer_text(&harness->data), row->data));
    }
}

static void contents_arrive_as_sent(void **state)
{
    struct harness *harness = *state;
    harness_set_limit("errors_per_session", 1000);
    for (size_t way = 0; way < 4; way++) {
        harness_say_hello(harness);
        harness->bytes_per_write = way & 1;
        harness->answers_later = (way & 2) != 0;
        for (size_t i = 0; i < ARRAY_LENGTH(dialogues); i++) {
            run_dialogue(harness, &dialogues[i]);
        }
        harness->bytes_per_write = 0;
    }
}

static void absurd_chunks_end_the_session(void **state)
{
    static const char *const commands[] = {
        "BDAT 1073741825\r\n",
        "BDAT 18446744073709551615\r\n",
        "BDAT 99999999999999999999999999 LAST\r\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        harness_say_hello(*state);
        harness_exchange(*state, ENVELOPE, "250 |250 ");
        harness_exchange(*state, commands[i], "552 5.3.4|!");
    }
}

/* Lines of 64 octets. */
static void append_lines(struct buffer *bytes, size_t count)
{
    char line[65];
    memset(line, 'x', 62);
    memcpy(line + 62, "\r\n", 3);
    for (size_t i = 0; i < count; i++) {
        buffer_append(bytes, line, 64);
    }
}

static void too_large_messages_are_discarded(void **state)
{
    struct harness *harness = *state;
    struct buffer bytes = { 0 };
    harness_set_limit("message_size", 65536);
    harness_say_hello(harness);
    append_lines(&bytes, 1025);
    harness_exchange(harness, ENVELOPE "DATA\r\n", "250 |250 |354 ");
    harness_send(harness, buffer_text(&bytes));
    harness_exchange(harness, ".\r\nNOOP\r\n", "552 5.3.4|250 2.0.0 Ok");
    assert_int_equal(budget_used_bytes(harness->budget), 0);

    harness_exchange(harness, ENVELOPE "BDAT 65600 LAST\r\n", "250 |250 ");
    harness_send(harness, buffer_text(&bytes));
    harness_exchange(harness, "NOOP\r\n", "552 5.3.4|250 2.0.0 Ok");
    harness_exchange(harness, RCPT, "503 5.5.1");
    assert_int_equal(harness->message_count, 0);

    /* Exactly the limit; the end does not count. */
    bytes.length = 65536;
    harness_exchange(harness, ENVELOPE "DATA\r\n", "250 |250 |354 ");
    harness_send(harness, buffer_text(&bytes));
    harness_exchange(harness, ".\r\n", "250 2.0.0");
    assert_int_equal(harness->data.length, 65536);
    assert_int_equal(harness->longest_line, 62);
    buffer_free(&bytes);
}

/* 4 MB in odd pieces arrive octet for octet. */
static void large_messages_arrive_whole(void **state)
{
    struct harness *harness = *state;
    struct buffer bytes = { 0 };
    harness_say_hello(harness);
    for (size_t i = 0; i < 30000; i++) {
        buffer_printf(&bytes, "%*s line %zu\r\n", (int)(i % 150), "", i);
    }
    harness_exchange(harness, ENVELOPE "DATA\r\n", "250 |250 |354 ");
    harness_send(harness, buffer_text(&bytes));
    harness_exchange(harness, ".\r\n", "250 2.0.0");
    assert_true(text_equal(buffer_text(&harness->data), buffer_text(&bytes)));
    assert_false(harness->has_8bit);
    buffer_free(&bytes);
}

static bool is_waiting(struct harness *harness)
{
    return budget_waiting_count(harness->budget) == 1;
}

static void stop_loop(void *owner)
{
    struct harness *harness = owner;
    loop_stop(harness->loop);
}

/* While there is no memory the session waits, longer than the time limit for
 * silence, and goes on as soon as there is. */
static void content_waits_for_memory(void **state)
{
    struct harness *harness = *state;
    struct buffer bytes = { 0 };
    struct budget_share hog = { 0 };
    struct timer later = { 0 };
    smtp_server_free(&harness->server);
    budget_free(&harness->budget);
    harness->budget = budget_create(harness->loop, 1024, 100000);
    struct smtp_server_options options = {
        .hostname = HARNESS_HOST,
        .handler = &harness_handler,
        .owner = harness,
        .budget = harness->budget,
    };
    harness->server = smtp_server_create(harness->loop, &options);
    assert_true(
        budget_take(harness->budget, &hog, 90000, harness_on_watchdog, NULL));
    append_lines(&bytes, 1200);
    harness_say_hello(harness);
    harness_set_limit("message_size", 80000);
    harness_exchange(harness, ENVELOPE "DATA\r\n", "250 |250 |354 ");
    harness_set_limit("data_timeout", 1);
    harness_send(harness, buffer_text(&bytes));
    harness_run_until(harness, is_waiting);
    timer_start(&later, harness->loop, 20, stop_loop, harness);
    loop_run(harness->loop);
    assert_int_equal(smtp_server_session_count(harness->server), 1);
    harness_set_limit("data_timeout", 20000);
    budget_give_back(&hog);
    harness_exchange(harness, ".\r\n", "250 2.0.0");
    assert_true(text_equal(buffer_text(&harness->data), buffer_text(&bytes)));
    buffer_free(&bytes);
}

static bool has_no_session(struct harness *harness)
{
    return smtp_server_session_count(harness->server) == 0;
}

static void memory_is_given_back_when_a_client_leaves(void **state)
{
    struct harness *harness = *state;
    struct buffer bytes = { 0 };
    append_lines(&bytes, 20000);
    harness_say_hello(harness);
    harness_exchange(harness, ENVELOPE "DATA\r\n", "250 |250 |354 ");
    harness_send(harness, buffer_text(&bytes));
    harness->wanted_replies = 0;
    harness_run(harness);
    stream_close(&harness->client);
    harness_run_until(harness, has_no_session);
    assert_int_equal(budget_used_bytes(harness->budget), 0);
    buffer_free(&bytes);
}

static void the_handler_may_keep_the_memory(void **state)
{
    struct harness *harness = *state;
    harness->take_share = true;
    harness_say_hello(harness);
    harness_exchange(harness, ENVELOPE "DATA\r\nx\r\n.\r\n",
                     "250 |250 |354 |250 ");
    assert_true(harness->kept.bytes >= 3);
    assert_int_equal(budget_used_bytes(harness->budget), harness->kept.bytes);
}

static void the_handler_has_the_last_word(void **state)
{
    struct harness *harness = *state;
    harness_say_hello(harness);
    smtp_reply_set(&harness->message_reply, 451, "4.3.0", "Not stored");
    harness_exchange(harness, ENVELOPE "DATA\r\nx\r\n.\r\n",
                     "250 |250 |354 |451 4.3.0 Not stored\r\n");
    smtp_reply_set(&harness->message_reply, 250, "2.0.0", "Ok: queued as 7");
    harness_exchange(harness, ENVELOPE "DATA\r\nx\r\n.\r\n",
                     "250 |250 |354 |250 2.0.0 Ok: queued as 7\r\n");
    assert_non_null(strstr(harness->transcript, "= message of 6 octets"));
    assert_null(strstr(harness->transcript, "EHLO")); /* that was the first */
    smtp_reply_set(&harness->message_reply, 421, "4.3.2", "Stopping");
    harness_exchange(harness, ENVELOPE "DATA\r\nx\r\n.\r\n",
                     "250 |250 |354 |421 4.3.2|!");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST("S1: smuggled endings end nothing",
                    smuggled_endings_end_nothing),
        SERVER_TEST("S1 S3: chunks follow the same rule",
                    chunks_follow_the_same_rule),
        SERVER_TEST("S1: the refusal names the line",
                    the_refusal_names_the_line),
        SERVER_TEST("S5 E1 E2: contents arrive as sent",
                    contents_arrive_as_sent),
        SERVER_TEST("E2: absurd chunks end the session",
                    absurd_chunks_end_the_session),
        SERVER_TEST("E2 E5: too large messages are discarded",
                    too_large_messages_are_discarded),
        SERVER_TEST("large messages arrive whole", large_messages_arrive_whole),
        SERVER_TEST("F13: content waits for memory", content_waits_for_memory),
        SERVER_TEST("F13: memory is given back when a client leaves",
                    memory_is_given_back_when_a_client_leaves),
        SERVER_TEST("the handler may keep the memory",
                    the_handler_may_keep_the_memory),
        SERVER_TEST("S4: the handler has the last word",
                    the_handler_has_the_last_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
