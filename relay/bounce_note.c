/* SPDX-License-Identifier: MIT */
#include "relay/bounce_note.h"

#include "relay/relay_settings.h"

struct suppression_note bounce_note(const struct directory_account *account,
                                    bool suppresses, bool is_inactive,
                                    const char *evidence)
{
    const struct relay_settings_values *settings = relay_settings_now();
    struct suppression_note note = { .evidence = evidence };
    if (account == NULL || !account->suppresses_hard_bounces) {
        return note;
    }
    if (suppresses) {
        note.reason = "hard_bounce";
    } else if (is_inactive) {
        note.reason = "hard_bounce";
        note.inactive_count = (int)settings->inactive_count;
        note.inactive_milliseconds = settings->inactive_span;
    }
    return note;
}
