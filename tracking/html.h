/* SPDX-License-Identifier: MIT */
/*
 * HTML by spans: a tokenizer after the states of the WHATWG standard that
 * matter for finding tags (13.2.5). It changes nothing and keeps no tree; what
 * it finds are offsets. Any bytes are a document; cost is linear, memory is
 * that of the links found.
 *
 * Comments, conditional ones included, raw text (script, style, xmp, iframe,
 * noembed, noframes, plaintext) and text of textarea and title hold no links.
 * A repeated attribute counts once, the first one.
 */
#ifndef BATON_TRACKING_HTML_H
#define BATON_TRACKING_HTML_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/text.h"

struct html_span {
    size_t from;
    size_t to;
};

#define HTML_OPT_OUTS_MAX 8
/* Links beyond these are left alone. */
#define HTML_LINKS_MAX 1000000

/* An <a> or <area> with an href. */
struct html_link {
    struct html_span value; /* of href, inside its quotes */
    bool is_quoted;
    bool has_opt_out;
    /* The opt-out attributes (H5), in order, in the arena, each with the white
     * space in front of it if it can go: cut out, they leave a sound tag. One
     * that cannot be is not among them. */
    const struct html_span *opt_outs;
    size_t opt_out_count;
};

struct html_document {
    struct html_link *links; /* in document order, in the arena */
    size_t link_count;
    /* Where something may be put in: behind the <body> tag (or where the text
     * begins), and before the last real </body> (or at the end; before what is
     * unfinished at the end, so that it is never swallowed by it). */
    size_t top;
    size_t bottom;
};

void html_scan(struct text document, struct arena *arena,
               struct html_document *out_document);

/* The value of an attribute with its character references decoded as in
 * 13.2.5.72 (`attribute` true: "&copy=" stays) or as in text. */
void html_decode(struct text value, bool is_attribute,
                 struct buffer *out_decoded);
/* For text and for double-quoted values: & < > " become references. */
void html_encode(struct text text, struct buffer *out_encoded);

/* The text of a document for a plain part: tags dropped, blocks on lines of
 * their own, links as "text (url)", character references decoded. UTF-8; lines
 * end with CRLF and are wrapped at 72 columns where there is a space. */
void html_to_text(struct text document, struct buffer *out_text);

#endif
