/* SPDX-License-Identifier: MIT */
#include "relay/suppression_segments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

/* Loads until an address can be seen, whatever the list. */
#define SEGMENT_LOADS_MAX 25
#define ROOM ((size_t)32 * 1024 * 1024)

/* An account's whole list, as PostgreSQL would have it: sorted hashes. */
struct list_of_hashes {
    int64_t *hashes;
    size_t count;
};

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static const char *name(char out_name[64], const char *kind, size_t i)
{
    snprintf(out_name, 64, "%s%zu@example.net", kind, i);
    return out_name;
}

static int64_t hash_of(const char *address)
{
    int64_t hash = 0;
    assert_true(suppression_hash(address, &hash));
    return hash;
}

static struct list_of_hashes make_list(size_t count)
{
    struct list_of_hashes list = {
        memory_alloc_array(count + 1, sizeof(int64_t)), count
    };
    char address[64];
    for (size_t i = 0; i < count; i++) {
        list.hashes[i] = hash_of(name(address, "bad", i));
    }
    qsort(list.hashes, count, sizeof(int64_t), compare);
    return list;
}

static void load(struct suppression_segments *segments,
                 const struct list_of_hashes *list,
                 const struct suppression_range *range)
{
    struct buffer bytes = { 0 };
    size_t taken = 0;
    for (size_t i = 0; i < list->count && taken < SUPPRESSION_SEGMENT_LIMIT;
         i++) {
        uint64_t hash = (uint64_t)list->hashes[i];
        if (list->hashes[i] < range->lowest ||
            list->hashes[i] > range->highest) {
            continue;
        }
        for (int shift = 56; shift >= 0; shift -= 8) {
            buffer_append_byte(&bytes, (char)(hash >> shift & 0xff));
        }
        taken++;
    }
    suppression_segments_fill(segments, range, buffer_text(&bytes));
    buffer_free(&bytes);
}

static enum suppression_sight look(struct suppression_segments *segments,
                                   int64_t account_id, const char *address)
{
    struct suppression_answer answer;
    return suppression_segments_look(segments, account_id, hash_of(address),
                                     address, &answer);
}

/* Load until the address can be seen. */
static enum suppression_sight look_with_loads(
    struct suppression_segments *segments, const struct list_of_hashes *list,
    const char *address, size_t *load_count)
{
    for (int i = 0; i < SEGMENT_LOADS_MAX; i++) {
        enum suppression_sight sight = look(segments, 1, address);
        if (sight != SIGHT_NOTHING) {
            return sight;
        }
        struct suppression_range range;
        suppression_segments_range(segments, 1, hash_of(address), &range);
        load(segments, list, &range);
        (*load_count)++;
    }
    return SIGHT_NOTHING;
}

static void a_hash_is_that_of_postgresql(void **state)
{
    (void)state;
    int64_t hash = 0;
    /* SELECT baton.suppression_hash('runner@example.net'); the first eight
     * bytes of its SHA-256. */
    assert_true(suppression_hash("Runner@EXAMPLE.net", &hash));
    assert_int_equal(hash, hash_of("runner@example.net"));
    assert_int_equal((uint64_t)hash >> 32, 0x1625f8fbU);
    assert_false(suppression_hash("gr\xc3\xbc\xc3\x9f@example.net", &hash));
}

static void a_short_list_is_one_segment(void **state)
{
    (void)state;
    struct suppression_segments *segments = suppression_segments_create(ROOM);
    struct list_of_hashes list = make_list(100);
    size_t loads = 0;
    char address[64];
    assert_int_equal(look(segments, 1, "bad7@example.net"), SIGHT_NOTHING);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(
            look_with_loads(segments, &list, name(address, "bad", i), &loads),
            SIGHT_ALIKE);
    }
    assert_int_equal(loads, 1);
    assert_int_equal(look(segments, 1, "good@example.net"), SIGHT_CLEAR);
    assert_int_equal(look(segments, 2, "good@example.net"), SIGHT_NOTHING);
    suppression_segments_free(&segments);
    memory_free(list.hashes);
}

