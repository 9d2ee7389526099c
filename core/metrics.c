/* SPDX-License-Identifier: MIT */
/*
 * Rows of slots, one a worker and one more for the supervisor, each on cache
 * lines of its own. A slot has one writer, hence relaxed atomics: readers want
 * whole numbers, not an order. Slot 0 takes what a table that nobody has
 * registered counts (unit tests of other rooms).
 */
#include "core/metrics.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "core/memory.h"

#define SLOTS_PER_LINE (64 / sizeof(int64_t))

struct metric_table {
    struct metric *borrowed_metrics;
    size_t count;
};

static struct metric_table *tables;
static size_t table_count;
static size_t slot_count = 1;

static int64_t *slots; /* row after row */
static size_t row_length;
static size_t worker_count;
static size_t own_row;
static bool is_open;

static size_t round_up(size_t count)
{
    return (count + SLOTS_PER_LINE - 1) / SLOTS_PER_LINE * SLOTS_PER_LINE;
}

static int64_t *slot_of(const struct metric *metric, size_t row)
{
    return &slots[row * row_length + metric->slot];
}

static bool is_registered(const struct metric *table)
{
    for (size_t i = 0; i < table_count; i++) {
        if (tables[i].borrowed_metrics == table) {
            return true;
        }
    }
    return false;
}

/* The process's own single row, until there is shared memory. */
static void grow_own_row(void)
{
    size_t length = round_up(slot_count);
    slots = memory_resize(slots, length * sizeof(*slots));
    memset(slots + row_length, 0, (length - row_length) * sizeof(*slots));
    row_length = length;
}

void metrics_register(struct metric *table, size_t metric_count)
{
    if (is_registered(table)) {
        return;
    }
    check(!is_open);
    tables = memory_resize(tables, (table_count + 1) * sizeof(*tables));
    tables[table_count++] = (struct metric_table){ table, metric_count };
    for (size_t i = 0; i < metric_count; i++) {
        table[i].slot = slot_count++;
    }
    grow_own_row();
}

void metrics_open(size_t new_worker_count)
{
    check(!is_open && new_worker_count > 0);
    size_t length = round_up(slot_count);
    size_t size_bytes = (new_worker_count + 1) * length * sizeof(*slots);
    int64_t *shared = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(shared != MAP_FAILED);
    if (slots) {
        memcpy(shared + new_worker_count * length, slots,
               row_length * sizeof(*slots));
        memory_free(slots);
    }
    slots = shared;
    row_length = length;
    worker_count = new_worker_count;
    own_row = new_worker_count;
    is_open = true;
}

void metrics_attach(size_t worker_index)
{
    check(worker_index < worker_count);
    own_row = worker_index;
    for (size_t i = 0; i < table_count; i++) {
        for (size_t j = 0; j < tables[i].count; j++) {
            if (tables[i].borrowed_metrics[j].kind == METRIC_GAUGE) {
                metric_set(&tables[i].borrowed_metrics[j], 0);
            }
        }
    }
}

void metric_add(const struct metric *metric, int64_t amount)
{
    if (slots) {
        __atomic_fetch_add(slot_of(metric, own_row), amount, __ATOMIC_RELAXED);
    }
}

void metric_set(const struct metric *metric, int64_t value)
{
    if (slots) {
        __atomic_store_n(slot_of(metric, own_row), value, __ATOMIC_RELAXED);
    }
}

int64_t metric_of_worker(const struct metric *metric, size_t worker_index)
{
    if (!slots || worker_index > worker_count) {
        return 0;
    }
    return __atomic_load_n(slot_of(metric, worker_index), __ATOMIC_RELAXED);
}

int64_t metric_sum(const struct metric *metric)
{
    int64_t sum = 0;
    for (size_t i = 0; i <= worker_count; i++) {
        sum += metric_of_worker(metric, i);
    }
    return sum;
}

static const struct metric *metric_at(size_t slot)
{
    size_t first = 1;
    for (size_t i = 0; i < table_count; i++) {
        if (slot < first + tables[i].count) {
            return &tables[i].borrowed_metrics[slot - first];
        }
        first += tables[i].count;
    }
    return NULL;
}

/* The first metric of this name among some slots, or NULL. */
static const struct metric *find_named(const char *name, size_t from, size_t to)
{
    for (size_t slot = from; slot < to; slot++) {
        const struct metric *metric = metric_at(slot);
        if (strcmp(metric->name, name) == 0) {
            return metric;
        }
    }
    return NULL;
}

static void print_head(const struct metric *metric, struct buffer *out_text)
{
    buffer_printf(out_text, "# HELP %s ", metric->name);
    for (const char *byte = metric->help; *byte; byte++) {
        if (*byte == '\n' || *byte == '\\') {
            buffer_append_string(out_text, *byte == '\n' ? "\\n" : "\\\\");
        } else {
            buffer_append_byte(out_text, *byte);
        }
    }
    buffer_printf(out_text, "\n# TYPE %s %s\n", metric->name,
                  metric->kind == METRIC_COUNTER ? "counter" : "gauge");
}

static void print_value(const struct metric *metric, struct buffer *out_text)
{
    bool has_labels = metric->labels && *metric->labels;
    buffer_printf(out_text, "%s%s%s%s %lld\n", metric->name,
                  has_labels ? "{" : "", has_labels ? metric->labels : "",
                  has_labels ? "}" : "", (long long)metric_sum(metric));
}

/* The format wants all lines of one name together, whatever tables they are
 * from. */
void metrics_print(struct buffer *out_text)
{
    for (size_t slot = 1; slot < slot_count; slot++) {
        const struct metric *metric = metric_at(slot);
        if (find_named(metric->name, 1, slot)) {
            continue;
        }
        print_head(metric, out_text);
        while (metric) {
            print_value(metric, out_text);
            metric = find_named(metric->name, metric->slot + 1, slot_count);
        }
    }
}
