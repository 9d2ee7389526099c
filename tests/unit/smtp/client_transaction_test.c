/* SPDX-License-Identifier: MIT */
/* Tests of smtp/client_transaction.c and client_body.c. */
#include "tests/unit/smtp/client_rig.h"

#define MAIL_SLOW "C MAIL FROM:<s@x>\nN\nS 250 ok\n"
#define OFFER(words) "S 220 mx\nC EHLO me.example\nS 250-mx\n" words
#define THREE                                               \
    "C MAIL FROM:<s@x>\nC RCPT TO:<a@x>\nC RCPT TO:<b@x>\n" \
    "C RCPT TO:<c@x>\nC DATA\n"

static void need_smtputf8(struct rig *rig)
{
    rig->messages[0].transaction.needs_smtputf8 = true;
}

static void hold_8bit(struct rig *rig)
{
    rig->messages[0].transaction.has_8bit = true;
}

static void hold_bare_lf(struct rig *rig)
{
    rig->messages[0].piece = text_of("Subject: x\r\n\r\na\n.\r\nb\r\n");
}

static void hold_bare_cr(struct rig *rig)
{
    rig->messages[0].piece = text_of("Subject: x\r\n\r\na\r.\r\nb\r\n");
}

static void lose_the_lease(struct rig *rig)
{
    rig->messages[0].is_refused_to_finish = true;
}

static void ask_for_dsn(struct rig *rig)
{
    struct rig_message *message = &rig->messages[0];
    message->transaction.dsn_return = DSN_RETURN_HEADERS;
    message->transaction.envelope_id = "Id+3D7";
    message->recipients[0].notify = DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY;
    message->recipients[0].original_recipient = "rfc822;R@x";
}

static void forge_dsn(struct rig *rig)
{
    struct rig_message *message = &rig->messages[0];
    message->transaction.envelope_id = "a\r\nRCPT TO:<evil@x>";
    message->recipients[0].original_recipient = "a b";
}

static void send_from_nobody(struct rig *rig)
{
    rig->messages[0].transaction.sender = "";
}

static void forge_sender(struct rig *rig)
{
    rig->messages[0].transaction.sender = "s@x>\r\nRCPT TO:<evil@x";
}

