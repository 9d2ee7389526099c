/* SPDX-License-Identifier: MIT */
#include "dkim/signer.h"

#include <inttypes.h>

#include "core/clock.h"
#include "core/memory.h"
#include "dkim/canonical.h"

/* The fields that are signed (D3; RFC 6376, 5.4.1). Oversigned: named once more
 * than it stands there, so that another one breaks the signature. */
static const struct {
    const char *name;
    bool is_oversigned;
} signed_fields[] = {
    { "From", true },
    { "Sender", false },
    { "Reply-To", true },
    { "To", true },
    { "Cc", true },
    { "Subject", true },
    { "Date", true },
    { "Message-ID", true },
    { "In-Reply-To", false },
    { "References", false },
    { "MIME-Version", true },
    { "Content-Type", true },
    { "Content-Transfer-Encoding", true },
    { "Content-ID", false },
    { "Content-Description", false },
    { "Content-Disposition", false },
    { "Content-Language", false },
    { "List-Id", false },
    { "List-Unsubscribe", true },
    { "List-Unsubscribe-Post", true },
    { "Feedback-ID", false },
    { "CFBL-Address", false },
    { "CFBL-Feedback-ID", false },
};

#define LINE_COLUMNS 76
#define SLICE_BYTES 4096

/* --- reading --- */

static void add_to_digest(void *owner, struct text piece)
{
    digest_add(owner, piece);
}

/* How much of the buffer is header, its last line's CRLF included; SIZE_MAX:
 * the empty line did not come yet. Looks from `from` on. */
static size_t find_empty_line(struct text bytes, size_t from)
{
    if (bytes.length >= 2 && bytes.data[0] == '\r' && bytes.data[1] == '\n') {
        return 0;
    }
    for (size_t at = from; at + 4 <= bytes.length; at++) {
        at += text_find_byte(text_slice(bytes, at, bytes.length), '\r');
        if (text_is(text_slice(bytes, at < bytes.length ? at : bytes.length,
                               at + 4 < bytes.length ? at + 4 : bytes.length),
                    "\r\n\r\n")) {
            return at + 2;
        }
    }
    return SIZE_MAX;
}

struct dkim_reader {
    struct buffer header;
    struct digest *digest;
    struct canonical_body body;
    bool is_in_body;
};

struct dkim_reader *dkim_reader_create(void)
{
    struct dkim_reader *reader = memory_alloc(sizeof(*reader));
    reader->digest = digest_begin();
    canonical_body_begin(&reader->body, CANONICAL_RELAXED, add_to_digest,
                         reader->digest);
    return reader;
}

/* Of the piece that the header ends in, the rest is body. */
static void read_slice(struct dkim_reader *reader, struct text slice)
{
    struct buffer *header = &reader->header;
    size_t from = header->length > 3 ? header->length - 3 : 0;
    buffer_append_text(header, slice);
    size_t end = find_empty_line(buffer_text(header), from);
    if (end != SIZE_MAX) {
        reader->is_in_body = true;
        canonical_body_add(&reader->body, text_slice(buffer_text(header),
                                                     end + 2, header->length));
        header->length = end;
    }
}

void dkim_reader_add(struct dkim_reader *reader, struct text piece)
{
    struct text rest = piece;
    while (!reader->is_in_body && rest.length > 0) {
        size_t length = rest.length < SLICE_BYTES ? rest.length : SLICE_BYTES;
        read_slice(reader, text_slice(rest, 0, length));
        rest = text_slice(rest, length, rest.length);
    }
    canonical_body_add(&reader->body, rest);
}

void dkim_reader_end(struct dkim_reader **reader_pointer,
                     struct dkim_message *out_message)
{
    struct dkim_reader *reader = *reader_pointer;
    canonical_body_end(&reader->body);
    out_message->header = reader->header;
    digest_end(&reader->digest, out_message->body_digest);
    memory_free(reader);
    *reader_pointer = NULL;
}

void dkim_message_free(struct dkim_message *message)
{
    buffer_free(&message->header);
}

/* --- fields --- */

