/* SPDX-License-Identifier: MIT */
/*
 * May this client do that? Answers with a code and a sentence that says what to
 * do; an untouched reply (code 0) means yes.
 */
#ifndef BATON_RELAY_POLICY_H
#define BATON_RELAY_POLICY_H

#include <stddef.h>

#include "core/network.h"
#include "smtp/reply.h"
#include "sql/directory.h"

/* Without an account nothing is relayed: 550 5.7.1 after RCPT. */
void policy_check_relaying(const struct directory_account *account,
                           const struct network_address *peer,
                           struct smtp_reply *out_reply);
/* The envelope sender's (normalised) domain; "" is the null sender, which every
 * account may use. F12. */
void policy_check_sender(const struct directory *directory,
                         const struct directory_account *account,
                         const char *domain, struct smtp_reply *out_reply);
/* The addresses of From and Sender. F12. */
void policy_check_header_addresses(const struct directory *directory,
                                   const struct directory_account *account,
                                   char *const *addresses, size_t address_count,
                                   struct smtp_reply *out_reply);
/* The account's domain that the author (the first address of From) writes
 * from; NULL: none of its. */
const struct directory_domain *policy_author_domain(
    const struct directory *directory, const struct directory_account *account,
    char *const *addresses, size_t address_count);
/* D5: mail from a domain whose DKIM records are not right, if the account wants
 * it refused. */
void policy_check_verified(const struct directory_account *account,
                           const struct directory_domain *domain,
                           struct smtp_reply *out_reply);

#endif
