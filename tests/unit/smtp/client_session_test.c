/* SPDX-License-Identifier: MIT */
/* Tests of smtp/client_session.c: from connect to ready, and to QUIT. */
#include "tests/unit/smtp/client_rig.h"

#define CLEAR_DELIVERY HELLO DELIVERY
#define STARTTLS_HELLO \
    "S 220 mx\nC EHLO me.example\nS 250-mx\nS 250 STARTTLS\nC STARTTLS\n"
#define AFTER_TLS "C EHLO me.example\nS 250-mx\nS 250 PIPELINING\n" DELIVERY
/* AUTH as user "joe", password "secret". */
#define AUTH_HELLO(offer) "S 220 mx\nC EHLO me.example\nS 250-mx\nS 250 " offer

static void require_tls(struct rig *rig)
{
    rig->options.tls = CLIENT_TLS_REQUIRED;
}

static void verify_tls(struct rig *rig)
{
    rig->options.tls = CLIENT_TLS_VERIFIED;
}

static void verify_strictly(struct rig *rig)
{
    rig->options.tls = CLIENT_TLS_VERIFIED;
    rig->options.tls_verified = rig_strict_tls;
}

static void begin_with_tls(struct rig *rig)
{
    rig->options.tls = CLIENT_TLS_IMPLICIT;
}

static void avoid_tls(struct rig *rig)
{
    rig->options.tls = CLIENT_TLS_NEVER;
}

static void log_in(struct rig *rig)
{
    rig->options.user = "joe";
    rig->options.password = "secret";
}

static void log_in_in_clear(struct rig *rig)
{
    log_in(rig);
    rig->options.auth_in_clear = true;
}

static const struct rig_row set_up_rows[] = {
    { .name = "S15: greeting and EHLO reply of several lines",
      .dialogues = { "S 220-mx\nS 220-one moment\nS 220\n"
                     "C EHLO me.example\nS 250-mx\nS 250 "
                     "PIPELINING\n" DELIVERY },
      .report = "r@x delivered\n" },
    { .name = "S18: HELO where EHLO is unknown",
      .dialogues = { "S 220 mx\nC EHLO me.example\nS 502 what?\n"
                     "C HELO me.example\nS 250 mx\n"
                     "C MAIL FROM:<s@x>\nN\nS 250 ok\nC RCPT TO:<r@x>\nN\n"
                     "S 250 ok\nC DATA\nS 354 go\nB\nS 250 taken\n" },
      .report = "r@x delivered\n" },
    { .name = "S18, R3: 5yz greeting, the next host takes it",
      .dialogues = { "S 554 go away\n" },
      .others = { CLEAR_DELIVERY },
      .report = "mx1.example deferred host 5.0.0 at greeting\n"
                "r@x delivered\n" },
    { .name = "S18: 5yz to EHLO, the next host takes it",
      .dialogues = { "S 220 mx\nC EHLO me.example\nS 550 5.7.1 not you\n" },
      .others = { CLEAR_DELIVERY },
      .report = "mx1.example deferred host 5.7.1 at EHLO\n"
                "r@x delivered\n" },
    { .name = "S15: 421 greeting",
      .dialogues = { "S 421 4.3.2 busy\nX\n" },
      .report = "mx1.example deferred host 4.3.2 at greeting\n" },
    { .name = "S15: 421 to EHLO",
      .dialogues = { "S 220 mx\nC EHLO me.example\nS 421 4.3.2 busy\n" },
      .report = "mx1.example deferred host 4.3.2 at EHLO\n" },
    { .name = "S15: a line without a code",
      .dialogues = { "S hello there\n" },
      .report = "mx1.example deferred host 4.5.0 at greeting\n" },
    { .name = "lost before the greeting",
      .dialogues = { "X\n" },
      .report = "mx1.example deferred host 4.4.2 at greeting\n" },
    { .name = "lost at EHLO",
      .dialogues = { "S 220 mx\nC EHLO me.example\nX\n" },
      .report = "mx1.example deferred host 4.4.2 at EHLO\n" },
    { .name = "R4: a reply of 10 MB",
      .dialogues = { "S 220 mx\nC EHLO me.example\nF\n" },
      .report = "mx1.example deferred host 4.5.0 at EHLO\n" },
    { .name = "R4: a line of 10 MB",
      .dialogues = { "S 220 mx\nC EHLO me.example\nG\n" },
      .report = "mx1.example deferred host 4.5.0 at EHLO\n" },
};