/* Cut the last field with its folds off; false: there is none. */
static bool take_last_field(struct text *rest, struct text *out_field)
{
    if (rest->length == 0) {
        return false;
    }
    size_t begin = rest->length;
    do { /* back over one line */
        begin--;
        while (begin > 0 && rest->data[begin - 1] != '\n') {
            begin--;
        }
    } while (begin > 0 &&
             (rest->data[begin] == ' ' || rest->data[begin] == '\t'));
    *out_field = text_slice(*rest, begin, rest->length);
    *rest = text_slice(*rest, 0, begin);
    return true;
}

static bool is_named(struct text field, const char *name)
{
    struct text found = text_slice(field, 0, text_find_byte(field, ':'));
    return text_is_ignoring_case(text_trim(found), name);
}

/* Folds the value that is being written, at places where blanks mean nothing.
 */
struct folder {
    struct buffer *out;
    size_t line_begin;
};

static void put_unbroken(struct folder *folder, struct text text)
{
    size_t column = folder->out->length - folder->line_begin;
    if (column + text.length > LINE_COLUMNS) {
        buffer_append_string(folder->out, "\r\n\t");
        folder->line_begin = folder->out->length - 1;
    }
    buffer_append_text(folder->out, text);
}

static void put_base64(struct folder *folder, struct text bytes)
{
    struct buffer encoded = { 0 };
    base64_encode(bytes, &encoded);
    struct text rest = buffer_text(&encoded);
    while (rest.length > 0) {
        size_t column = folder->out->length - folder->line_begin;
        size_t room = column < LINE_COLUMNS ? LINE_COLUMNS - column : 0;
        size_t length = rest.length < room ? rest.length : room;
        put_unbroken(folder, text_slice(rest, 0, length > 0 ? length : 1));
        rest = text_slice(rest, length > 0 ? length : 1, rest.length);
    }
    buffer_free(&encoded);
}

/* h=, and the canonical fields it names in its order; repeated ones from the
 * bottom up (5.4.2). */
static void put_fields(struct folder *folder, struct text header,
                       struct buffer *out_signed)
{
    struct buffer name = { 0 };
    buffer_append_string(&name, "h=");
    for (size_t i = 0; i < ARRAY_LENGTH(signed_fields); i++) {
        size_t count = signed_fields[i].is_oversigned ? 1 : 0;
        struct text rest = header;
        struct text field;
        while (take_last_field(&rest, &field)) {
            if (is_named(field, signed_fields[i].name)) {
                canonical_field(field, CANONICAL_RELAXED, out_signed);
                count++;
            }
        }
        for (; count > 0; count--) {
            buffer_append_string(&name, signed_fields[i].name);
            put_unbroken(folder, buffer_text(&name));
            buffer_clear(&name);
            buffer_append_byte(&name, ':');
        }
    }
    buffer_append_byte(folder->out, ';');
    buffer_free(&name);
}

void dkim_sign(const struct dkim_message *message,
               const struct dkim_identity *identity, int64_t now,
               struct buffer *out_field)
{
    struct buffer field = { 0 };
    struct buffer bytes = { 0 }; /* that are signed */
    struct buffer signature = { 0 };
    struct folder folder = { .out = &field };
    buffer_printf(&field,
                  "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n\td=%s;"
                  " s=%s;\r\n\tt=%" PRId64 "; ",
                  dkim_algorithm_name(dkim_key_algorithm(identity->key)),
                  identity->domain, identity->selector, now / CLOCK_SECOND);
    folder.line_begin = field.length - 16;
    put_fields(&folder, buffer_text(&message->header), &bytes);
    buffer_append_string(&field, "\r\n\tbh=");
    folder.line_begin = field.length - 4;
    put_base64(&folder, (struct text){ (const char *)message->body_digest,
                                       SHA256_SIZE });
    buffer_append_string(&field, ";\r\n\tb=");
    folder.line_begin = field.length - 3;
    /* The field itself with an empty b=, without its CRLF (3.7). */
    canonical_field(buffer_text(&field), CANONICAL_RELAXED, &bytes);
    bytes.length -= 2;
    dkim_key_sign(identity->key, buffer_text(&bytes), &signature);
    put_base64(&folder, buffer_text(&signature));
    buffer_append_string(&field, "\r\n");
    buffer_append_text(out_field, buffer_text(&field));
    buffer_free(&field);
    buffer_free(&bytes);
    buffer_free(&signature);
}