static const struct rig_row plain_rows[] = {
    { .name = "S17: pipelined, one segment",
      .recipients = "a@x b@x c@x",
      .dialogues = { HELLO THREE "S 250 ok\nS 250 ok\nS 250 ok\nS 250 ok\n"
                                 "S 354 go\nB\nS 250 2.0.0 taken\n" },
      .report = "a@x delivered\nb@x delivered\nc@x delivered\n" },
    { .name = "one at a time where PIPELINING is not offered",
      .dialogues = { HELLO_SLOW MAIL_SLOW "C RCPT TO:<r@x>\nN\nS 250 ok\n"
                                          "C DATA\nS 354 go\nB\nS 250 ok\n" },
      .report = "r@x delivered\n" },
    { .name = "the null sender",
      .dialogues = { HELLO "C MAIL FROM:<>\nC RCPT TO:<r@x>\nC DATA\n"
                           "S 250 ok\nS 250 ok\nS 354 go\nB\nS 250 ok\n" },
      .adjust = send_from_nobody,
      .report = "r@x delivered\n" },
    { .name = "S17, S18: one of three refused for good",
      .recipients = "a@x b@x c@x",
      .dialogues = { HELLO THREE "S 250 ok\nS 250 ok\nS 550 5.1.1 no such\n"
                                 "S 250 ok\nS 354 go\nB\nS 250 taken\n" },
      .report = "a@x delivered\nb@x failed recipient 5.1.1 at RCPT\n"
                "c@x delivered\n" },
    { .name = "S17, S18: one of three refused for now",
      .recipients = "a@x b@x c@x",
      .dialogues = { HELLO THREE "S 250 ok\nS 250 ok\nS 451 4.2.1 later\n"
                                 "S 250 ok\nS 354 go\nB\nS 250 taken\n" },
      .report = "a@x delivered\nb@x deferred recipient 4.2.1 at RCPT\n"
                "c@x delivered\n" },
    { .name = "S8, R3: 552 to RCPT is temporary",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 552 5.2.2 full\n"
                                    "S 503 no recipients\n" },
      .report = "r@x deferred recipient 5.2.2 at RCPT\n" },
    { .name = "all refused and yet 354: an empty message",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 550 5.1.1 no\nS 354 go\n"
                                    "C .\nS 554 no recipients\n" },
      .report = "r@x failed recipient 5.1.1 at RCPT\n" },
    { .name = "all refused, one at a time: no DATA",
      .dialogues = { HELLO_SLOW MAIL_SLOW "C RCPT TO:<r@x>\nS 550 5.1.1 no\n" },
      .report = "r@x failed recipient 5.1.1 at RCPT\n" },
    { .name = "MAIL refused, pipelined",
      .recipients = "r@x",
      .dialogues = { HELLO ENVELOPE "S 550 5.7.1 not from you\n"
                                    "S 503 no MAIL\nS 503 no MAIL\n" },
      .report = "r@x failed message 5.7.1 at MAIL\n" },
    { .name = "MAIL refused, the rest taken by a careless host",
      .dialogues = { HELLO ENVELOPE "S 451 4.7.1 later\nS 250 ok\nS 354 go\n"
                                    "C .\nS 250 taken\n" },
      .report = "r@x deferred message 4.7.1 at MAIL\n" },
    { .name = "MAIL refused, one at a time",
      .dialogues = { HELLO_SLOW "C MAIL FROM:<s@x>\nS 452 4.3.1 full\n" },
      .report = "r@x deferred message 4.3.1 at MAIL\n" },
    { .name = "DATA refused",
      .recipients = "a@x b@x c@x",
      .dialogues = { HELLO THREE "S 250 ok\nS 550 5.1.1 no\nS 250 ok\n"
                                 "S 250 ok\nS 451 4.3.0 not now\n" },
      .report = "a@x failed recipient 5.1.1 at RCPT\n"
                "b@x deferred message 4.3.0 at DATA\n"
                "c@x deferred message 4.3.0 at DATA\n" },
    { .name = "DATA answered by 250",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 250 ok\nS 250 ok\n" },
      .report = "r@x deferred host 4.5.0 at DATA\n" },
    { .name = "the message refused",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 250 ok\nS 354 go\nB\n"
                                    "S 552 5.3.4 too large after all\n" },
      .report = "r@x failed message 5.3.4 at final dot\n" },
    { .name = "the message deferred",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 250 ok\nS 354 go\nB\n"
                                    "S 451-4.7.1 greylisted\nS 451 4.7.1 x\n" },
      .report = "r@x deferred message 4.7.1 at final dot\n" },
    { .name = "the lease ran out before the dot",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 250 ok\nS 354 go\nB\n" },
      .adjust = lose_the_lease,
      .report = "r@x deferred message 4.3.2 at body\n" },
    { .name = "replies in one line and many",
      .dialogues = { HELLO ENVELOPE "S 250-ok\nS 250-2.1.0\nS 250\nS 250\n"
                                    "S 354-well\nS 354\nB\nS 250\n" },
      .report = "r@x delivered\n" },
};

static const struct rig_row trouble_rows[] = {
    { .name = "S15: 421 to MAIL",
      .dialogues = { HELLO ENVELOPE "S 421 4.3.2 closing\nX\n" },
      .report = "r@x deferred host 4.3.2 at MAIL\n" },
    { .name = "S15: 421 to RCPT",
      .recipients = "a@x b@x c@x",
      .dialogues = { HELLO THREE "S 250 ok\nS 250 ok\nS 421 4.7.0 enough\n" },
      .report = "a@x deferred host 4.7.0 at RCPT\n"
                "b@x deferred host 4.7.0 at RCPT\n"
                "c@x deferred host 4.7.0 at RCPT\n" },
    { .name = "S15: 421 to DATA",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 250 ok\nS 421 4.3.2 bye\n" },
      .report = "r@x deferred host 4.3.2 at DATA\n" },
    { .name = "S15: 421 to the final dot",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 250 ok\nS 354 go\nB\n"
                                    "S 421 4.3.2 bye\n" },
      .report = "r@x deferred host 4.3.2 at final dot\n" },
    { .name = "lost at MAIL",
      .dialogues = { HELLO ENVELOPE "X\n" },
      .report = "r@x deferred host 4.4.2 at MAIL\n" },
    { .name = "lost within a pipelined group",
      .recipients = "a@x b@x c@x",
      .dialogues = { HELLO THREE "S 250 ok\nS 550 5.1.1 no\nS 250 ok\nX\n" },
      .report = "a@x failed recipient 5.1.1 at RCPT\n"
                "b@x deferred host 4.4.2 at RCPT\n"
                "c@x deferred host 4.4.2 at RCPT\n" },
    { .name = "lost at DATA",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 250 ok\nX\n" },
      .report = "r@x deferred host 4.4.2 at DATA\n" },
    { .name = "S12, R5: lost after the dot",
      .recipients = "a@x b@x c@x",
      .dialogues = { HELLO THREE "S 250 ok\nS 250 ok\nS 550 5.1.1 no\n"
                                 "S 250 ok\nS 354 go\nB\nX\n" },
      .report = "a@x uncertain host 4.4.2 at final dot\n"
                "b@x failed recipient 5.1.1 at RCPT\n"
                "c@x uncertain host 4.4.2 at final dot\n" },
    { .name = "S12: 354, then closed",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 250 ok\nS 354 go\nX\n" },
      .report = "r@x uncertain host 4.4.2 at final dot\n" },
    { .name = "S12, T31: 250 before the message was sent",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS 250 ok\nS 354 go\n"
                                    "S 250 taken\nW\n" },
      .report = "r@x deferred host 4.5.0 at DATA\n" },
    { .name = "S15: nonsense instead of a reply",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nS What was that?\n" },
      .report = "r@x deferred host 4.5.0 at RCPT\n" },
    { .name = "R4: a reply of 10 MB to RCPT",
      .dialogues = { HELLO ENVELOPE "S 250 ok\nF\n" },
      .report = "r@x deferred host 4.5.0 at RCPT\n" },
};

