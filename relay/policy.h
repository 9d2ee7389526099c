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

#endif