static const struct rig_row tls_rows[] = {
    { .name = "A2: STARTTLS, then EHLO again",
      .dialogues = { STARTTLS_HELLO "S 220 go\nT\n" AFTER_TLS },
      .report = "r@x delivered\n" },
    { .name = "A2: what was offered before TLS is forgotten",
      .dialogues = { "S 220 mx\nC EHLO me.example\nS 250-mx\n"
                     "S 250-PIPELINING\nS 250-SIZE 10\nS 250 STARTTLS\n"
                     "C STARTTLS\nS 220 go\nT\nC EHLO me.example\nS 250 mx\n"
                     "C MAIL FROM:<s@x>\nN\nS 250 ok\nC RCPT TO:<r@x>\nN\n"
                     "S 250 ok\nC DATA\nS 354 go\nB\nS 250 taken\n" },
      .report = "r@x delivered\n" },
    { .name = "A2: bytes after the 220 end the session, even in clear",
      .dialogues = { STARTTLS_HELLO "S 220 go\nS 250 injected\nW\n" },
      .report = "mx1.example deferred host 4.7.0 at STARTTLS\n" },
    { .name = "T6: refused STARTTLS, again in clear",
      .dialogues = { STARTTLS_HELLO "S 454 4.7.0 no TLS today\n",
                     "S 220 mx\nC EHLO me.example\nS 250-mx\n"
                     "S 250-STARTTLS\nS 250 PIPELINING\n" DELIVERY },
      .report = "r@x delivered\n" },
    { .name = "T6: failed handshake, again in clear",
      .dialogues = { STARTTLS_HELLO "S 220 go\nL 50\nS not TLS\nX\n",
                     CLEAR_DELIVERY },
      .report = "r@x delivered\n" },
    { .name = "T6, R3: hang-up in the handshake, again in clear",
      .dialogues = { STARTTLS_HELLO "S 220 go\nX\n", CLEAR_DELIVERY },
      .report = "r@x delivered\n" },
    { .name = "T6: only once",
      .dialogues = { STARTTLS_HELLO "S 220 go\nX\n", "X\n" },
      .report = "mx1.example deferred host 4.4.2 at greeting\n" },
    { .name = "TLS never wanted",
      .dialogues = { "S 220 mx\nC EHLO me.example\nS 250-mx\n"
                     "S 250-STARTTLS\nS 250 PIPELINING\n" DELIVERY },
      .adjust = avoid_tls,
      .report = "r@x delivered\n" },
    { .name = "TLS required, not offered",
      .dialogues = { HELLO },
      .adjust = require_tls,
      .report = "mx1.example deferred host 4.7.4 at EHLO\n" },
    { .name = "TLS required, EHLO unknown",
      .dialogues = { "S 220 mx\nC EHLO me.example\nS 500 what?\n" },
      .adjust = require_tls,
      .report = "mx1.example deferred host 5.0.0 at EHLO\n" },
    { .name = "TLS required, refused",
      .dialogues = { STARTTLS_HELLO "S 454 4.7.0 no TLS today\n" },
      .adjust = require_tls,
      .report = "mx1.example deferred host 4.7.0 at STARTTLS\n" },
    { .name = "TLS required, handshake fails",
      .dialogues = { STARTTLS_HELLO "S 220 go\nX\n" },
      .adjust = require_tls,
      .report = "mx1.example deferred host 4.7.5 at STARTTLS\n" },
    { .name = "R3: TLS required, whoever it is",
      .dialogues = { STARTTLS_HELLO "S 220 go\nT\n" AFTER_TLS },
      .adjust = require_tls,
      .report = "r@x delivered\n" },
    { .name = "TLS verified",
      .dialogues = { STARTTLS_HELLO "S 220 go\nT\n" AFTER_TLS },
      .adjust = verify_tls,
      .report = "r@x delivered\n" },
    { .name = "TLS verified, unknown issuer",
      .dialogues = { STARTTLS_HELLO "S 220 go\nT\nW\n" },
      .adjust = verify_strictly,
      .report = "mx1.example deferred host 4.7.5 at STARTTLS\n" },
    { .name = "TLS verified, wrong name, the next host",
      .dialogues = { "X\n" },
      .others = { STARTTLS_HELLO "S 220 go\nT\nW\n" },
      .adjust = verify_tls,
      .report = "mx1.example deferred host 4.4.2 at greeting\n"
                "mx2.example deferred host 4.7.5 at STARTTLS\n" },
    { .name = "TLS from the first byte",
      .dialogues = { "T\nS 220 mx\n" AFTER_TLS },
      .adjust = begin_with_tls,
      .report = "r@x delivered\n" },
};

