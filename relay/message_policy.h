/* SPDX-License-Identifier: MIT */
/*
 * What is done to one message: control header > group > account > default,
 * decided at its acceptance (tracking/policy.h has the settings).
 */
#ifndef BATON_RELAY_MESSAGE_POLICY_H
#define BATON_RELAY_MESSAGE_POLICY_H

#include "core/arena.h"
#include "sql/directory.h"
#include "tracking/control.h"
#include "tracking/policy.h"

struct message_policy_input {
    const struct directory *directory;
    const struct directory_account *account;
    const struct directory_group *group; /* NULL: none */
    const struct directory_domain *domain; /* of From; NULL: not one of its */
    const struct control *control; /* NULL: it says nothing */
};

/* Fill in a policy that has its defaults. Settings that are not understood
 * (written by SQL) are passed over. */
void message_policy_decide(const struct message_policy_input *input,
                           struct arena *arena, struct policy *out_policy);

/* The emergency switch, as it is now and not as it was at acceptance: of the
 * account or of everything. */
bool message_policy_passes_through(const struct directory *directory,
                                   const struct directory_account *account);

#endif
