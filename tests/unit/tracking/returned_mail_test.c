/* SPDX-License-Identifier: MIT */
/* What mail to a return path means: B6, B8, B9, T23. */
#include "tracking/returned_mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

#define DSN_HEAD                                                    \
    "From: MAILER-DAEMON@x.example\r\nSubject: Undelivered\r\n"     \
    "Content-Type: multipart/report; report-type=delivery-status; " \
    "boundary=b\r\n\r\n--b\r\n\r\nSorry.\r\n--b\r\n"                \
    "Content-Type: message/delivery-status\r\n\r\n"                 \
    "Reporting-MTA: dns; mx.x.example\r\n\r\n"
#define DSN(action, status, diagnostic)                                     \
    DSN_HEAD "Final-Recipient: rfc822; r@x.example\r\nAction: " action      \
             "\r\nStatus: " status "\r\nDiagnostic-Code: smtp; " diagnostic \
             "\r\n\r\n--b--\r\n"
#define ARF(type, returned)                                             \
    "From: f@x.example\r\nSubject: FW\r\n"                              \
    "Content-Type: multipart/report; report-type=feedback-report; "     \
    "boundary=b\r\n\r\n--b\r\n\r\nA report.\r\n--b\r\n"                 \
    "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: " type \
    "\r\nUser-Agent: Loop/1\r\nVersion: 1\r\n\r\n--b\r\n"               \
    "Content-Type: message/rfc822\r\n\r\n" returned "\r\nHello\r\n--b--\r\n"
#define PLAIN "From: r@x.example\r\nSubject: Hello\r\n\r\nHow are you?\r\n"
#define AWAY                                          \
    "From: r@x.example\r\nSubject: Out of office\r\n" \
    "Auto-Submitted: auto-replied\r\n\r\nI am away.\r\n"

static const struct row {
    const char *name;
    const char *message;
    enum return_path_kind kind; /* 0: the fixed address */
    bool has_sender;
    enum returned_meaning meaning;
    const char *class;
    bool suppresses;
} rows[] = {
    { "no such user", DSN("failed", "5.1.1", "550 5.1.1 User unknown"),
      RETURN_BOUNCE, false, RETURNED_BOUNCE, "invalid_address", true },
    { "whoever brings it", DSN("failed", "5.1.1", "550 5.1.1 User unknown"),
      RETURN_BOUNCE, true, RETURNED_BOUNCE, "invalid_address", true },
    { "mailbox full", DSN("failed", "5.2.2", "552 5.2.2 Mailbox full"),
      RETURN_BOUNCE, false, RETURNED_BOUNCE, "mailbox_full", false },
    { "delay", DSN("delayed", "4.4.1", "421 Try later"), RETURN_BOUNCE, false,
      RETURNED_DELAY, NULL, false },
    { "success", DSN("delivered", "2.0.0", "250 Ok"), RETURN_BOUNCE, false,
      RETURNED_NOTHING, "", false },
    { "a bounce to f+ is one", DSN("failed", "5.1.1", "550 User unknown"),
      RETURN_FEEDBACK, false, RETURNED_BOUNCE, "invalid_address", true },
    { "away", AWAY, RETURN_BOUNCE, true, RETURNED_AUTO_REPLY, "auto_reply",
      false },
    { "away, null sender", AWAY, RETURN_FEEDBACK, false, RETURNED_AUTO_REPLY,
      "auto_reply", false },
    { "complaint", ARF("abuse", "Subject: x\r\n"), RETURN_FEEDBACK, true,
      RETURNED_COMPLAINT, "", true },
    { "complaint to b+", ARF("abuse", "Subject: x\r\n"), RETURN_BOUNCE, true,
      RETURNED_COMPLAINT, "", true },
    { "not spam", ARF("not-spam", "Subject: x\r\n"), RETURN_FEEDBACK, true,
      RETURNED_FEEDBACK, "", false },
    { "DKIM failed", ARF("auth-failure", "Subject: x\r\n"), RETURN_FEEDBACK,
      true, RETURNED_FEEDBACK, "", false },
    { "opt out", ARF("opt-out", "Subject: x\r\n"), RETURN_FEEDBACK, true,
      RETURNED_UNSUBSCRIBE, "", false },
    { "a person", PLAIN, RETURN_BOUNCE, true, RETURNED_FOREIGN, "", false },
    { "a program", PLAIN, RETURN_BOUNCE, false, RETURNED_NOTHING, "", false },
    { "unsubscribes", PLAIN, RETURN_UNSUBSCRIBE, true, RETURNED_UNSUBSCRIBE, "",
      false },
    { "nobody unsubscribes", PLAIN, RETURN_UNSUBSCRIBE, false, RETURNED_NOTHING,
      "", false },
    { "a bounce does not", DSN("failed", "5.1.1", "550 User unknown"),
      RETURN_UNSUBSCRIBE, true, RETURNED_NOTHING, "", false },
    { "an absence does not", AWAY, RETURN_UNSUBSCRIBE, true, RETURNED_NOTHING,
      "", false },
    { "a complaint does not", ARF("abuse", "Subject: x\r\n"),
      RETURN_UNSUBSCRIBE, true, RETURNED_NOTHING, "", false },
    { "the fixed address", ARF("abuse", "Subject: x\r\n"), 0, true,
      RETURNED_COMPLAINT, "", true },
    { "takes no bounce", DSN("failed", "5.1.1", "550 User unknown"), 0, false,
      RETURNED_FOREIGN, "", false },
    { "takes no letter", PLAIN, 0, true, RETURNED_FOREIGN, "", false },
    { "empty", "", RETURN_BOUNCE, false, RETURNED_NOTHING, "", false },
};

