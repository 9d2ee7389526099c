/* SPDX-License-Identifier: MIT */
/*
 * What the load generator and the load sink share: the clock that both stamp
 * with, and a list of latencies that is sorted once, at the end.
 */
#ifndef LOAD_MEASURE_H
#define LOAD_MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Nanoseconds of the wall clock: comparable between processes of a machine. */
static inline int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A whole number at the start of a text; 0 if there is none. */
static inline int64_t number_in(const char *text)
{
    return strtoll(text, NULL, 10);
}

static inline void *must(void *pointer)
{
    if (pointer == NULL) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return pointer;
}

struct latencies {
    uint32_t *us;
    size_t count;
    size_t room;
};

static inline void latency_add(struct latencies *list, int64_t ns)
{
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 4096;
        list->us = must(realloc(list->us, list->room * sizeof *list->us));
    }
    list->us[list->count++] = ns < 0 ? 0 : (uint32_t)(ns / 1000);
}

static inline int latency_order(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static inline void latency_sort(struct latencies *list)
{
    if (list->count > 0) {
        qsort(list->us, list->count, sizeof *list->us, latency_order);
    }
}

/* In milliseconds, of a sorted list; share is 0.5 for the median. */
static inline double latency_at(const struct latencies *list, double share)
{
    if (list->count == 0) {
        return 0;
    }
    return list->us[(size_t)((double)(list->count - 1) * share)] / 1000.0;
}

#endif
