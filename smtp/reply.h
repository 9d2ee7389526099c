/* SPDX-License-Identifier: MIT */
/*
 * A reply is data: it travels whole from the wire to the database, the event,
 * the log and the bounce. RFC 5321 4.2, RFC 2034.
 */
#ifndef BATON_SMTP_REPLY_H
#define BATON_SMTP_REPLY_H

#include <stdbool.h>

#include "core/text.h"

#define SMTP_REPLY_TEXT_MAX 1024

struct smtp_reply {
    int code; /* 200 to 559, or 0: there is none */
    char enhanced[16]; /* "5.1.1", or "" */
    /* Lines joined by '\n', without codes; printable ASCII only (other bytes
     * became '?'), cut at the end. NUL-terminated. */
    char text[SMTP_REPLY_TEXT_MAX];
};

/* Compose one, as a server does: smtp_reply_set(&r, 550, "5.1.1", "No %s", x).
 * enhanced "" for none. */
void smtp_reply_set(struct smtp_reply *reply, int code, const char *enhanced,
                    const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static inline int smtp_reply_class(const struct smtp_reply *reply)
{
    return reply->code / 100;
}

/* "550 5.1.1 No such user": one line, '\n' becomes a blank. */
void smtp_reply_print(const struct smtp_reply *reply, struct buffer *out_text);

/* As it goes over the wire: lines with code, enhanced code and CRLF, none
 * longer than RFC 5321 4.5.3.1.5 allows. */
void smtp_reply_append_wire(const struct smtp_reply *reply,
                            struct buffer *out_bytes);

/* Collects the lines of one reply from a client's connection. Zero-initialise
 * or smtp_reply_reader_reset. */
struct smtp_reply_reader {
    struct smtp_reply reply;
    size_t line_count;
    size_t total_bytes;
};
enum smtp_reply_progress {
    REPLY_MORE, /* the line was a "250-" one */
    REPLY_COMPLETE,
    REPLY_MALFORMED, /* no code, or another code than the lines before */
    REPLY_TOO_LONG, /* more than 1000 lines or 1 MB: a hostile peer */
};
/* Take one line without its line end. S15. */
enum smtp_reply_progress smtp_reply_read(struct smtp_reply_reader *reader,
                                         struct text line);
void smtp_reply_reader_reset(struct smtp_reply_reader *reader);

#endif
