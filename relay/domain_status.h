/* SPDX-License-Identifier: MIT */
/* What the findings of a check mean for a domain's mail. */
#ifndef BATON_RELAY_DOMAIN_STATUS_H
#define BATON_RELAY_DOMAIN_STATUS_H

#include <stdbool.h>

#include "relay/domain_check.h"
#include "relay/domain_records.h"

struct domain_status {
    bool dkim_is_right; /* every key that signs is published */
    bool return_is_right; /* bounces come back, and SPF passes */
    bool link_is_right;
    bool switches; /* the next keys are published: they sign from now on */
};

/* What DNS did not answer stays as it was. */
void domain_status_decide(const struct domain_row *row,
                          const struct domain_status *before,
                          const struct domain_report *report,
                          struct domain_status *out_status);

/* Which keys sign from now on: none unless the status switches. The array lies
 * in the arena, its strings in the row. */
const char *const *domain_status_next_selectors(
    const struct domain_row *row, const struct domain_status *status,
    struct arena *arena, size_t *out_count);

#endif
