/* SPDX-License-Identifier: MIT */
/*
 * Is this the password? Generated secrets are compared at once (SHA-256);
 * chosen passwords are hashed on the helper thread, and a right one is
 * remembered for five minutes. Every refusal costs one hash, so that time tells
 * nothing about which names exist. Guesses are throttled per address (of IPv6
 * per /64) and per user name.
 */
#ifndef BATON_RELAY_AUTHENTICATOR_H
#define BATON_RELAY_AUTHENTICATOR_H

#include "core/helper.h"
#include "core/loop.h"
#include "core/network.h"
#include "smtp/server.h"
#include "sql/directory.h"

struct authenticator;
struct authentication;

/* account_id is set with AUTH_ACCEPTED only. */
typedef void authenticated_fn(void *owner, enum smtp_auth_verdict verdict,
                              int64_t account_id);

struct authenticator *authenticator_create(struct loop *loop,
                                           struct helper *helper);
void authenticator_free(struct authenticator **authenticator);

/* directory NULL: not loaded yet; is_current false: PostgreSQL is away, so an
 * unknown name may be a new one (454 rather than 535). User and password are
 * copied. The callback runs in a later loop turn unless cancelled. */
struct authentication *authenticator_check(
    struct authenticator *authenticator, const struct directory *directory,
    bool is_current, const struct network_address *peer, const char *user,
    const char *password, authenticated_fn *on_done, void *owner);
void authentication_cancel(struct authentication **authentication);

#endif