static void an_empty_list_is_known_to_be_empty(void **state)
{
    (void)state;
    struct suppression_segments *segments = suppression_segments_create(ROOM);
    struct list_of_hashes list = make_list(0);
    size_t loads = 0;
    assert_int_equal(look_with_loads(segments, &list, "a@b.c", &loads),
                     SIGHT_CLEAR);
    assert_int_equal(look(segments, 1, "b@b.c"), SIGHT_CLEAR);
    suppression_segments_free(&segments);
    memory_free(list.hashes);
}

/* U5: nobody on the list is overlooked, and few who are not are asked for. */
static void a_long_list_is_cut(void **state)
{
    (void)state;
    struct suppression_segments *segments = suppression_segments_create(ROOM);
    struct list_of_hashes list = make_list(50000);
    size_t loads = 0;
    size_t alike = 0;
    char address[64];
    for (size_t i = 0; i < 20000; i++) {
        enum suppression_sight sight =
            look_with_loads(segments, &list, name(address, "good", i), &loads);
        assert_true(sight == SIGHT_CLEAR || sight == SIGHT_ALIKE);
        alike += sight == SIGHT_ALIKE ? 1 : 0;
    }
    assert_true(alike < 200);
    assert_in_range(loads, 98 + 1, 196 + 2); /* 256 to 512 in each, one try */
    for (size_t i = 0; i < 50000; i += 7) {
        assert_int_equal(
            look_with_loads(segments, &list, name(address, "bad", i), &loads),
            SIGHT_ALIKE);
    }
    suppression_segments_free(&segments);
    memory_free(list.hashes);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct suppression_segments *segments = suppression_segments_create(20000);
    struct list_of_hashes list = make_list(50000);
    size_t loads = 0;
    char address[64];
    assert_int_equal(
        look_with_loads(segments, &list, "first@example.net", &loads),
        SIGHT_CLEAR);
    for (size_t i = 0; i < 1000; i++) {
        look_with_loads(segments, &list, name(address, "good", i), &loads);
        assert_true(suppression_segments_bytes(segments) <= 20000);
        /* What is used stays. */
        assert_int_equal(look(segments, 1, "first@example.net"), SIGHT_CLEAR);
    }
    assert_true(suppression_segments_bytes(segments) > 10000);
    assert_true(loads > 500);
    suppression_segments_forget_all(segments);
    assert_int_equal(suppression_segments_bytes(segments), 0);
    suppression_segments_free(&segments);
    memory_free(list.hashes);
}

static void an_answer_is_remembered_until_it_changes(void **state)
{
    (void)state;
    struct suppression_segments *segments = suppression_segments_create(ROOM);
    struct list_of_hashes list = make_list(100);
    struct suppression_answer answer;
    struct suppression row = {
        .address = "bad7@example.net",
        .reason = "manual",
        .evidence = "told us",
        .group_name = "News",
        .group_id = 3,
        .expires_at = 1000,
    };
    size_t loads = 0;
    int64_t hash = hash_of(row.address);
    look_with_loads(segments, &list, row.address, &loads);
    suppression_segments_keep(segments, 1, hash, "BAD7@example.net", &row, 1);
    assert_int_equal(
        suppression_segments_look(segments, 1, hash, row.address, &answer),
        SIGHT_ANSWER);
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.suppressions[0].evidence, "told us");
    assert_true(suppression_applies(&answer.suppressions[0], 3, 999));
    assert_false(suppression_applies(&answer.suppressions[0], 3, 1000));
    assert_false(suppression_applies(&answer.suppressions[0], 4, 999));
    assert_false(suppression_applies(&answer.suppressions[0],
                                     SUPPRESSION_ANY_GROUP, 999));
    /* Another address with the same hash is not answered for. */
    assert_int_equal(
        suppression_segments_look(segments, 1, hash, "x@example.net", &answer),
        SIGHT_ALIKE);
    suppression_segments_note(segments, 1, hash);
    assert_int_equal(look(segments, 1, row.address), SIGHT_ALIKE);
    suppression_segments_free(&segments);
    memory_free(list.hashes);
}

