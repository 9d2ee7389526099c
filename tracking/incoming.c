/* SPDX-License-Identifier: MIT */
/*
 * The parts are found by mime_scan. Many reports are no MIME, or have the
 * returned message in the text: it is cut off where a line says so and header
 * fields follow, or where a Received or Return-Path field begins a line.
 */
#include "tracking/incoming.h"

#include <string.h>

#include "core/memory.h"
#include "tracking/address_text.h"
#include "tracking/charset.h"
#include "tracking/encoded_word.h"
#include "tracking/html.h"
#include "tracking/line.h"
#include "tracking/mime.h"
#include "tracking/phrase.h"
#include "tracking/transfer.h"

#define FIELDS_MAX 1000
/* Non-empty lines behind "original message follows" that may stand before its
 * first header field. */
#define LINES_BEFORE_HEADER_MAX 3

/* -- fields -- */

bool incoming_next_field(struct text *lines, struct header_field *out_field)
{
    while (lines->length > 0) {
        if (header_next(lines, out_field)) {
            return true;
        }
        if (line_content(line_take(lines)).length == 0) {
            return false;
        }
    }
    return false;
}

const char *incoming_field(struct arena *arena, struct text header,
                           const char *name)
{
    struct header_field field;
    for (size_t i = 0; i < FIELDS_MAX && incoming_next_field(&header, &field);
         i++) {
        if (text_is_ignoring_case(field.name, name)) {
            return encoded_text_decode(arena, field.value);
        }
    }
    return "";
}

/* Fields up to the empty line; the body begins behind it. */
static struct text header_of(struct text message, struct text *out_body)
{
    struct text rest = message;
    while (rest.length > 0) {
        struct text before = rest;
        if (line_content(line_take(&rest)).length == 0) {
            *out_body = rest;
            return text_slice(message, 0, (size_t)(before.data - message.data));
        }
    }
    *out_body = (struct text){ message.data + message.length, 0 };
    return message;
}

/* -- the bytes -- */

/* The message with CRLF line ends, without an mbox line, a byte order mark and
 * empty lines on top. */
static struct text make_sound_lines(struct text bytes, struct arena *arena)
{
    struct buffer lines = { 0 };
    bytes =
        text_slice(bytes, 0,
                   bytes.length < INCOMING_MESSAGE_MAX ? bytes.length
                                                       : INCOMING_MESSAGE_MAX);
    if (text_starts_with_ignoring_case(bytes, "\xef\xbb\xbf")) {
        bytes = text_slice(bytes, 3, bytes.length);
    }
    buffer_reserve(&lines, bytes.length + bytes.length / 32);
    bool is_top = true;
    while (bytes.length > 0) {
        struct text line = line_take(&bytes);
        struct text content = line_content(line);
        bool is_mbox = text_starts_with_ignoring_case(content, "From ") ||
                       text_starts_with_ignoring_case(content, ">From ");
        if (is_top && (content.length == 0 || is_mbox)) {
            continue;
        }
        is_top = false;
        buffer_append_text(&lines, content);
        buffer_append_string(&lines, "\r\n");
    }
    struct text copy = {
        arena_copy_text(arena, buffer_text(&lines)),
        lines.length,
    };
    buffer_free(&lines);
    return copy;
}

/* -- parts -- */

static void decode_transfer(struct text body, enum mime_encoding encoding,
                            struct buffer *out_bytes)
{
    if (encoding == MIME_QUOTED_PRINTABLE) {
        quoted_printable_decode(body, out_bytes);
    } else if (encoding != MIME_BASE64 ||
               !base64_decode_lines(body, out_bytes)) {
        buffer_append_text(out_bytes, body);
    }
}

static struct text copy_buffer(struct arena *arena, struct buffer *buffer)
{
    struct text copy = {
        arena_copy_text(arena, buffer_text(buffer)),
        buffer->length,
    };
    buffer_free(buffer);
    return copy;
}

/* Without a CR at line ends: one form for all that is decoded. */
static void drop_returns(struct buffer *text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->length; i++) {
        if (text->data[i] != '\r') {
            text->data[kept++] = text->data[i];
        }
    }
    text->length = kept;
}

