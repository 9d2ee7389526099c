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

#endif
