/* SPDX-License-Identifier: MIT */
/* The metrics of all rooms together, as /metrics shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/map.h"
#include "core/metrics.h"
#include "relay/relay_metrics.h"
#include "smtp/client.h"
#include "smtp/server.h"
#include "sql/database.h"

/* The exposition format allows a name with its labels one value. */
static void no_sample_stands_twice(void **state)
{
    struct buffer page = { 0 };
    struct map *seen = map_create();
    struct text line;
    (void)state;
    metrics_register(relay_metrics, RELAY_METRIC_COUNT);
    smtp_metrics_register();
    smtp_client_metrics_register();
    sql_metrics_register();
    metrics_print(&page);
    struct text rest = buffer_text(&page);
    while (text_split(&rest, '\n', &line)) {
        struct text name = text_slice(line, 0, text_find_byte(line, ' '));
        if (line.length == 0 || line.data[0] == '#') {
            continue;
        }
        if (map_get(seen, name) != NULL) {
            fail_msg("%.*s stands twice", TEXT_ARGUMENTS(name));
        }
        map_set(seen, name, state);
    }
    assert_true(map_count(seen) > RELAY_METRIC_COUNT);
    map_free(&seen);
    buffer_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_sample_stands_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