static void read_row(const struct row *row, struct arena *arena,
                     struct returned_mail *out_mail)
{
    struct returned_input input = {
        .message = text_of(row->message),
        .has_path = row->kind != 0,
        .path = { .kind = row->kind, .account_id = 3, .delivery_id = 4 },
        .is_null_sender = !row->has_sender,
    };
    returned_mail_read(&input, arena, out_mail);
}

static void rows_mean_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct arena *arena = arena_create();
        struct returned_mail mail;
        read_row(&rows[i], arena, &mail);
        if (mail.meaning != rows[i].meaning) {
            fail_msg("%s: %s", rows[i].name,
                     returned_meaning_name(mail.meaning));
        }
        assert_int_equal(mail.suppresses, rows[i].suppresses);
        if (rows[i].class != NULL) {
            assert_string_equal(mail.class, rows[i].class);
        }
        assert_int_equal(mail.has_path, rows[i].kind != 0);
        arena_free(&arena);
    }
}

static void details_are_json(void **state)
{
    static const struct row row = {
        .message = DSN("failed", "5.1.1", "550 5.1.1 User \"x\" unknown"),
        .kind = RETURN_BOUNCE,
    };
    struct arena *arena = arena_create();
    struct returned_mail mail;
    (void)state;
    read_row(&row, arena, &mail);
    const char *detail = returned_mail_detail(&mail, arena);
    assert_non_null(strstr(detail, "\"asynchronous\":true"));
    assert_non_null(strstr(detail, "\"class\":\"invalid_address\""));
    assert_non_null(strstr(detail, "\"severity\":\"hard\""));
    assert_non_null(strstr(detail, "\"status\":\"5.1.1\""));
    assert_non_null(strstr(detail, "User \\\"x\\\" unknown"));
    assert_non_null(strstr(detail, "\"remote_host\":\"mx.x.example\""));
    assert_non_null(strstr(detail, "\"address\":\"r@x.example\""));
    assert_null(strstr(detail, "feedback_type"));
    arena_free(&arena);
}

static void read_bounce(const char *message, struct arena *arena,
                        struct returned_mail *out_mail)
{
    struct returned_input input = { .message = text_of(message),
                                    .has_path = true,
                                    .path = { RETURN_BOUNCE, 1, 2 },
                                    .is_null_sender = true };
    returned_mail_read(&input, arena, out_mail);
    assert_int_equal(out_mail->meaning, RETURNED_BOUNCE);
}

