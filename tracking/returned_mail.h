/* SPDX-License-Identifier: MIT */
/*
 * What a message that came to a return path says of our delivery: decided from
 * its bytes and the kind of its address, nothing else. A large one takes tens
 * of milliseconds to read: that is for the worker's helper thread.
 */
#ifndef BATON_TRACKING_RETURNED_MAIL_H
#define BATON_TRACKING_RETURNED_MAIL_H

#include <stdbool.h>

#include "core/arena.h"
#include "core/text.h"
#include "tracking/return_path.h"

/* What is behind them is not looked at. */
#define RETURNED_BYTES_READ (1024 * 1024)

enum returned_meaning {
    RETURNED_NOTHING, /* it is well, and nothing follows */
    RETURNED_FOREIGN, /* not what this address is for: refuse it */
    RETURNED_BOUNCE, /* it will not be delivered */
    RETURNED_DELAY,
    RETURNED_AUTO_REPLY, /* or a challenge: never answered */
    RETURNED_COMPLAINT,
    RETURNED_FEEDBACK, /* not-spam, auth-failure …: no complaint */
    RETURNED_UNSUBSCRIBE,
};

/* "bounce"; static. */
const char *returned_meaning_name(enum returned_meaning meaning);

/* Strings are in the arena or static; "" where nothing is said. */
struct returned_mail {
    enum returned_meaning meaning;
    /* Whose delivery it is about: of the address, or found in a feedback
     * report. */
    bool has_path;
    struct return_path path;
    /* Of a bounce, a delay, an automatic reply: */
    const char *class;
    const char *severity;
    const char *status; /* "5.1.1" */
    const char *diagnostic; /* literal, on one line */
    const char *remote_host;
    const char *address; /* as the report names the recipient */
    bool suppresses;
    bool is_inactive; /* the mailbox is not used any more */
    /* Of feedback: */
    const char *feedback_type;
    const char *dkim; /* of the report itself: "pass d=example.com"; "" */
    const char *user_agent;
    const char *source_ip;
    struct text returned_header; /* of our message, as far as it came back */
};

struct returned_input {
    struct text message; /* what is found may point into it */
    /* Of the address it came to; has_path false: the fixed address for
     * feedback, where a report has to bring a token itself. */
    bool has_path;
    struct return_path path;
    bool is_null_sender;
};

/* Touches nothing but its arguments: any thread may call it. */
void returned_mail_read(const struct returned_input *input, struct arena *arena,
                        struct returned_mail *out_mail);

/* A feedback report that came without a path: find it in what is returned. */
void returned_mail_find_path(struct returned_mail *mail,
                             const struct token_keys *keys);

/* The detail of the event, a JSON object in the arena. */
const char *returned_mail_detail(const struct returned_mail *mail,
                                 struct arena *arena);

#endif
