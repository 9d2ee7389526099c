/* SPDX-License-Identifier: MIT */
/*
 * Text of header fields for people: encoded words (RFC 2047, with the language
 * of RFC 2231, 5) between plain text, on folded lines.
 *
 * Read as mail readers read it: a word may touch plain text, and have blanks in
 * it. White space between two words is not part of the text.
 */
#ifndef BATON_TRACKING_ENCODED_WORD_H
#define BATON_TRACKING_ENCODED_WORD_H

#include <stdbool.h>

#include "core/arena.h"
#include "core/text.h"

/* "=?utf-8*en?Q?Caf=C3=A9?=" */
struct encoded_word {
    struct text head; /* "=?utf-8*en?Q?" */
    struct text charset; /* "utf-8" */
    bool is_base64;
    struct text payload; /* "Caf=C3=A9" */
};

/* A piece of a field's value. The pieces of a value cover it. */
struct encoded_piece {
    enum {
        PIECE_PLAIN, /* stands for itself */
        PIECE_WORD,
        PIECE_SKIPPED, /* a line end, white space between words */
    } kind;
    struct text source;
    struct encoded_word word;
};

/* Set rest to the value, all else to zero. */
struct encoded_reader {
    struct text rest;
    bool is_behind_word;
};

/* The next piece, never empty. False at the end. */
bool encoded_reader_next(struct encoded_reader *reader,
                         struct encoded_piece *out_piece);
/* What the piece says, in UTF-8; bytes that are not valid stay as they are. Of
 * a word in an unknown charset, or that does not fit its charset, one
 * SUBSTITUTE. */
#define SUBSTITUTE '\x1A'
void encoded_piece_decode(const struct encoded_piece *piece,
                          struct buffer *out_utf8);
/* The word's bytes in its own charset. */
void encoded_word_bytes(const struct encoded_word *word,
                        struct buffer *out_bytes);

/* A word that says the first length bytes of what this one says, in the same
 * charset and encoding if that can be, else in UTF-8. */
void encoded_word_shorten(const struct encoded_word *word, size_t length,
                          struct buffer *out_word);

/* A whole value, unfolded, decoded and trimmed; a NUL becomes a SUBSTITUTE. */
char *encoded_text_decode(struct arena *arena, struct text value);

#endif