static const struct rig_row extension_rows[] = {
    { .name = "E5: too large for the host",
      .dialogues = { OFFER("S 250-PIPELINING\nS 250 SIZE 20\n") },
      .report = "r@x failed message 5.3.4 at MAIL\n" },
    { .name = "E5: just small enough",
      .dialogues = { OFFER(
          "S 250 SIZE 21\n") "C MAIL FROM:<s@x> SIZE=21\nS 250 ok\n"
                             "C RCPT TO:<r@x>\nS 250 ok\nC DATA\nS 354 go\nB\n"
                             "S 250 ok\n" },
      .report = "r@x delivered\n" },
    { .name = "E4: 8-bit text for a host without 8BITMIME",
      .dialogues = { HELLO },
      .adjust = hold_8bit,
      .report = "r@x failed message 5.6.3 at MAIL\n" },
    { .name = "E4: 8-bit text for a host with 8BITMIME",
      .dialogues = { OFFER(
          "S 250 8BITMIME\n") "C MAIL FROM:<s@x> BODY=8BITMIME\nS 250 ok\n"
                              "C RCPT TO:<r@x>\nS 250 ok\nC DATA\nS 354 go\nB\n"
                              "S 250 ok\n" },
      .adjust = hold_8bit,
      .report = "r@x delivered\n" },
    { .name = "E6: SMTPUTF8 needed, not offered",
      .dialogues = { HELLO },
      .adjust = need_smtputf8,
      .report = "r@x failed message 5.6.7 at MAIL\n" },
    { .name = "E6: SMTPUTF8 needed by one recipient, not offered",
      .recipients = "r@x r\xc3\xa9@x",
      .dialogues = { HELLO DELIVERY },
      .report = "r@x delivered\nr\xc3\xa9@x failed recipient 5.6.7 at RCPT\n" },
    { .name = "E6: SMTPUTF8 offered and used",
      .recipients = "r\xc3\xa9@x",
      .dialogues = { OFFER(
          "S 250 SMTPUTF8\n") "C MAIL FROM:<s@x> SMTPUTF8\nS 250 ok\n"
                              "C RCPT TO:<r\xc3\xa9@x>\nS 250 ok\nC DATA\nS "
                              "354 go\n"
                              "B\nS 250 ok\n" },
      .report = "r\xc3\xa9@x delivered\n" },
    { .name = "E6: only the domain is not ASCII: A-labels",
      .recipients = "r@b\xc3\xbc"
                    "cher.example",
      .dialogues = { HELLO_SLOW MAIL_SLOW
                     "C RCPT TO:<r@xn--bcher-kva.example>\nS 250 ok\n"
                     "C DATA\nS 354 go\nB\nS 250 ok\n" },
      .report = "r@b\xc3\xbc"
                "cher.example delivered\n" },
    { .name = "E8: DSN passed on to a host that knows it",
      .dialogues = { OFFER(
          "S 250 DSN\n") "C MAIL FROM:<s@x> RET=HDRS ENVID=Id+3D7\nS 250 ok\n"
                         "C RCPT TO:<r@x> NOTIFY=SUCCESS,DELAY "
                         "ORCPT=rfc822;R@x\nS 250 ok\nC DATA\nS 354 go\nB\n"
                         "S 250 ok\n" },
      .adjust = ask_for_dsn,
      .report = "r@x delivered\n" },
    { .name = "E8: DSN not sent to another",
      .dialogues = { HELLO DELIVERY },
      .adjust = ask_for_dsn,
      .report = "r@x delivered\n" },
    { .name = "E8: no command smuggled in a parameter",
      .dialogues = { OFFER("S 250-DSN\nS 250 PIPELINING\n") DELIVERY },
      .adjust = forge_dsn,
      .report = "r@x delivered\n" },
    { .name = "no command smuggled in the sender",
      .dialogues = { HELLO },
      .adjust = forge_sender,
      .report = "r@x failed message 5.1.7 at MAIL\n" },
    { .name = "no command smuggled in a recipient",
      .recipients = "r@x a@x>\r\nDATA",
      .dialogues = { HELLO DELIVERY },
      .report =
          "r@x delivered\na@x>\r\nDATA failed recipient 5.1.3 at RCPT\n" },
    { .name = "E10: RCPTMAX, the others are for the next transaction",
      .recipients = "r@x b@x c@x",
      .dialogues = { OFFER("S 250-PIPELINING\nS 250 LIMITS X=1 RCPTMAX=1\n")
                         DELIVERY },
      .report = "r@x delivered\n"
                "b@x deferred recipient 4.5.3 at RCPT untried\n"
                "c@x deferred recipient 4.5.3 at RCPT untried\n" },
    { .name = "S2: a bare LF never leaves",
      .dialogues = { HELLO },
      .adjust = hold_bare_lf,
      .report = "r@x failed message 5.6.0 at MAIL\n" },
    { .name = "S2: a bare CR never leaves",
      .dialogues = { HELLO },
      .adjust = hold_bare_cr,
      .report = "r@x failed message 5.6.0 at MAIL\n" },
};

