/* SPDX-License-Identifier: MIT */
/*
 * Signs copies with the keys of their sender's domain, and with the operator's:
 *
 *   pieces ─ digest of the body, in slices on the loop ─┬─ Ed25519: at once
 *                                                       └─ RSA: helper thread
 *
 * Keys are opened when they are first needed and kept.
 */
#ifndef BATON_RELAY_SIGNING_H
#define BATON_RELAY_SIGNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/helper.h"
#include "core/loop.h"
#include "core/text.h"
#include "sql/directory.h"

struct signing;
struct signing_job;

struct signing *signing_create(struct loop *loop, struct helper *helper);
/* After helper_free: the thread uses the keys. No job may be left. */
void signing_free(struct signing **signing);
/* Borrowed until the next one. */
void signing_set_directory(struct signing *signing,
                           const struct directory *directory);
/* Read [dkim] operator_key; without one nothing is signed in the operator's
 * name. */
bool signing_read_operator(struct signing *signing,
                           struct error *error) MUST_USE;

/* Could [dkim] operator_key be read now, by who we are? */
bool signing_check_operator(struct error *error) MUST_USE;

struct signing_request {
    int64_t account_id;
    const char *domain; /* of the policy; "": the operator's only */
    /* The copy as it goes on the wire, before dots are doubled (D1). Borrowed
     * until the end. */
    const struct text *pieces;
    size_t piece_count;
};

/* fields: whole DKIM-Signature fields to stand above the copy, valid during the
 * call; error: NULL, or why it cannot be signed. */
typedef void signing_done_fn(void *owner, struct text fields,
                             const struct error *error);

/* Is there anything to sign with? Without it signing_start is of no use. */
bool signing_has_keys(struct signing *signing, int64_t account_id,
                      const char *domain);
/* Do signatures wait for others already? */
bool signing_is_busy(const struct signing *signing);
/* on_done runs in a later loop turn, once, unless cancelled. */
struct signing_job *signing_start(struct signing *signing,
                                  const struct signing_request *request,
                                  signing_done_fn *on_done, void *owner);
/* Null the pointer; NULL is accepted. Only before on_done ran. */
void signing_cancel(struct signing_job **job);

#endif
