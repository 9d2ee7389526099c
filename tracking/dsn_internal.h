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
struct dsn_recipient *dsn_recipient_find(const struct dsn_reader *reader,
                                         struct text address);

/* dsn_status.c: recipients of message/delivery-status. */
void dsn_status_read(struct dsn_reader *reader);

/* dsn_text.c: recipients that the text names; whether any was found. */
bool dsn_text_read_recipients(struct dsn_reader *reader);
/* Class and diagnostic of each recipient, by its own lines in the text where
 * its fields do not say enough. */
void dsn_text_explain(struct dsn_reader *reader);

/* dsn_kind.c: which phrases say what. */
bool dsn_kind_is_failure(const struct dsn_reader *reader);
bool dsn_kind_is_delay(const struct dsn_reader *reader);
bool dsn_kind_is_auto_reply(const struct dsn_reader *reader);
bool dsn_kind_is_challenge(const struct dsn_reader *reader);

#endif