static struct text decoded_part(struct arena *arena, struct text message,
                                const struct mime_part *part, size_t size_max)
{
    struct buffer bytes = { 0 };
    struct text body = mime_part_body(message, part);
    body = text_slice(body, 0, body.length < size_max ? body.length : size_max);
    decode_transfer(body, part->encoding, &bytes);
    drop_returns(&bytes);
    return copy_buffer(arena, &bytes);
}

static void append_as_utf8(struct text bytes, const char *label,
                           struct buffer *text)
{
    struct charset charset = charset_find(label, bytes);
    if (charset.form == CHARSET_UNKNOWN ||
        !charset_to_utf8(&charset, bytes, 0, bytes.length, text)) {
        buffer_append_text(text, bytes);
    }
}

static void append_notification(struct text message,
                                const struct mime_part *part,
                                struct buffer *text)
{
    struct buffer bytes = { 0 };
    struct buffer characters = { 0 };
    struct text body = mime_part_body(message, part);
    body = text_slice(body, 0,
                      body.length < INCOMING_TEXT_MAX ? body.length
                                                      : INCOMING_TEXT_MAX);
    decode_transfer(body, part->encoding, &bytes);
    append_as_utf8(buffer_text(&bytes), part->charset, &characters);
    bool is_html =
        strcmp(part->type, "text/html") == 0 &&
        text_find_byte(buffer_text(&characters), '<') < characters.length;
    if (is_html) {
        html_to_text(buffer_text(&characters), text);
    } else {
        buffer_append_text(text, buffer_text(&characters));
    }
    buffer_append_string(text, "\n");
    buffer_free(&characters);
    buffer_free(&bytes);
}

