/* SPDX-License-Identifier: MIT */
#include "tracking/returned_mail.h"

#include <string.h>

#include "core/encoding.h"
#include "core/memory.h"
#include "tracking/arf.h"
#include "tracking/dsn.h"

/* So many candidates for a token are tried: a report has a few. */
#define CANDIDATES_MAX 200

const char *returned_meaning_name(enum returned_meaning meaning)
{
    static const char *const names[] = {
        [RETURNED_NOTHING] = "nothing",
        [RETURNED_FOREIGN] = "foreign",
        [RETURNED_BOUNCE] = "bounce",
        [RETURNED_DELAY] = "delay",
        [RETURNED_AUTO_REPLY] = "auto-reply",
        [RETURNED_COMPLAINT] = "complaint",
        [RETURNED_FEEDBACK] = "feedback",
        [RETURNED_UNSUBSCRIBE] = "unsubscribe",
    };
    return names[meaning];
}

/* -- the token in a returned message -- */

static bool is_base32(char byte)
{
    char lower = ascii_lower(byte);
    return (lower >= 'a' && lower <= 'z') || (lower >= '2' && lower <= '7');
}

static bool may_begin(struct text text, size_t at)
{
    char letter = ascii_lower(text.data[at]);
    return (letter == 'b' || letter == 'f' || letter == 'u') &&
           text.data[at + 1] == '+' && is_base32(text.data[at + 2]);
}

/* Return-Path, CFBL-Address and List-Unsubscribe all have one of our local
 * parts: whichever the provider left in. */
static bool find_path(const struct token_keys *keys, struct text header,
                      struct return_path *out_path)
{
    size_t candidates = 0;
    for (size_t at = 0; at + RETURN_PATH_LOCAL_CHARACTERS <= header.length &&
                        candidates < CANDIDATES_MAX;
         at++) {
        if (!may_begin(header, at)) {
            continue;
        }
        candidates++;
        struct text local =
            text_slice(header, at, at + RETURN_PATH_LOCAL_CHARACTERS);
        if (return_path_read(keys, local, out_path)) {
            return true;
        }
    }
    return false;
}

void returned_mail_find_path(struct returned_mail *mail,
                             const struct token_keys *keys)
{
    if (!mail->has_path &&
        find_path(keys, mail->returned_header, &mail->path)) {
        mail->has_path = true;
    }
}

/* -- feedback reports -- */

static void take_feedback(const struct arf *arf, struct returned_mail *out_mail)
{
    bool is_opt_out = arf->type == ARF_OPT_OUT;
    out_mail->meaning = is_opt_out        ? RETURNED_UNSUBSCRIBE
                        : arf->suppresses ? RETURNED_COMPLAINT
                                          : RETURNED_FEEDBACK;
    out_mail->feedback_type = arf_type_name(arf->type);
    out_mail->user_agent = arf->user_agent;
    out_mail->source_ip = arf->source_ip;
    out_mail->suppresses = out_mail->meaning == RETURNED_COMPLAINT;
    out_mail->returned_header = arf->returned.header;
}

/* -- notifications -- */

/* The recipient that failed; a report about one of ours names one, unless it
 * was forwarded to several. */
static const struct dsn_recipient *choose_recipient(const struct dsn *dsn)
{
    enum dsn_action wanted = dsn->kind == DSN_BOUNCE ? DSN_FAILED : DSN_DELAYED;
    for (size_t i = 0; i < dsn->recipient_count; i++) {
        if (dsn->recipients[i].action == wanted) {
            return &dsn->recipients[i];
        }
    }
    return dsn->recipient_count > 0 ? &dsn->recipients[0] : NULL;
}

