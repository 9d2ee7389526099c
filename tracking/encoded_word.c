/* SPDX-License-Identifier: MIT */
/* See encoded_word.h. */
#include "tracking/encoded_word.h"

#include <iconv.h>
#include <string.h>

#include "core/encoding.h"
#include "tracking/charset.h"
#include "tracking/transfer.h"

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static bool is_line_end(char byte)
{
    return byte == '\r' || byte == '\n';
}

/* --- one word --- */

/* Where the part that begins at `from` ends: at its "?"; 0: it does not. */
static size_t find_part_end(struct text text, size_t from, bool allows_blanks)
{
    for (size_t at = from; at < text.length; at++) {
        if (text.data[at] == '?') {
            return at;
        }
        if (is_line_end(text.data[at]) ||
            (is_blank(text.data[at]) && !allows_blanks)) {
            return 0;
        }
    }
    return 0;
}

/* The word that the text begins with; returns its length, or 0. */
static size_t take_word(struct text text, struct encoded_word *out_word)
{
    if (text.length < 2 || text.data[0] != '=' || text.data[1] != '?') {
        return 0;
    }
    size_t charset_end = find_part_end(text, 2, false);
    if (charset_end <= 2 || charset_end + 2 >= text.length ||
        text.data[charset_end + 2] != '?') {
        return 0;
    }
    char encoding = ascii_lower(text.data[charset_end + 1]);
    size_t payload_from = charset_end + 3;
    size_t payload_end = find_part_end(text, payload_from, true);
    if ((encoding != 'q' && encoding != 'b') || payload_end == 0 ||
        payload_end + 1 >= text.length || text.data[payload_end + 1] != '=') {
        return 0;
    }
    struct text charset = text_slice(text, 2, charset_end);
    *out_word = (struct encoded_word){
        .head = text_slice(text, 0, payload_from),
        .charset = text_slice(charset, 0, text_find_byte(charset, '*')),
        .is_base64 = encoding == 'b',
        .payload = text_slice(text, payload_from, payload_end),
    };
    return payload_end + 2;
}

/* The byte that stands at the start of a Q payload (RFC 2047, 4.2); an "=" that
 * begins no code is itself. Returns the length of what stands for it. */
static size_t take_q_byte(struct text payload, char *out_byte)
{
    char first = payload.data[0];
    if (first == '=' && payload.length >= 3) {
        int high = ascii_hex_value(payload.data[1]);
        int low = ascii_hex_value(payload.data[2]);
        if (high >= 0 && low >= 0) {
            *out_byte = (char)(high << 4 | low);
            return 3;
        }
    }
    *out_byte = first == '_' ? ' ' : first;
    return 1;
}

static void decode_q(struct text payload, struct buffer *out_bytes)
{
    while (payload.length > 0) {
        char byte;
        size_t length = take_q_byte(payload, &byte);
        buffer_append_byte(out_bytes, byte);
        payload = text_slice(payload, length, payload.length);
    }
}

/* Padding may be missing; with foreign bytes in it there is no text. */
static void decode_b(struct text payload, struct buffer *out_bytes)
{
    struct buffer padded = { 0 };
    buffer_append_text(&padded, payload);
    while (padded.length % 4 != 0) {
        buffer_append_byte(&padded, '=');
    }
    if (!base64_decode_lines(buffer_text(&padded), out_bytes)) {
        buffer_append_byte(out_bytes, SUBSTITUTE);
    }
    buffer_free(&padded);
}

void encoded_word_bytes(const struct encoded_word *word,
                        struct buffer *out_bytes)
{
    if (word->is_base64) {
        decode_b(word->payload, out_bytes);
    } else {
        decode_q(word->payload, out_bytes);
    }
}

/* --- charsets --- */

#define CHARSET_LABEL_MAX 64

