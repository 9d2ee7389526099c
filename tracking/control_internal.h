/* SPDX-License-Identifier: MIT */
/*
 * Between the fields of control.c and of control_services.c: what a field's
 * handler has to work with.
 *
 * Handlers return false when the message is to be refused, with the sentence
 * set. What a field of ours says wrongly is refused, what a field of another
 * service says and we cannot keep is passed over; but a time to send at that is
 * not understood and JSON that is none are always refused, since the message
 * would leave too early or its data be lost.
 */
#ifndef BATON_TRACKING_CONTROL_INTERNAL_H
#define BATON_TRACKING_CONTROL_INTERNAL_H

#include <jansson.h>

#include "tracking/control.h"
#include "tracking/policy.h"

struct control_reader;

struct control_row {
    const char *name; /* the field's, or how it begins */
    /* NULL: it says nothing to us, but leaves with no copy. */
    bool (*read)(struct control_reader *reader, const char *value);
    const char *argument; /* for the handler: a setting's name */
    enum {
        CONTROL_GENERAL, /* of others, read first: X-Mailgun-Track */
        CONTROL_FOREIGN,
        CONTROL_OURS,
        CONTROL_OURS_REPEATED,
    } kind;
    bool is_prefix;
};

extern const struct control_row control_foreign_rows[];
extern const size_t control_foreign_row_count;

struct control_reader {
    struct arena *arena;
    int64_t now;
    struct control *control;
    struct error *error;
    json_t *metadata; /* NULL: none so far */
    struct policy *scratch; /* where values of settings are tried out */
    const char *foreign_tag; /* the first; a group if nothing says one */
    bool makes_text; /* X-MC-Autotext, X-MC-AutoHtml */
    bool makes_html;
    bool has_alternative;
    /* The field that is being read. */
    const struct control_row *row;
    struct text name;
};

/* "X-Baton-Metadata: " and the reason; always returns false. */
bool control_refuse(const struct control_reader *reader, const char *format,
                    ...) __attribute__((format(printf, 2, 3)));

/* Each keeps what a field says, if it is valid. */
bool control_set_setting(struct control_reader *reader, const char *name,
                         const char *value) MUST_USE;
bool control_set_group(struct control_reader *reader,
                       const char *name) MUST_USE;
bool control_add_tag(struct control_reader *reader, const char *tag) MUST_USE;
bool control_set_send_at(struct control_reader *reader,
                         int64_t send_at) MUST_USE;
bool control_set_metadata(struct control_reader *reader, const char *key,
                          const char *value) MUST_USE;
/* The members of an object; it stays the caller's. */
bool control_merge_metadata(struct control_reader *reader,
                            const json_t *object) MUST_USE;

/* The same of a field that holds nothing but an object. */
bool control_read_metadata(struct control_reader *reader,
                           const char *value) MUST_USE;

/* A JSON object; NULL: the sentence is set. The caller's: json_decref. */
json_t *control_parse_object(struct control_reader *reader,
                             const char *value) MUST_USE;

/* on, yes, true, y, 1 and their opposites, in any case. */
bool control_parse_switch(const char *value, bool *out_is_on);

/* control_time.c: an RFC 5322 date, ISO 8601 (UTC if it names no zone; a blank
 * may stand for the T) or "in 2 h". */
bool control_parse_time(struct text value, int64_t now, int64_t *out_at);

#endif
