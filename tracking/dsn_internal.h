/* SPDX-License-Identifier: MIT */
/* What the files that read notifications share. */
#ifndef BATON_TRACKING_DSN_INTERNAL_H
#define BATON_TRACKING_DSN_INTERNAL_H

#include <stdbool.h>

#include "tracking/dsn.h"

/* A message while it is read. */
struct dsn_reader {
    struct incoming incoming;
    struct arena *arena;
    struct dsn *dsn;
    const char *sender; /* address of its From; "" */
    const char *subject;
    bool is_delay; /* the text says that it is only late */
};

/* The recipient of this address, made if need be; NULL: there are too many. */
struct dsn_recipient *dsn_recipient_add(struct dsn_reader *reader,
                                        struct text address);

/* dsn_status.c: recipients of message/delivery-status. */
void dsn_status_read(struct dsn_reader *reader);

/* How surely an address is a recipient; the best first. */
enum dsn_rank {
    RANK_LEADING, /* begins a line, after words of failure */
    RANK_NAMED, /* "Unknown user: a@b" */
    RANK_BESIDE, /* in a line with words of failure */
    RANK_LEADING_ALONE, /* begins a line, and nothing was said before */
    RANK_ADDRESSED, /* "To: a@b" */
    RANK_NONE,
};

/* An address in the text. */
struct dsn_mention {
    struct text address;
    size_t line;
    enum dsn_rank rank;
};

/* The text of a notification, line by line. Zero but for its reader. */
struct dsn_text {
    struct dsn_reader *reader;
    struct text *lines;
    size_t line_count;
    struct dsn_mention *mentions;
    size_t mention_count;
    bool is_failure_told; /* in a line so far */
};

/* dsn_text.c: all lines, and the addresses in them. */
void dsn_text_read(struct dsn_text *text);
/* Recipients that the text names; whether any was found. */
bool dsn_text_read_recipients(struct dsn_reader *reader);
/* dsn_reason.c: class and diagnostic of each recipient, by its own lines in the
 * text where its fields do not say enough. */
void dsn_reason_find(struct dsn_reader *reader);

/* dsn_kind.c: which phrases say what. */
bool dsn_kind_is_failure(const struct dsn_reader *reader);
bool dsn_kind_is_delay(const struct dsn_reader *reader);
bool dsn_kind_is_auto_reply(const struct dsn_reader *reader);
bool dsn_kind_is_challenge(const struct dsn_reader *reader);

#endif
