/* SPDX-License-Identifier: MIT */
/* Where the corpora lie: BATON_CORPORA, or shared/corpora beside the checkout.
 * Include it after cmocka.h. */
#ifndef BATON_TESTS_UNIT_CORPORA_H
#define BATON_TESTS_UNIT_CORPORA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CORPORA_PATH_SIZE 1000

/* The path of what lies `inside` ("" is all of them); without it the test is
 * skipped, saying so. __FILE__ is SOURCE/tests/unit/corpora.h. */
static inline void corpora_find(const char *inside,
                                char out_path[CORPORA_PATH_SIZE])
{
    const char *chosen = getenv("BATON_CORPORA");
    const char *end = strstr(__FILE__, "tests/unit/");
    struct stat status;
    int source_length =
        chosen != NULL || end == NULL ? 0 : (int)(end - __FILE__);
    int length = snprintf(
        out_path, CORPORA_PATH_SIZE, "%.*s%s/%s", source_length, __FILE__,
        chosen != NULL ? chosen : "../shared/corpora", inside);
    assert_true(length > 0 && length < CORPORA_PATH_SIZE);
    if (stat(out_path, &status) != 0) {
        print_message("%s is not there: set BATON_CORPORA; skipped\n",
                      out_path);
        skip();
    }
}

#endif