static void run_rows(const struct rig_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rig_run_row(&rows[i]);
    }
}

static void run_plain_rows(void **state)
{
    (void)state;
    run_rows(plain_rows, ARRAY_LENGTH(plain_rows));
}

static void run_trouble_rows(void **state)
{
    (void)state;
    run_rows(trouble_rows, ARRAY_LENGTH(trouble_rows));
}

static void run_extension_rows(void **state)
{
    (void)state;
    run_rows(extension_rows, ARRAY_LENGTH(extension_rows));
}

/* -- the message on the wire -- */

static const struct body_row {
    const char *pieces[5];
    const char *wire;
} body_rows[] = {
    { { "a\r\n" }, "a\r\n.\r\n" },
    { { "a" }, "a\r\n.\r\n" },
    { { "" }, ".\r\n" },
    { { ".\r\n" }, "..\r\n.\r\n" },
    { { ".a\r\n..b\r\n.\r\nc.\r\n" }, "..a\r\n...b\r\n..\r\nc.\r\n.\r\n" },
    { { "a\r\n", ".b\r\n" }, "a\r\n..b\r\n.\r\n" },
    { { "a", ".b\r\n" }, "a.b\r\n.\r\n" },
    { { "a\r", "\n.b\r\n" }, "a\r\n..b\r\n.\r\n" },
    { { "a\r\n", "", ".", "\r\n" }, "a\r\n..\r\n.\r\n" },
    { { "a\r\n", ".", "." }, "a\r\n...\r\n.\r\n" },
    { { "a", "\r", "\n", "." }, "a\r\n..\r\n.\r\n" },
};

static void dots_are_stuffed(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { HELLO DELIVERY, NULL };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(body_rows); i++) {
        struct text pieces[5];
        size_t count = 0;
        rig_open(&rig);
        rig_add_hop(&rig, dialogues);
        struct rig_message *message = rig_add_message(&rig, "r@x", "");
        while (count < 5 && body_rows[i].pieces[count] != NULL) {
            pieces[count] = text_of(body_rows[i].pieces[count]);
            message->transaction.size_bytes += pieces[count].length;
            count++;
        }
        message->transaction.pieces = pieces;
        message->transaction.piece_count = count;
        rig_run(&rig);
        rig_expect(&rig, "dots", "r@x delivered\n");
        assert_string_equal(rig_text(&rig.bodies), body_rows[i].wire);
        rig_close(&rig);
    }
}