static const struct rig_row auth_rows[] = {
    { .name = "AUTH PLAIN",
      .dialogues = { AUTH_HELLO(
          "AUTH LOGIN PLAIN\n") "C AUTH PLAIN AGpvZQBzZWNyZXQ=\nS 235 2.7.0 "
                                "ok\n"
                                "C MAIL FROM:<s@x>\nS 250 ok\nC RCPT TO:<r@x>\n"
                                "S 250 ok\nC DATA\nS 354 go\nB\nS 250 "
                                "taken\n" },
      .adjust = log_in_in_clear,
      .report = "r@x delivered\n" },
    { .name = "AUTH LOGIN",
      .dialogues = { AUTH_HELLO(
          "AUTH=LOGIN\n") "C AUTH LOGIN\nS 334 VXNlcm5hbWU6\nC am9l\n"
                          "S 334 UGFzc3dvcmQ6\nC c2VjcmV0\nS 235 ok\n"
                          "C MAIL FROM:<s@x>\nS 250 ok\nC RCPT TO:<r@x>\n"
                          "S 250 ok\nC DATA\nS 354 go\nB\nS 250 taken\n" },
      .adjust = log_in_in_clear,
      .report = "r@x delivered\n" },
    { .name = "AUTH refused",
      .dialogues = { AUTH_HELLO(
          "AUTH PLAIN\n") "C AUTH PLAIN AGpvZQBzZWNyZXQ=\nS 535 5.7.8 no\n" },
      .adjust = log_in_in_clear,
      .report = "mx1.example deferred site 5.7.8 at AUTH\n" },
    { .name = "AUTH asks without end",
      .dialogues = { AUTH_HELLO(
          "AUTH LOGIN\n") "C AUTH LOGIN\nS 334 a\nC am9l\nS 334 b\nC c2VjcmV0\n"
                          "S 334 c\n" },
      .adjust = log_in_in_clear,
      .report = "mx1.example deferred host 4.5.0 at AUTH\n" },
    { .name = "no AUTH in clear",
      .dialogues = { AUTH_HELLO("AUTH PLAIN\n") },
      .adjust = log_in,
      .report = "mx1.example deferred host 4.7.0 at EHLO\n" },
    { .name = "AUTH not offered",
      .dialogues = { HELLO },
      .adjust = log_in_in_clear,
      .report = "mx1.example deferred host 4.7.0 at EHLO\n" },
};

static void run_set_up_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(set_up_rows); i++) {
        rig_run_row(&set_up_rows[i]);
    }
}

static void run_tls_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(tls_rows); i++) {
        rig_run_row(&tls_rows[i]);
    }
}

static void run_auth_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(auth_rows); i++) {
        rig_run_row(&auth_rows[i]);
    }
}