static struct charset find_charset(const struct encoded_word *word,
                                   struct text bytes)
{
    char label[CHARSET_LABEL_MAX];
    if (word->charset.length == 0 || word->charset.length >= sizeof(label)) {
        return (struct charset){ .form = CHARSET_UNKNOWN };
    }
    memcpy(label, word->charset.data, word->charset.length);
    label[word->charset.length] = '\0';
    return charset_find(label, bytes);
}

static void decode_word(const struct encoded_word *word,
                        struct buffer *out_utf8)
{
    struct buffer bytes = { 0 };
    encoded_word_bytes(word, &bytes);
    struct charset charset = find_charset(word, buffer_text(&bytes));
    if (!charset_to_utf8(&charset, buffer_text(&bytes), 0, bytes.length,
                         out_utf8)) {
        buffer_append_byte(out_utf8, SUBSTITUTE);
    }
    buffer_free(&bytes);
}

/* False: the charset cannot say it. */
static bool convert_back(const char *iconv_name, struct text utf8,
                         struct buffer *out_bytes)
{
    iconv_t conversion = iconv_open(iconv_name, "UTF-8");
    if (conversion == (iconv_t)-1) {
        return false;
    }
    char *in = (char *)utf8.data;
    size_t in_left = utf8.length;
    /* Enough for four-byte units and a shift around each character. */
    size_t out_left = utf8.length * 8 + 16;
    buffer_reserve(out_bytes, out_left);
    char *out = out_bytes->data;
    bool is_converted =
        iconv(conversion, &in, &in_left, &out, &out_left) != (size_t)-1 &&
        iconv(conversion, NULL, NULL, &out, &out_left) != (size_t)-1;
    iconv_close(conversion);
    out_bytes->length = is_converted ? (size_t)(out - out_bytes->data) : 0;
    return is_converted;
}

/* How many of the word's bytes say the kept text; SIZE_MAX: no first bytes do,
 * because a shift sequence would stay open. */
static size_t measure_kept_bytes(const struct encoded_word *word,
                                 struct text bytes, struct text kept)
{
    struct charset charset = find_charset(word, bytes);
    if (charset.form == CHARSET_ASCII_SUPERSET && kept.length <= bytes.length &&
        text_equal(kept, text_slice(bytes, 0, kept.length))) {
        return kept.length;
    }
    struct buffer back = { 0 };
    size_t length = SIZE_MAX;
    if (charset.form != CHARSET_UNKNOWN &&
        convert_back(charset.iconv_name, kept, &back) &&
        back.length <= bytes.length &&
        text_equal(buffer_text(&back), text_slice(bytes, 0, back.length))) {
        length = back.length;
    }
    buffer_free(&back);
    return length;
}

/* --- shorter words --- */

static void append_q_byte(char byte, struct buffer *out)
{
    if (ascii_is_alnum(byte)) {
        buffer_append_byte(out, byte);
    } else if (byte == ' ') {
        buffer_append_byte(out, '_');
    } else {
        buffer_printf(out, "=%02X", (unsigned)(unsigned char)byte);
    }
}

static void append_in_utf8(const struct encoded_word *word, struct text kept,
                           struct buffer *out)
{
    buffer_append_string(out, word->is_base64 ? "=?utf-8?B?" : "=?utf-8?Q?");
    if (word->is_base64) {
        base64_encode(kept, out);
    }
    for (size_t i = 0; i < kept.length && !word->is_base64; i++) {
        append_q_byte(kept.data[i], out);
    }
}

static void append_payload(const struct encoded_word *word, struct text bytes,
                           struct buffer *out)
{
    if (word->is_base64) {
        base64_encode(bytes, out);
        return;
    }
    struct text rest = word->payload;
    for (size_t i = 0; i < bytes.length; i++) {
        char byte;
        rest = text_slice(rest, take_q_byte(rest, &byte), rest.length);
    }
    buffer_append_text(
        out, text_slice(word->payload, 0, word->payload.length - rest.length));
}

