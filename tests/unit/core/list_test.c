/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/list.h"
#include "core/memory.h"

struct item {
    int number;
    struct list_link link;
};

/* Whether the list holds exactly the digits of `expected`, both ways. */
static void assert_holds(const struct list *list, const char *expected)
{
    const struct list_link *previous = NULL;
    const char *digit = expected;
    size_t count = 0;
    for (struct list_link *link = list->first; link; link = link->next) {
        const struct item *item = LIST_ITEM(link, struct item, link);
        assert_int_equal(item->number, *digit - '0');
        assert_ptr_equal(link->previous, previous);
        assert_ptr_equal(link->list, list);
        previous = link;
        digit++;
        count++;
    }
    assert_int_equal(*digit, '\0');
    assert_ptr_equal(list->last, previous);
    assert_int_equal(list->count, count);
}

static void items_go_in_and_out_anywhere(void **state)
{
    (void)state;
    struct list list = { 0 };
    struct item items[6] = { 0 };
    for (int i = 0; i < 6; i++) {
        items[i].number = i;
    }
    list_append(&list, &items[1].link);
    list_append(&list, &items[2].link);
    list_prepend(&list, &items[0].link);
    assert_holds(&list, "012");
    list_insert_before(&items[0].link, &items[3].link);
    list_insert_before(&items[2].link, &items[4].link);
    assert_holds(&list, "30142");
    list_remove(&items[1].link);
    assert_holds(&list, "3042");
    list_remove(&items[2].link);
    list_remove(&items[3].link);
    assert_holds(&list, "04");
    list_remove(&items[3].link);
    assert_holds(&list, "04");
    assert_ptr_equal(list_take_first(&list), &items[0].link);
    assert_null(items[0].link.list);
    assert_ptr_equal(list_take_first(&list), &items[4].link);
    assert_holds(&list, "");
    assert_null(list_take_first(&list));
    list_append(&list, &items[5].link);
    assert_holds(&list, "5");
}

static void no_link_is_no_item(void **state)
{
    (void)state;
    struct list_link *link = NULL;
    assert_null(LIST_ITEM(link, struct item, link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_go_in_and_out_anywhere),
        cmocka_unit_test(no_link_is_no_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