/* Each step gives up when its row says so; the clock runs fast. */
static const struct {
    const char *dialogue;
    const char *text;
} timeout_rows[] = {
    { "W\n", "timed out after 300 s waiting for the greeting of mx1.example" },
    { "S 220 mx\nC EHLO me.example\nW\n",
      "timed out after 300 s waiting for the reply to EHLO of mx1.example" },
    { STARTTLS_HELLO "W\n",
      "timed out after 120 s waiting for the reply to STARTTLS of" },
    { STARTTLS_HELLO "S 220 go\nW\n",
      "timed out after 120 s waiting for the TLS handshake of mx1.example" },
};

static void steps_time_out(void **state)
{
    static struct rig rig;
    (void)state;
    clock_set_rate(500);
    for (size_t i = 0; i < ARRAY_LENGTH(timeout_rows); i++) {
        const char *dialogues[] = { timeout_rows[i].dialogue, NULL };
        rig_open(&rig);
        rig.options.tls = i < 2 ? CLIENT_TLS_NEVER : CLIENT_TLS_REQUIRED;
        rig_add_hop(&rig, dialogues);
        rig_add_message(&rig, "r@x", RIG_BODY);
        rig_run(&rig);
        assert_false(rig.has_timed_out);
        if (strstr(rig_text(&rig.transcripts), timeout_rows[i].text) == NULL) {
            fail_msg("'%s' is not in %s", timeout_rows[i].text,
                     rig_text(&rig.transcripts));
        }
        rig_close(&rig);
    }
    clock_set_rate(1);
}

static void transcript_masks_secrets(void **state)
{
    static struct rig rig;
    (void)state;
    rig_open(&rig);
    log_in_in_clear(&rig);
    rig_add_hop(&rig, auth_rows[0].dialogues);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    const char *text = rig_text(&rig.transcripts);
    assert_non_null(strstr(text, "= connecting to mx1.example [127.0.0.1"));
    assert_non_null(strstr(text, "< 220 mx\n"));
    assert_non_null(strstr(text, "> AUTH PLAIN ***\n"));
    assert_null(strstr(text, "AGpvZQ"));
    assert_non_null(strstr(text, "> MAIL FROM:<s@x>\n"));
    assert_non_null(strstr(text, "= message of 21 octets"));
    rig_close(&rig);
}

static void facts_of_tls_are_told(void **state)
{
    static struct rig rig;
    (void)state;
    rig_open(&rig);
    rig.options.tls = CLIENT_TLS_VERIFIED;
    rig_add_hop(&rig, tls_rows[0].dialogues);
    struct rig_message *message = rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    rig_expect(&rig, "facts", "r@x delivered\n");
    assert_string_equal(message->transaction.tls_version, "TLSv1.3");
    assert_non_null(message->transaction.tls_cipher);
    assert_true(message->transaction.tls_is_verified);
    assert_string_equal(message->transaction.host.name, "mx1.example");
    assert_true(message->transaction.started_at > 0);
    rig_close(&rig);
}

static void unasked_reply_closes_an_idle_connection(void **state)
{
    static struct rig rig;
    const char *dialogues[] = { CLEAR_DELIVERY "S 250 and another\n", NULL };
    (void)state;
    rig_open(&rig);
    rig_add_hop(&rig, dialogues);
    rig_add_message(&rig, "r@x", RIG_BODY);
    rig_run(&rig);
    rig_expect(&rig, "unasked", "r@x delivered\n");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "S15, S18, R3, R4: steps", run_set_up_rows, NULL, NULL, NULL },
        { "A2, T6, R3: TLS", run_tls_rows, NULL, NULL, NULL },
        { "AUTH", run_auth_rows, NULL, NULL, NULL },
        { "S11: steps time out", steps_time_out, NULL, NULL, NULL },
        cmocka_unit_test(transcript_masks_secrets),
        cmocka_unit_test(facts_of_tls_are_told),
        cmocka_unit_test(unasked_reply_closes_an_idle_connection),
    };
    return cmocka_run_group_tests(tests, rig_set_up_tls, rig_tear_down_tls);
}
