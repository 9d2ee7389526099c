/* SPDX-License-Identifier: MIT */
/*
 * A text is folded once, to at most PHRASE_TEXT_MAX octets. A set of the
 * three-octet pieces in it tells of nearly every phrase that it is not there,
 * without looking at the text again, so the cost does not grow with the
 * number of phrases times the text.
 */
#include "tracking/phrase.h"

#include <string.h>

/* How far apart the two sides of a "*" may stand. */
#define GAP_MAX 60

/* -- folding -- */

static bool is_kept_mark(char byte)
{
    return byte == '.' || byte == '/' || byte == '@' || byte == '#' ||
           byte == '%' || byte == '+' || byte == '&';
}

static bool is_8bit(char byte)
{
    return ((unsigned char)byte & 0x80) != 0;
}

/* Octets of words and addresses; what else there is parts them. */
static bool is_address_byte(char byte)
{
    return ascii_is_alnum(byte) || is_8bit(byte) ||
           (byte != '\0' && strchr("!#$%&*+-./?^_`{|}~@", byte) != NULL);
}

/* Where the word at `from` ends, and whether it is an address. */
static size_t end_of_word(struct text text, size_t from, bool *out_is_address)
{
    size_t at = from;
    bool has_at = false;
    while (at < text.length && is_address_byte(text.data[at])) {
        has_at = has_at || (text.data[at] == '@' && at > from);
        at++;
    }
    bool ends_behind_at = at > from && text.data[at - 1] == '@';
    *out_is_address = has_at && !ends_behind_at;
    return at;
}

/* "//host/path" behind the colon of a URL: only the host says something. */
static bool is_url_rest(struct text text, size_t from, size_t to)
{
    return to - from > 2 && text.data[from] == '/' &&
           text.data[from + 1] == '/';
}

static size_t end_of_host(struct text text, size_t from)
{
    size_t at = from + 2;
    while (at < text.length && (ascii_is_alnum(text.data[at]) ||
                                text.data[at] == '.' || text.data[at] == '-')) {
        at++;
    }
    return at;
}

static void put(struct phrase_text *folded, char byte)
{
    bool is_space = byte == ' ';
    if (is_space && folded->length > 0 &&
        folded->bytes[folded->length - 1] == ' ') {
        return;
    }
    if (folded->length < PHRASE_TEXT_MAX + 1) {
        folded->bytes[folded->length++] = byte;
    }
}

/* Small letters of Latin-1 and of Cyrillic in UTF-8 as well. */
static void put_letter(struct phrase_text *folded, struct text text, size_t at)
{
    unsigned char byte = (unsigned char)text.data[at];
    unsigned char before = at > 0 ? (unsigned char)text.data[at - 1] : 0;
    bool is_latin =
        before == 0xC3 && byte >= 0x80 && byte <= 0x9E && byte != 0x97;
    bool is_cyrillic = before == 0xD0 && byte >= 0x90 && byte <= 0x9F;
    put(folded, is_latin || is_cyrillic ? (char)(byte + 0x20)
                                        : ascii_lower(text.data[at]));
}

static void put_word(struct phrase_text *folded, struct text word)
{
    for (size_t i = 0; i < word.length; i++) {
        char byte = word.data[i];
        if (byte == '\'') {
            continue;
        }
        bool is_text =
            ascii_is_alnum(byte) || is_8bit(byte) || is_kept_mark(byte);
        if (is_text) {
            put_letter(folded, word, i);
        } else {
            put(folded, ' ');
        }
    }
}

static uint32_t piece_of(const char *bytes)
{
    uint32_t joined = (uint32_t)(unsigned char)bytes[0] |
                      (uint32_t)(unsigned char)bytes[1] << 8 |
                      (uint32_t)(unsigned char)bytes[2] << 16;
    return (joined * 2654435761U >> 16) % PHRASE_PIECE_BITS;
}

static void note_pieces(struct phrase_text *folded)
{
    for (size_t i = 0; i + 3 <= folded->length; i++) {
        uint32_t piece = piece_of(folded->bytes + i);
        folded->pieces[piece / 8] |= (uint8_t)(1U << piece % 8);
    }
}

void phrase_fold(struct text text, struct phrase_text *folded)
{
    folded->length = 0;
    memset(folded->pieces, 0, sizeof(folded->pieces));
    text = text_slice(
        text, 0, text.length < PHRASE_TEXT_MAX ? text.length : PHRASE_TEXT_MAX);
    put(folded, ' ');
    size_t at = 0;
    while (at < text.length) {
        bool is_address = false;
        size_t end = end_of_word(text, at, &is_address);
        if (is_url_rest(text, at, end)) {
            put_word(folded, text_slice(text, at, end_of_host(text, at)));
        } else if (is_address) {
            put(folded, '@');
        } else if (end > at) {
            put_word(folded, text_slice(text, at, end));
        } else {
            end = at + 1;
            if (text.data[at] != '\'') {
                put(folded, ' ');
            }
        }
        at = end;
    }
    folded->bytes[folded->length] = ' ';
    if (folded->length > 0 && folded->bytes[folded->length - 1] != ' ') {
        folded->length++;
    }
    note_pieces(folded);
}

/* -- patterns -- */

static bool may_have(const struct phrase_text *folded, struct text piece)
{
    for (size_t i = 0; i + 3 <= piece.length; i++) {
        uint32_t bit = piece_of(piece.data + i);
        if ((folded->pieces[bit / 8] & 1U << bit % 8) == 0) {
            return false;
        }
    }
    return true;
}

/* Where the piece is first found from `from` on; SIZE_MAX: nowhere. */
static size_t find_piece(const struct phrase_text *folded, size_t from,
                         struct text piece)
{
    const char *found = memmem(folded->bytes + from, folded->length - from,
                               piece.data, piece.length);
    return found != NULL ? (size_t)(found - folded->bytes) : SIZE_MAX;
}

/* Both sides of the "*", near each other. */
static bool has_pair(const struct phrase_text *folded, struct text before,
                     struct text behind)
{
    size_t at = find_piece(folded, 0, before);
    while (at != SIZE_MAX) {
        /* One blank may belong to both sides. */
        size_t from = at + before.length - 1;
        size_t found = find_piece(folded, from, behind);
        if (found == SIZE_MAX) {
            return false;
        }
        if (found - from <= GAP_MAX) {
            return true;
        }
        /* The next one in front of what was found, never the same again. */
        size_t next = found - GAP_MAX > before.length + at + 1
                          ? found - GAP_MAX - before.length
                          : at + 1;
        at = find_piece(folded, next, before);
    }
    return false;
}

bool phrase_is_in(const struct phrase_text *folded, const char *pattern)
{
    struct text whole = text_of(pattern);
    size_t star = text_find_byte(whole, '*');
    struct text before = text_slice(whole, 0, star);
    if (star == whole.length) {
        return may_have(folded, before) &&
               find_piece(folded, 0, before) != SIZE_MAX;
    }
    struct text behind = text_slice(whole, star + 1, whole.length);
    return may_have(folded, before) && may_have(folded, behind) &&
           has_pair(folded, before, behind);
}

const char *phrase_find(const struct phrase_text *folded,
                        const char *const *phrases)
{
    for (size_t i = 0; phrases[i] != NULL; i++) {
        if (phrase_is_in(folded, phrases[i])) {
            return phrases[i];
        }
    }
    return NULL;
}