static bool is_one_of(const char *type, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(type, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const char *const status_types[] = {
    "message/delivery-status",
    "message/global-delivery-status",
    "message/xdelivery-status",
    "text/delivery-status",
    NULL,
};
static const char *const feedback_types[] = {
    "message/feedback-report",
    "message/xfeedback-report",
    NULL,
};
static const char *const disposition_types[] = {
    "message/disposition-notification",
    "message/global-disposition-notification",
    NULL,
};
static const char *const returned_types[] = {
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "text/rfc822-header",
    "message/rfc822-headers",
    "message/global-headers",
    "text/rfc822",
    "message/news",
    "message/rfc822-header",
    "message/partial",
    NULL,
};

/* What the reading of one message is about. */
struct reader {
    struct text message;
    struct mime mime;
    struct arena *arena;
    struct incoming *incoming;
};

/* The first part of such a type that is not, or else that is, inside a
 * returned message: a report may have been forwarded. */
static const struct mime_part *find_part(const struct reader *reader,
                                         const char *const *types,
                                         bool may_be_enclosed)
{
    for (size_t i = 0; i < reader->mime.part_count; i++) {
        const struct mime_part *part = &reader->mime.parts[i];
        if (is_one_of(part->type, types) &&
            (may_be_enclosed || !part->is_enclosed)) {
            return part;
        }
    }
    return NULL;
}

static struct text read_report(const struct reader *reader,
                               const char *const *types, bool may_be_enclosed)
{
    const struct mime_part *part = find_part(reader, types, may_be_enclosed);
    return part != NULL ? decoded_part(reader->arena, reader->message, part,
                                       INCOMING_REPORT_MAX)
                        : (struct text){ "", 0 };
}

static bool is_text(const struct mime_part *part, const char *type,
                    bool may_be_enclosed)
{
    size_t length = strlen(type);
    return !part->is_multipart && !part->is_message &&
           (may_be_enclosed || !part->is_enclosed) &&
           strncmp(part->type, type, length) == 0 &&
           !is_one_of(part->type, returned_types) &&
           !is_one_of(part->type, status_types);
}

static bool has_words(const struct buffer *text)
{
    size_t letters = 0;
    for (size_t i = 0; i < text->length && letters < 8; i++) {
        letters += (unsigned char)text->data[i] > ' ';
    }
    return letters >= 8;
}

static void read_texts(const struct reader *reader, const char *type,
                       bool may_be_enclosed, struct buffer *text)
{
    for (size_t i = 0; i < reader->mime.part_count; i++) {
        const struct mime_part *part = &reader->mime.parts[i];
        if (text->length < INCOMING_TEXT_MAX &&
            is_text(part, type, may_be_enclosed)) {
            append_notification(reader->message, part, text);
        }
    }
}

/* -- the returned message in the text -- */

static bool is_known_field(struct text line)
{
    static const char *const names[] = {
        "received:",
        "return-path:",
        "message-id:",
        "from:",
        "to:",
        "date:",
        "subject:",
        "mime-version:",
        "delivered-to:",
        "content-type:",
        "x-",
        "sender:",
        "reply-to:",
        "dkim-signature:",
        "authentication-results:",
        "arc-",
        "cc:",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (text_starts_with_ignoring_case(line, names[i])) {
            return true;
        }
    }
    /* The mbox line, as nobody writes it in a sentence. */
    return line.length > 5 && memcmp(line.data, "From ", 5) == 0 &&
           text_find_byte(line, '@') < line.length;
}

/* Blanks and quoting marks in front go. */
static struct text without_quotes(struct text line)
{
    while (line.length > 0 && (strchr(" \t>|", line.data[0]) != NULL) &&
           line.data[0] != '\0') {
        line = text_slice(line, 1, line.length);
    }
    return line;
}

static bool announces_message(struct text line)
{
    static const char *const phrases[] = {
        "copy of the message",
        "copy of your message",
        "copy of the original",
        "copy of the mail",
        "original message",
        "original mail",
        "original email",
        "unsent message",
        "message header",
        "message text follows",
        "message follows",
        "mail follows",
        "headers follow",
        "header follows",
        "header of the",
        "headers of the",
        "message returned",
        "returned message",
        "body of",
        "undelivered message",
        "message body",
        "below this line",
        "end of report",
        "ursprüngliche",
        "message d'origine",
        "mensaje original",
        "mensagem original",
        "messaggio originale",
        NULL,
    };
    if (line.length > 200 || line.length < 8) {
        return false;
    }
    struct phrase_text folded;
    phrase_fold(line, &folded);
    return phrase_find(&folded, phrases) != NULL;
}

/* Whether header fields begin within a few lines. */
static bool is_header_near(struct text rest)
{
    for (size_t i = 0; i < LINES_BEFORE_HEADER_MAX && rest.length > 0;) {
        struct text line = without_quotes(line_content(line_take(&rest)));
        if (is_known_field(line)) {
            return true;
        }
        i += line.length > 0;
    }
    return false;
}

/* "Received: from" and its like begin a returned header by themselves. */
static bool begins_header(struct text line, struct text rest)
{
    line = without_quotes(line);
    bool is_trace = text_starts_with_ignoring_case(line, "Received: ") ||
                    text_starts_with_ignoring_case(line, "Received:\t") ||
                    text_starts_with_ignoring_case(line, "Return-Path:");
    if (!is_trace) {
        return false;
    }
    struct text next = line_content(line_take(&rest));
    return line_is_folded(next) || is_known_field(without_quotes(next));
}

/* Where in the text the returned message begins; its length: nowhere. A line
 * of dashes that announces it ends the notification even if nothing follows. */
static size_t find_returned(struct text text)
{
    struct text rest = text;
    while (rest.length > 0) {
        size_t from = (size_t)(rest.data - text.data);
        struct text line = line_content(line_take(&rest));
        if (begins_header(line, rest)) {
            return from;
        }
        struct text trimmed = text_trim(line);
        bool is_ruled = text_starts_with_ignoring_case(trimmed, "--");
        if (announces_message(trimmed) && (is_ruled || is_header_near(rest))) {
            return from;
        }
    }
    return text.length;
}

/* The same text with quoting marks gone from the front of lines that have
 * them, up to the body. */
static struct text unquoted(struct arena *arena, struct text text)
{
    struct buffer lines = { 0 };
    struct text rest = text;
    while (rest.length > 0 && !is_known_field(without_quotes(rest))) {
        line_take(&rest);
    }
    size_t margin = (size_t)(without_quotes(rest).data - rest.data);
    while (rest.length > 0 && lines.length < INCOMING_HEADER_MAX) {
        struct text line = line_content(line_take(&rest));
        size_t marks = (size_t)(without_quotes(line).data - line.data);
        line = text_slice(line, marks < margin ? marks : margin, line.length);
        buffer_append_text(&lines, line);
        buffer_append_string(&lines, "\r\n");
    }
    return copy_buffer(arena, &lines);
}

/* -- the whole -- */

static void read_returned(struct arena *arena, struct text message,
                          struct incoming_returned *out_returned)
{
    struct text header = header_of(message, &out_returned->body);
    out_returned->message = message;
    if (header.length > INCOMING_HEADER_MAX) {
        header = text_slice(header, 0, INCOMING_HEADER_MAX);
    }
    out_returned->header = header;
    out_returned->message_id = incoming_field(arena, header, "Message-ID");
    out_returned->envelope_sender =
        address_text_first(arena, incoming_field(arena, header, "Return-Path"));
    out_returned->from =
        address_text_first(arena, incoming_field(arena, header, "From"));
    out_returned->to =
        address_text_first(arena, incoming_field(arena, header, "To"));
}

static void read_returned_part(const struct reader *reader)
{
    const struct mime_part *part = find_part(reader, returned_types, false);
    if (part == NULL) {
        return;
    }
    struct text body = mime_part_body(reader->message, part);
    if (part->encoding == MIME_BASE64 ||
        part->encoding == MIME_QUOTED_PRINTABLE) {
        struct buffer bytes = { 0 };
        decode_transfer(body, part->encoding, &bytes);
        body = copy_buffer(reader->arena, &bytes);
    }
    read_returned(reader->arena, body, &reader->incoming->returned);
}

static void read_notification(const struct reader *reader)
{
    struct buffer text = { 0 };
    read_texts(reader, "text/plain", false, &text);
    if (!has_words(&text)) {
        read_texts(reader, "text/", false, &text);
    }
    if (!has_words(&text)) {
        read_texts(reader, "text/", true, &text);
    }
    if (!has_words(&text)) {
        append_notification(reader->message, &reader->mime.parts[0], &text);
    }
    drop_returns(&text);
    struct text whole = copy_buffer(reader->arena, &text);
    size_t end = find_returned(whole);
    struct incoming *incoming = reader->incoming;
    incoming->notification = text_slice(whole, 0, end);
    if (end < whole.length && incoming->returned.header.length == 0) {
        read_returned(
            reader->arena,
            unquoted(reader->arena, text_slice(whole, end, whole.length)),
            &incoming->returned);
    }
}

/* Beyond the limits of structure: the whole is one text. */
static void take_as_text(struct reader *reader)
{
    struct text body;
    struct text header = header_of(reader->message, &body);
    struct mime_part *part = arena_alloc(reader->arena, sizeof(*part));
    *part = (struct mime_part){
        .parent = MIME_NO_PARENT,
        .header_to = header.length,
        .body_from = reader->message.length - body.length,
        .body_to = reader->message.length,
        .type = "text/plain",
        .charset = "",
    };
    reader->mime = (struct mime){ part, 1 };
}

void incoming_read(struct text bytes, struct arena *arena,
                   struct incoming *out_incoming)
{
    static const struct mime_limits limits = { 20, 200 };
    struct error error;
    *out_incoming = (struct incoming){
        .returned = { { "", 0 }, { "", 0 }, { "", 0 }, "", "", "", "" },
    };
    struct reader reader = {
        .message = make_sound_lines(bytes, arena),
        .arena = arena,
        .incoming = out_incoming,
    };
    if (!mime_scan(reader.message, &limits, arena, &reader.mime, &error)) {
        take_as_text(&reader);
    }
    struct text body;
    out_incoming->header = header_of(reader.message, &body);
    out_incoming->feedback = read_report(&reader, feedback_types, true);
    out_incoming->status = read_report(&reader, status_types, true);
    out_incoming->disposition = read_report(&reader, disposition_types, false);
    read_returned_part(&reader);
    read_notification(&reader);
}