void encoded_word_shorten(const struct encoded_word *word, size_t length,
                          struct buffer *out_word)
{
    struct buffer bytes = { 0 };
    struct buffer utf8 = { 0 };
    encoded_word_bytes(word, &bytes);
    decode_word(word, &utf8);
    struct text kept = text_slice(buffer_text(&utf8), 0, length);
    size_t kept_bytes = measure_kept_bytes(word, buffer_text(&bytes), kept);
    if (kept_bytes == SIZE_MAX) {
        append_in_utf8(word, kept, out_word);
    } else {
        buffer_append_text(out_word, word->head);
        append_payload(word, text_slice(buffer_text(&bytes), 0, kept_bytes),
                       out_word);
    }
    buffer_append_string(out_word, "?=");
    buffer_free(&bytes);
    buffer_free(&utf8);
}

/* --- whole values --- */

static size_t measure_white_space(struct text text)
{
    size_t length = 0;
    while (length < text.length &&
           (is_blank(text.data[length]) || is_line_end(text.data[length]))) {
        length++;
    }
    return length;
}

static size_t measure_line_end(struct text text)
{
    bool has_cr = text.data[0] == '\r' && text.length > 1;
    return text.data[has_cr ? 1 : 0] == '\n' ? (has_cr ? 2 : 1) : 0;
}

/* Up to the next line end, or to what looks like a word. */
static size_t measure_plain(struct text text)
{
    size_t at = 1;
    while (at < text.length && text.data[at] != '\n' && text.data[at] != '\r' &&
           !(text.data[at] == '=' && at + 1 < text.length &&
             text.data[at + 1] == '?')) {
        at++;
    }
    return at;
}

/* White space between a word and the next one; 0: there is none, or no word
 * follows. */
static size_t measure_gap(const struct encoded_reader *reader)
{
    struct encoded_word next;
    size_t length =
        reader->is_behind_word ? measure_white_space(reader->rest) : 0;
    struct text behind = text_slice(reader->rest, length, reader->rest.length);
    return length > 0 && take_word(behind, &next) > 0 ? length : 0;
}

bool encoded_reader_next(struct encoded_reader *reader,
                         struct encoded_piece *out_piece)
{
    *out_piece = (struct encoded_piece){ .kind = PIECE_SKIPPED };
    struct text rest = reader->rest;
    if (rest.length == 0) {
        return false;
    }
    size_t length = measure_gap(reader);
    if (length == 0) {
        length = measure_line_end(rest);
    }
    if (length == 0) {
        length = take_word(rest, &out_piece->word);
        out_piece->kind = length > 0 ? PIECE_WORD : PIECE_PLAIN;
    }
    if (length == 0) {
        length = measure_plain(rest);
    }
    reader->is_behind_word = out_piece->kind == PIECE_WORD;
    out_piece->source = text_slice(rest, 0, length);
    reader->rest = text_slice(rest, length, rest.length);
    return true;
}

void encoded_piece_decode(const struct encoded_piece *piece,
                          struct buffer *out_utf8)
{
    if (piece->kind == PIECE_WORD) {
        decode_word(&piece->word, out_utf8);
    } else if (piece->kind == PIECE_PLAIN) {
        buffer_append_text(out_utf8, piece->source);
    }
}

char *encoded_text_decode(struct arena *arena, struct text value)
{
    struct encoded_reader reader = { .rest = value };
    struct encoded_piece piece;
    struct buffer utf8 = { 0 };
    while (encoded_reader_next(&reader, &piece)) {
        encoded_piece_decode(&piece, &utf8);
    }
    for (size_t i = 0; i < utf8.length; i++) {
        utf8.data[i] = utf8.data[i] == '\0' ? SUBSTITUTE : utf8.data[i];
    }
    char *text = arena_copy_text(arena, text_trim(buffer_text(&utf8)));
    buffer_free(&utf8);
    return text;
}