static void what_is_added_is_seen_without_a_load(void **state)
{
    (void)state;
    struct suppression_segments *segments = suppression_segments_create(ROOM);
    struct list_of_hashes list = make_list(10);
    size_t loads = 0;
    char address[64];
    assert_int_equal(
        look_with_loads(segments, &list, "new@example.net", &loads),
        SIGHT_CLEAR);
    suppression_segments_note(segments, 1, hash_of("new@example.net"));
    assert_int_equal(look(segments, 1, "new@example.net"), SIGHT_ALIKE);
    suppression_segments_note(segments, 2, hash_of("new@example.net"));
    assert_int_equal(look(segments, 1, "good@example.net"), SIGHT_CLEAR);
    for (size_t i = 0; i < 3000; i++) { /* it is loaded anew in between */
        suppression_segments_note(segments, 1,
                                  hash_of(name(address, "bad", i)));
        assert_int_not_equal(look(segments, 1, address), SIGHT_CLEAR);
    }
    suppression_segments_forget_account(segments, 1);
    assert_int_equal(look(segments, 1, "new@example.net"), SIGHT_NOTHING);
    assert_int_equal(suppression_segments_bytes(segments), 0);
    suppression_segments_free(&segments);
    memory_free(list.hashes);
}

/* A load that was on its way when the account was cut finer says nothing. */
static void a_late_load_is_passed_over(void **state)
{
    (void)state;
    struct suppression_segments *segments = suppression_segments_create(ROOM);
    struct list_of_hashes list = make_list(50000);
    struct suppression_range whole;
    suppression_segments_range(segments, 1, hash_of("a@b.c"), &whole);
    assert_int_equal(whole.lowest, INT64_MIN);
    assert_int_equal(whole.highest, INT64_MAX);
    load(segments, &list, &whole);
    load(segments, &list, &whole);
    assert_int_equal(look(segments, 1, "a@b.c"), SIGHT_NOTHING);
    struct suppression_range part;
    suppression_segments_range(segments, 1, hash_of("a@b.c"), &part);
    assert_true(part.lowest > whole.lowest || part.highest < whole.highest);
    load(segments, &list, &part);
    assert_int_not_equal(look(segments, 1, "a@b.c"), SIGHT_NOTHING);
    suppression_segments_free(&segments);
    memory_free(list.hashes);
}

/* Whoever makes hashes alike slows his own account down, and nothing else. */
static void hashes_that_are_alike_end_in_questions(void **state)
{
    (void)state;
    struct suppression_segments *segments = suppression_segments_create(ROOM);
    struct list_of_hashes list = make_list(3000);
    for (size_t i = 0; i < list.count; i++) {
        list.hashes[i] = hash_of("a@b.c");
    }
    size_t loads = 0;
    assert_int_equal(look_with_loads(segments, &list, "a@b.c", &loads),
                     SIGHT_ALIKE);
    assert_int_equal(look_with_loads(segments, &list, "b@b.c", &loads),
                     SIGHT_CLEAR);
    suppression_segments_free(&segments);
    memory_free(list.hashes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_is_that_of_postgresql),
        cmocka_unit_test(a_short_list_is_one_segment),
        cmocka_unit_test(an_empty_list_is_known_to_be_empty),
        cmocka_unit_test(a_long_list_is_cut),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(an_answer_is_remembered_until_it_changes),
        cmocka_unit_test(what_is_added_is_seen_without_a_load),
        cmocka_unit_test(a_late_load_is_passed_over),
        cmocka_unit_test(hashes_that_are_alike_end_in_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
