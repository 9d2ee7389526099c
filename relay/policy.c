/* SPDX-License-Identifier: MIT */
#include "relay/policy.h"

#include "core/address.h"

void policy_check_relaying(const struct directory_account *account,
                           const struct network_address *peer,
                           struct smtp_reply *out_reply)
{
    char text[NETWORK_TEXT_SIZE];
    if (account == NULL) {
        smtp_reply_set(out_reply, 550, "5.7.1",
                       "Relaying denied for [%s]: authenticate, or add this "
                       "address to an account",
                       network_address_text(peer, text));
    }
}

static bool may_use(const struct directory *directory,
                    const struct directory_account *account, const char *domain)
{
    return account->any_sender ||
           directory_domain(directory, account->account_id, domain) != NULL;
}

void policy_check_sender(const struct directory *directory,
                         const struct directory_account *account,
                         const char *domain, struct smtp_reply *out_reply)
{
    if (domain[0] != '\0' && !may_use(directory, account, domain)) {
        smtp_reply_set(out_reply, 550, "5.7.1",
                       "Account %s may not send from %s: add the domain to the "
                       "account, or set any_sender",
                       account->name, domain);
    }
}

void policy_check_header_addresses(const struct directory *directory,
                                   const struct directory_account *account,
                                   char *const *addresses, size_t address_count,
                                   struct smtp_reply *out_reply)
{
    for (size_t i = 0; i < address_count && !account->any_sender; i++) {
        struct address address;
        struct error error;
        char domain[DOMAIN_TEXT_MAX + 1];
        if (!address_parse(text_of(addresses[i]), true, &address, &error) ||
            !domain_normalize(address.domain, domain, &error)) {
            smtp_reply_set(out_reply, 550, "5.6.0",
                           "The address %s in From or Sender is malformed: %s",
                           addresses[i], error.text);
            return;
        }
        if (!may_use(directory, account, domain)) {
            smtp_reply_set(out_reply, 550, "5.7.1",
                           "Account %s may not write From: %s: add the domain "
                           "to the account, or set any_sender",
                           account->name, domain);
            return;
        }
    }
}

const struct directory_domain *policy_author_domain(
    const struct directory *directory, const struct directory_account *account,
    char *const *addresses, size_t address_count)
{
    struct address address;
    struct error ignored;
    char domain[DOMAIN_TEXT_MAX + 1];
    bool is_read =
        address_count > 0 &&
        address_parse(text_of(addresses[0]), true, &address, &ignored) &&
        domain_normalize(address.domain, domain, &ignored);
    return is_read ? directory_domain(directory, account->account_id, domain)
                   : NULL;
}

void policy_check_verified(const struct directory_account *account,
                           const struct directory_domain *domain,
                           struct smtp_reply *out_reply)
{
    if (account->unverified == UNVERIFIED_REFUSE && domain != NULL &&
        !domain->dkim_is_right) {
        smtp_reply_set(out_reply, 550, "5.7.1",
                       "The DKIM records of %s are not right yet: \"baton "
                       "domain verify %s %s\" says what is missing",
                       domain->name, account->name, domain->name);
    }
}