/* T23: what is no code of RFC 3463 is not handed on to the sender. */
static void a_status_that_is_none_is_not_kept(void **state)
{
    static const struct {
        const char *message;
        const char *status;
    } cases[] = {
        { DSN("failed", "5.1.1", "550 User unknown"), "5.1.1" },
        { DSN("failed", "4.4.7 (expired)", "550 User unknown"), "4.4.7" },
        { DSN("failed", "5.1.100", "550 User unknown"), "5.1.100" },
        { DSN("failed", "5.-1.1", "550 User unknown"), "" },
        { DSN("failed", "2.0.0", "550 User unknown"), "" },
        { DSN("failed", "5.1", "550 User unknown"), "" },
        { DSN("failed", "5.1.1000", "550 User unknown"), "" },
        { DSN("failed", "5.1.1.1", "550 User unknown"), "" },
        { DSN("failed", ".....", "550 User unknown"), "" },
        { DSN("failed", "51.1.1", "550 User unknown"), "" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct arena *arena = arena_create();
        struct returned_mail mail;
        read_bounce(cases[i].message, arena, &mail);
        assert_string_equal(mail.status, cases[i].status);
        arena_free(&arena);
    }
}

/* T23: a report cannot fill the ledger; what is cut ends with a whole
 * character. */
static void long_words_are_cut(void **state)
{
    struct buffer message = { 0 };
    struct arena *arena = arena_create();
    struct returned_mail mail;
    (void)state;
    buffer_append_string(&message,
                         DSN_HEAD "Action: failed\r\nStatus: 5.1.1\r\n"
                                  "Final-Recipient: rfc822; ");
    for (int i = 0; i < 5000; i++) {
        buffer_append_string(&message, "a");
    }
    buffer_append_string(&message, "@x.example\r\nRemote-MTA: dns; x");
    for (int i = 0; i < 50000; i++) {
        buffer_append_string(&message, "\xc3\xa4");
    }
    buffer_append_string(&message, "\r\n\r\n--b--\r\n");
    buffer_append_byte(&message, '\0');
    read_bounce(message.data, arena, &mail);
    assert_int_equal(strlen(mail.address), 320);
    assert_int_equal(strlen(mail.remote_host), 319);
    assert_true(text_is_utf8(text_of(mail.remote_host)));
    arena_free(&arena);
    buffer_free(&message);
}

/* B9: whichever of our addresses the provider left in. */
static void paths_are_found_in_what_is_returned(void **state)
{
    static const char *const patterns[] = {
        "Return-Path: <%s@b.example>\r\nSubject: x\r\n",
        "Subject: x\r\nCFBL-Address: %s@b.example; report=arf\r\n",
        "X: b+c b+b+ u+\r\nList-Unsubscribe: <https://x/>,\r\n "
        "<mailto:%s@b>\r\n",
        "%s",
    };
    static const uint8_t secret[MAC_SECRET_BYTES] = { 9 };
    struct token_keys *keys = token_keys_create();
    struct return_path path = { RETURN_UNSUBSCRIBE, 5, 6 };
    char local[RETURN_PATH_LOCAL_CHARACTERS + 1];
    (void)state;
    token_keys_add(keys, 1, secret);
    token_keys_use(keys, 1);
    return_path_write(keys, &path, local);
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(patterns); i++) {
        struct arena *arena = arena_create();
        bool is_forged = i % 2 == 1;
        struct buffer header = { 0 };
        struct returned_mail mail = { .meaning = RETURNED_COMPLAINT };
        const char *at = strchr(patterns[i / 2], '%');
        buffer_append(&header, patterns[i / 2], (size_t)(at - patterns[i / 2]));
        buffer_append_string(&header, local);
        if (is_forged) {
            header.data[header.length - 1] ^= 1;
        }
        buffer_append_string(&header, at + 2);
        mail.returned_header = buffer_text(&header);
        returned_mail_find_path(&mail, keys);
        assert_int_equal(mail.has_path, !is_forged);
        assert_int_equal(mail.path.delivery_id, is_forged ? 0 : 6);
        buffer_free(&header);
        arena_free(&arena);
    }
    token_keys_free(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_mean_what_they_say),
        cmocka_unit_test(details_are_json),
        cmocka_unit_test(a_status_that_is_none_is_not_kept),
        cmocka_unit_test(long_words_are_cut),
        cmocka_unit_test(paths_are_found_in_what_is_returned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