static const struct unclean_row {
    const char *pieces[4];
} unclean_rows[] = {
    { { "a\nb\r\n" } },        { { "\n" } },           { { "a\rb\r\n" } },
    { { "a\r\r\n" } },         { { "a\r\n\n" } },      { { "a\r" } },
    { { "a\r", "b\r\n" } },    { { "a", "\nb\r\n" } }, { { "a\r\n", "\n" } },
    { { "a\r", "", "\r\n" } }, { { "\r" } },
};

static void unclean_messages_stay(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { HELLO, NULL };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(unclean_rows); i++) {
        struct text pieces[4];
        size_t count = 0;
        rig_open(&rig);
        rig_add_hop(&rig, dialogues);
        struct rig_message *message = rig_add_message(&rig, "r@x", "");
        while (count < 4 && unclean_rows[i].pieces[count] != NULL) {
            pieces[count] = text_of(unclean_rows[i].pieces[count]);
            count++;
        }
        message->transaction.pieces = pieces;
        message->transaction.piece_count = count;
        rig_run(&rig);
        rig_expect(&rig, unclean_rows[i].pieces[0],
                   "r@x failed message 5.6.0 at MAIL\n");
        rig_close(&rig);
    }
}

/* Fill lines of which every third begins with a dot. */
static char *make_large(size_t size_bytes)
{
    static const char unit[] = "0123456789012345678901234567890123456789\r\n"
                               ".012345678901234567890123456789012345678\r\n"
                               "..\r\n";
    char *large = memory_alloc(size_bytes + sizeof(unit));
    size_t at = 0;
    while (at + sizeof(unit) < size_bytes) {
        memcpy(large + at, unit, sizeof(unit) - 1);
        at += sizeof(unit) - 1;
    }
    memset(large + at, 'x', size_bytes - at - 2);
    memcpy(large + size_bytes - 2, "\r\n", 2);
    return large;
}

static void expect_unstuffed(struct text wire, struct text message)
{
    size_t at = 0;
    struct text rest = wire;
    struct text line;
    while (text_split(&rest, '\n', &line) && !text_is(line, ".\r")) {
        size_t skip = line.length > 0 && line.data[0] == '.' ? 1 : 0;
        size_t length = line.length - skip + 1;
        assert_true(at + length <= message.length);
        assert_memory_equal(line.data + skip, message.data + at, length);
        at += length;
    }
    assert_int_equal(at, message.length);
}

static void large_messages_go_in_slices(void **state)
{
    static const size_t sizes[] = { 64 * 1024,      64 * 1024 + 1,
                                    256 * 1024,     256 * 1024 + 1,
                                    320 * 1024 + 1, 5 * 1024 * 1024 };
    static struct rig rig;
    const char *clear[] = { HELLO DELIVERY, NULL };
    const char *tls[] = {
        "S 220 mx\nC EHLO me.example\nS 250-mx\n"
        "S 250 STARTTLS\nC STARTTLS\nS 220 go\nT\n"
        "C EHLO me.example\nS 250-mx\nS 250 PIPELINING\n" DELIVERY,
        NULL
    };
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(sizes); i++) {
        size_t size = sizes[i / 2];
        char *large = make_large(size);
        struct text pieces[] = { { large, 12345 },
                                 { large + 12345, size - 12345 } };
        rig_open(&rig);
        rig_add_hop(&rig, i % 2 == 0 ? clear : tls);
        struct rig_message *message = rig_add_message(&rig, "r@x", "");
        message->transaction.pieces = pieces;
        message->transaction.piece_count = 2;
        message->transaction.size_bytes = size;
        rig_run(&rig);
        rig_expect(&rig, "large", "r@x delivered\n");
        expect_unstuffed(buffer_text(&rig.bodies),
                         (struct text){ large, size });
        rig_close(&rig);
        memory_free(large);
    }
}

/* The host has enough in the middle of the message. */
static void early_reply_ends_the_connection(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { HELLO ENVELOPE "S 250 ok\nS 250 ok\nS 354 go\n"
                                               "L 100000\nS 552 5.3.4 enough\n"
                                               "W\n",
                                NULL };
    (void)state;
    size_t size = (size_t)64 * 1024 * 1024;
    char *large = make_large(size);
    rig_open(&rig);
    rig_add_hop(&rig, dialogues);
    struct rig_message *message = rig_add_message(&rig, "r@x", "");
    message->piece = (struct text){ large, size };
    message->transaction.size_bytes = size;
    rig_run(&rig);
    rig_expect(&rig, "early reply", "r@x failed message 5.3.4 at body\n");
    rig_close(&rig);
    memory_free(large);
}

