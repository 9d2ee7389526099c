/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tracking/automatic.h"

/* B8, RFC 3834 section 5. */
static void what_a_header_says_of_itself(void **state)
{
    static const struct {
        const char *header;
        bool is_automatic;
        bool is_bulk;
    } rows[] = {
        { "From: a@b.example\r\n\r\nAuto-Submitted: yes\r\n", false, false },
        { "Auto-Submitted: auto-generated\r\n", true, false },
        { "AUTO-SUBMITTED: Auto-Replied (away)\r\n", true, false },
        { "Auto-Submitted:\r\n auto-notified; owner-email=x\r\n", true, false },
        { "Auto-Submitted: no\r\n", false, false },
        { "Auto-Submitted: NO; x=y\r\n", false, false },
        { "Auto-Submitted: no (comment)\r\n", false, false },
        { "Auto-Submitted: none\r\n", true, false },
        { "Auto-Submitted:\r\n", false, false },
        { "X-Auto-Submitted: yes\r\n", false, false },
        { "Precedence: bulk\r\n", false, true },
        { "Precedence:  JUNK \r\n", false, true },
        { "precedence: list\r\nAuto-Submitted: yes\r\n", true, true },
        { "Precedence: normal\r\n", false, false },
        { "", false, false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct automatic_signs signs;
        automatic_read(text_of(rows[i].header), &signs);
        if (signs.is_automatic != rows[i].is_automatic ||
            signs.is_bulk != rows[i].is_bulk) {
            fail_msg("%s: %d %d", rows[i].header, signs.is_automatic,
                     signs.is_bulk);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_header_says_of_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