static void take_notification(const struct dsn *dsn,
                              struct returned_mail *out_mail)
{
    const struct dsn_recipient *recipient = choose_recipient(dsn);
    bool is_bounce = dsn->kind == DSN_BOUNCE;
    out_mail->meaning = is_bounce ? RETURNED_BOUNCE : RETURNED_DELAY;
    out_mail->class = bounce_class_name(BOUNCE_UNKNOWN);
    out_mail->severity = bounce_severity_name(BOUNCE_SOFT);
    if (recipient != NULL) {
        out_mail->class = bounce_class_name(recipient->verdict.class);
        out_mail->severity = bounce_severity_name(recipient->verdict.severity);
        out_mail->status = recipient->status;
        out_mail->diagnostic = recipient->diagnostic;
        out_mail->remote_host = recipient->remote_host[0] != '\0'
                                    ? recipient->remote_host
                                    : dsn->reporting_host;
        out_mail->address = recipient->address;
        out_mail->suppresses = is_bounce && recipient->verdict.suppresses;
        out_mail->is_inactive =
            is_bounce && recipient->verdict.class == BOUNCE_INACTIVE;
    }
}

static void take_reply(const struct dsn *dsn, struct returned_mail *out_mail)
{
    out_mail->meaning = RETURNED_AUTO_REPLY;
    out_mail->class = bounce_class_name(
        dsn->kind == DSN_CHALLENGE ? BOUNCE_CHALLENGE : BOUNCE_AUTO_REPLY);
}

/* Neither a report nor an automatic reply. */
static void take_other(const struct returned_input *input,
                       struct returned_mail *out_mail)
{
    if (input->has_path && input->path.kind == RETURN_UNSUBSCRIBE &&
        !input->is_null_sender) {
        out_mail->meaning = RETURNED_UNSUBSCRIBE;
    } else {
        out_mail->meaning =
            input->is_null_sender ? RETURNED_NOTHING : RETURNED_FOREIGN;
    }
}

void returned_mail_read(const struct returned_input *input, struct arena *arena,
                        struct returned_mail *out_mail)
{
    struct text message = text_slice(input->message, 0,
                                     input->message.length < RETURNED_BYTES_READ
                                         ? input->message.length
                                         : RETURNED_BYTES_READ);
    bool is_unsubscribe =
        input->has_path && input->path.kind == RETURN_UNSUBSCRIBE;
    struct dsn dsn;
    struct arf arf;
    *out_mail = (struct returned_mail){
        .has_path = input->has_path,
        .path = input->path,
        .class = "",
        .severity = "",
        .status = "",
        .diagnostic = "",
        .remote_host = "",
        .address = "",
        .feedback_type = "",
        .dkim = "",
        .user_agent = "",
        .source_ip = "",
    };
    bool is_feedback = arf_read(message, arena, &arf);
    if (!is_feedback) {
        dsn_read(message, arena, &dsn);
    }
    if (is_unsubscribe && (is_feedback || dsn.kind != DSN_NONE)) {
        out_mail->meaning = RETURNED_NOTHING; /* nobody asked for it */
    } else if (is_feedback) {
        take_feedback(&arf, out_mail);
    } else if (!input->has_path) {
        out_mail->meaning = RETURNED_FOREIGN;
    } else if (dsn.kind == DSN_BOUNCE || dsn.kind == DSN_DELAY) {
        take_notification(&dsn, out_mail);
    } else if (dsn.kind == DSN_AUTO_REPLY || dsn.kind == DSN_CHALLENGE) {
        take_reply(&dsn, out_mail);
    } else if (dsn.kind == DSN_NONE) {
        take_other(input, out_mail);
    }
}

/* -- the event -- */

static void add(struct buffer *detail, const char *name, const char *value)
{
    if (value[0] != '\0') {
        json_append_member(detail, name, value);
    }
}

const char *returned_mail_detail(const struct returned_mail *mail,
                                 struct arena *arena)
{
    struct buffer detail = { 0 };
    buffer_append_string(&detail, "{\"asynchronous\":true");
    add(&detail, "class", mail->class);
    add(&detail, "severity", mail->severity);
    add(&detail, "status", mail->status);
    add(&detail, "diagnostic", mail->diagnostic);
    add(&detail, "remote_host", mail->remote_host);
    add(&detail, "address", mail->address);
    add(&detail, "feedback_type", mail->feedback_type);
    add(&detail, "dkim", mail->dkim);
    add(&detail, "user_agent", mail->user_agent);
    add(&detail, "source_ip", mail->source_ip);
    buffer_append_byte(&detail, '}');
    const char *copy = arena_copy_text(arena, buffer_text(&detail));
    buffer_free(&detail);
    return copy;
}