/* -- time-outs: the clock runs fast -- */

static const struct {
    const char *dialogue;
    const char *report;
    const char *text;
} timeout_rows[] = {
    { HELLO "W\n", "r@x deferred host 4.4.2 at MAIL\n",
      "timed out after 300 s waiting for the reply to MAIL of mx1.example" },
    { HELLO ENVELOPE "S 250 ok\nW\n", "r@x deferred host 4.4.2 at RCPT\n",
      "timed out after 300 s waiting for the reply to RCPT of" },
    { HELLO ENVELOPE "S 250 ok\nS 250 ok\nW\n",
      "r@x deferred host 4.4.2 at DATA\n",
      "timed out after 120 s waiting for the reply to DATA of" },
    { HELLO ENVELOPE "S 250 ok\nS 250 ok\nS 354 go\nB\nW\n",
      "r@x uncertain host 4.4.2 at final dot\n",
      "timed out after 600 s waiting for the reply to the final dot of" },
};

static void replies_time_out(void **state)
{
    static struct rig rig;
    (void)state;
    clock_set_rate(500);
    for (size_t i = 0; i < ARRAY_LENGTH(timeout_rows); i++) {
        const char *dialogues[] = { timeout_rows[i].dialogue, NULL };
        rig_open(&rig);
        rig_add_hop(&rig, dialogues);
        rig_add_message(&rig, "r@x", RIG_BODY);
        rig_run(&rig);
        rig_expect(&rig, timeout_rows[i].text, timeout_rows[i].report);
        assert_non_null(
            strstr(rig_text(&rig.transcripts), timeout_rows[i].text));
        rig_close(&rig);
    }
    clock_set_rate(1);
}

static void blocks_time_out(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { HELLO ENVELOPE "S 250 ok\nS 250 ok\nS 354 go\n"
                                               "W\n",
                                NULL };
    size_t size = (size_t)64 * 1024 * 1024;
    char *large = make_large(size);
    (void)state;
    clock_set_rate(200);
    rig_open(&rig);
    rig_add_hop(&rig, dialogues);
    struct rig_message *message = rig_add_message(&rig, "r@x", "");
    message->piece = (struct text){ large, size };
    message->transaction.size_bytes = size;
    rig_run(&rig);
    rig_expect(&rig, "blocks", "r@x deferred host 4.4.2 at body\n");
    assert_non_null(strstr(rig_text(&rig.transcripts),
                           "timed out after 180 s waiting for room"));
    rig_close(&rig);
    memory_free(large);
    clock_set_rate(1);
}

static void peer_has_dsn_is_told(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { OFFER("S 250-DSN\nS 250 PIPELINING\n") DELIVERY,
                                NULL };
    (void)state;
    rig_open(&rig);
    rig_add_hop(&rig, dialogues);
    struct rig_message *message = rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    rig_expect(&rig, "dsn", "r@x delivered\n");
    assert_true(message->transaction.peer_has_dsn);
    assert_null(message->transaction.tls_version);
    assert_string_equal(message->recipients[0].outcome.reply.text, "taken");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "S8, S17, S18, R3: replies", run_plain_rows, NULL, NULL, NULL },
        { "S12, S15, R4, R5: trouble", run_trouble_rows, NULL, NULL, NULL },
        { "S2, E4, E5, E6, E8, E10: extensions", run_extension_rows, NULL, NULL,
          NULL },
        { "S5: dots are stuffed", dots_are_stuffed, NULL, NULL, NULL },
        { "S2: unclean messages stay", unclean_messages_stay, NULL, NULL,
          NULL },
        { "S5: large messages go in slices", large_messages_go_in_slices, NULL,
          NULL, NULL },
        cmocka_unit_test(early_reply_ends_the_connection),
        { "S11, S12: replies time out", replies_time_out, NULL, NULL, NULL },
        { "S11: blocks time out", blocks_time_out, NULL, NULL, NULL },
        { "E8: peer_has_dsn is told", peer_has_dsn_is_told, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests(tests, rig_set_up_tls, rig_tear_down_tls);
}
