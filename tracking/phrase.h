/* SPDX-License-Identifier: MIT */
/*
 * Phrases found in what people and programs write, whatever the punctuation.
 *
 * How a text looks when it is compared: small letters; an address is "@"; all
 * punctuation but . / @ # % + & is a space, apostrophes are gone, white space
 * is one space, and there is one at both ends. So " spam" is a word's
 * beginning and "doesnt" is "doesn't". Of a URL only the host is left. One "*"
 * in a phrase stands for up to 60 octets; the phrase has at least three octets
 * on each side of it.
 */
#ifndef BATON_TRACKING_PHRASE_H
#define BATON_TRACKING_PHRASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

/* Octets that are looked at. */
#define PHRASE_TEXT_MAX 4096
#define PHRASE_PIECE_BITS 16384U

struct phrase_text {
    char bytes[PHRASE_TEXT_MAX + 2]; /* a blank at both ends */
    size_t length;
    uint8_t pieces[PHRASE_PIECE_BITS / 8];
};

void phrase_fold(struct text text, struct phrase_text *out_folded);
bool phrase_is_in(const struct phrase_text *folded, const char *phrase);
/* The first of the phrases, which end with NULL, that is in it; or NULL. */
const char *phrase_find(const struct phrase_text *folded,
                        const char *const *phrases);

#endif
