/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/memory.h"

#define START INT64_C(1795227182123456)
#define START_MILLISECOND INT64_C(1795227182123000)

/* The clock of this program: id.c takes no other. */
static int64_t fake_now = START;

int64_t clock_now(void)
{
    return fake_now;
}

static void an_id_tells_instant_worker_and_count(void **state)
{
    (void)state;
    id_set_worker(1023);
    int64_t id = id_make();
    assert_true(id > 0);
    assert_true(id_instant(id) == START_MILLISECOND);
    assert_int_equal(id >> 12 & 1023, 1023);
    assert_int_equal(id & 4095, 0);
    assert_int_equal(id_make() & 4095, 1);
}

static void ids_grow_when_the_clock_steps_back(void **state)
{
    (void)state;
    id_set_worker(5);
    fake_now = START + 10 * CLOCK_SECOND;
    int64_t last = id_make();
    fake_now = START;
    for (int i = 0; i < 10000; i++) {
        int64_t id = id_make();
        assert_true(id > last);
        assert_int_equal(id >> 12 & 1023, 5);
        last = id;
    }
    fake_now = START + 20 * CLOCK_SECOND;
    int64_t id = id_make();
    assert_true(id > last);
    assert_true(id_instant(id) == START_MILLISECOND + 20 * CLOCK_SECOND);
}

static void a_full_millisecond_borrows_the_next(void **state)
{
    (void)state;
    fake_now = START + 30 * CLOCK_SECOND;
    int64_t last = id_make();
    for (int i = 1; i < 4096; i++) {
        int64_t id = id_make();
        assert_true(id == last + 1);
        last = id;
    }
    int64_t id = id_make();
    assert_true(id > last);
    assert_true(id_instant(id) == id_instant(last) + CLOCK_MILLISECOND);
    assert_int_equal(id & 4095, 0);
}

static void the_lowest_id_bounds_an_instant(void **state)
{
    (void)state;
    fake_now = START + 40 * CLOCK_SECOND;
    int64_t id = id_make();
    assert_true(id_lowest_at(fake_now) <= id);
    assert_true(id_lowest_at(fake_now + CLOCK_MILLISECOND) > id);
    assert_true(id_instant(id_lowest_at(START)) == START_MILLISECOND);
    assert_true(id_lowest_at(0) == 0);
    assert_true(id_lowest_at(INT64_MAX) > id);
}

static void ids_are_read_from_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t id;
    } rows[] = {
        { "1", 1 },
        { "9223372036854775807", INT64_MAX },
        { "9223372036854775808", -1 },
        { "0", -1 },
        { "01", -1 },
        { "-5", -1 },
        { "", -1 },
        { "12x", -1 },
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        int64_t id = -1;
        assert_int_equal(id_parse(text_of(rows[i].text), &id), rows[i].id > 0);
        assert_true(id == rows[i].id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_tells_instant_worker_and_count),
        cmocka_unit_test(ids_grow_when_the_clock_steps_back),
        cmocka_unit_test(a_full_millisecond_borrows_the_next),
        cmocka_unit_test(the_lowest_id_bounds_an_instant),
        cmocka_unit_test(ids_are_read_from_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
