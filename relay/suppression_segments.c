/* SPDX-License-Identifier: MIT */
/*
 *   hash   |<- k bits: segment ->|<- 16 bits: kept of each ->|  ...  |
 *
 * Segments and answers lie in one list, by their last use, and each in the list
 * of its account. Hashes are signed for PostgreSQL; here, with the sign turned,
 * they are in the same order without one.
 */
#include "relay/suppression_segments.h"

#include <string.h>

#include "core/address.h"
#include "core/encoding.h"
#include "core/list.h"
#include "core/map.h"
#include "core/memory.h"

#define PRINT_BITS 16
#define HASH_BYTES 8
/* A segment has half as many to so many when it is cut. */
#define SEGMENT_HASHES 512
#define SEGMENT_BITS_MAX 24
/* Beside an item's own bytes: its place in a map and what malloc needs. */
#define ITEM_BYTES 112

/* Lives as long as it has items. */
struct account {
    int64_t account_id;
    unsigned bits; /* its hashes are cut into 2^bits segments */
    struct list items; /* struct item, of_account */
};

struct item {
    struct list_link by_use;
    struct list_link of_account;
    struct account *account;
    uint64_t number; /* of a segment its place, of an answer its hash */
    size_t bytes;
    bool is_answer;
};

struct segment {
    struct item item; /* first */
    bool is_vague; /* too many for two bytes each: all are asked for */
    size_t count;
    uint16_t *prints; /* ascending */
};

struct answer {
    struct item item; /* first */
    char *address; /* lower case; another one may have the same hash */
    struct suppression *suppressions;
    size_t count;
};

struct suppression_segments {
    size_t bytes_max;
    size_t bytes;
    struct map *accounts;
    struct map *segments; /* by account and place */
    struct map *answers; /* by account and hash */
    struct list by_use; /* what was used last stands last */
};

struct item_key {
    int64_t account_id;
    uint64_t number;
};

static struct text key_text(const struct item_key *key)
{
    return (struct text){ (const char *)key, sizeof(*key) };
}

static void *find_item(const struct map *map, int64_t account_id,
                       uint64_t number)
{
    struct item_key key = { account_id, number };
    return map_get(map, key_text(&key));
}

/* -- hashes -- */

static uint64_t read_hash(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < HASH_BYTES; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static uint64_t turn_sign(uint64_t hash)
{
    return hash ^ UINT64_C(1) << 63;
}

static uint64_t from_signed(int64_t hash)
{
    return turn_sign((uint64_t)hash);
}

static int64_t to_signed(uint64_t hash)
{
    return (int64_t)turn_sign(hash);
}

static uint64_t place_of(uint64_t hash, unsigned bits)
{
    return bits == 0 ? 0 : hash >> (64 - bits);
}

static uint16_t print_of(uint64_t hash, unsigned bits)
{
    return (uint16_t)(hash << bits >> (64 - PRINT_BITS));
}

bool suppression_hash(const char *address, int64_t *out_hash)
{
    char lower[ADDRESS_TEXT_MAX];
    uint8_t digest[SHA256_SIZE];
    size_t length = 0;
    for (const char *c = address; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80 || length == sizeof(lower)) {
            return false;
        }
        lower[length++] = ascii_lower(*c);
    }
    sha256((struct text){ lower, length }, digest);
    *out_hash = (int64_t)read_hash(digest);
    return true;
}

/* -- items -- */

static struct account *find_account(const struct suppression_segments *segments,
                                    int64_t account_id)
{
    return map_get_id(segments->accounts, account_id);
}

static struct account *make_account(struct suppression_segments *segments,
                                    int64_t account_id)
{
    struct account *account = find_account(segments, account_id);
    if (account == NULL) {
        account = memory_alloc(sizeof(*account));
        account->account_id = account_id;
        map_set_id(segments->accounts, account_id, account);
    }
    return account;
}

static void drop_account_if_empty(struct suppression_segments *segments,
                                  struct account *account)
{
    if (account->items.count == 0) {
        map_remove_id(segments->accounts, account->account_id);
        memory_free(account);
    }
}

static void free_answer(struct answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        const struct suppression *one = &answer->suppressions[i];
        memory_free((char *)one->address);
        memory_free((char *)one->group_name);
        memory_free((char *)one->reason);
        memory_free((char *)one->evidence);
    }
    memory_free(answer->suppressions);
    memory_free(answer->address);
    memory_free(answer);
}

/* The account stays, even when it has no other. */
static void drop_item(struct suppression_segments *segments, struct item *item)
{
    struct item_key key = { item->account->account_id, item->number };
    map_remove(item->is_answer ? segments->answers : segments->segments,
               key_text(&key));
    list_remove(&item->by_use);
    list_remove(&item->of_account);
    segments->bytes -= item->bytes;
    if (item->is_answer) {
        free_answer((struct answer *)item);
    } else {
        memory_free(((struct segment *)item)->prints);
        memory_free(item);
    }
}

static void make_room(struct suppression_segments *segments)
{
    while (segments->bytes > segments->bytes_max) {
        struct item *oldest =
            LIST_ITEM(segments->by_use.first, struct item, by_use);
        struct account *account = oldest->account;
        drop_item(segments, oldest);
        drop_account_if_empty(segments, account);
    }
}

/* It may be gone afterwards: no item is larger than all the room. */
static void add_item(struct suppression_segments *segments, struct item *item,
                     struct account *account, uint64_t number, size_t bytes)
{
    struct item_key key = { account->account_id, number };
    item->account = account;
    item->number = number;
    item->bytes = bytes + ITEM_BYTES;
    segments->bytes += item->bytes;
    map_set(item->is_answer ? segments->answers : segments->segments,
            key_text(&key), item);
    list_append(&segments->by_use, &item->by_use);
    list_append(&account->items, &item->of_account);
    make_room(segments);
}

static void use_item(struct suppression_segments *segments, struct item *item)
{
    list_remove(&item->by_use);
    list_append(&segments->by_use, &item->by_use);
}

static void drop_items(struct suppression_segments *segments,
                       struct account *account)
{
    while (account->items.first != NULL) {
        drop_item(segments,
                  LIST_ITEM(account->items.first, struct item, of_account));
    }
}

/* -- looking -- */

/* Where the print stands, or would. */
static size_t find_print(const struct segment *segment, uint16_t print)
{
    size_t low = 0;
    size_t high = segment->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (segment->prints[middle] < print) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool has_print(const struct segment *segment, uint16_t print)
{
    size_t place = find_print(segment, print);
    return segment->is_vague ||
           (place < segment->count && segment->prints[place] == print);
}

enum suppression_sight suppression_segments_look(
    struct suppression_segments *segments, int64_t account_id, int64_t hash,
    const char *address, struct suppression_answer *out_answer)
{
    const struct account *account = find_account(segments, account_id);
    uint64_t number = from_signed(hash);
    struct segment *segment = account == NULL
                                  ? NULL
                                  : find_item(segments->segments, account_id,
                                              place_of(number, account->bits));
    if (segment != NULL) {
        use_item(segments, &segment->item);
        if (!has_print(segment, print_of(number, account->bits))) {
            return SIGHT_CLEAR;
        }
    }
    struct answer *answer = find_item(segments->answers, account_id, number);
    if (answer != NULL &&
        text_equal_ignoring_case(text_of(answer->address), text_of(address))) {
        use_item(segments, &answer->item);
        *out_answer =
            (struct suppression_answer){ answer->suppressions, answer->count };
        return SIGHT_ANSWER;
    }
    return segment != NULL ? SIGHT_ALIKE : SIGHT_NOTHING;
}

/* -- loading -- */

void suppression_segments_range(const struct suppression_segments *segments,
                                int64_t account_id, int64_t hash,
                                struct suppression_range *out_range)
{
    const struct account *account = find_account(segments, account_id);
    unsigned bits = account != NULL ? account->bits : 0;
    uint64_t rest = bits == 0 ? UINT64_MAX : UINT64_MAX >> bits;
    uint64_t lowest = from_signed(hash) & ~rest;
    *out_range = (struct suppression_range){
        .account_id = account_id,
        .lowest = to_signed(lowest),
        .highest = to_signed(lowest | rest),
    };
}

/* So many hashes lie between the start of the range and the last of them: in
 * how many parts is everything to be cut? */
static unsigned count_bits(uint64_t span, size_t count, unsigned bits_now)
{
    double total =
        (double)count * 18446744073709551616.0 / ((double)span + 1.0);
    unsigned bits = bits_now + 1;
    while (bits < SEGMENT_BITS_MAX &&
           total / (double)(UINT64_C(1) << bits) > SEGMENT_HASHES) {
        bits++;
    }
    return bits;
}

static void keep_prints(struct segment *segment, unsigned bits,
                        const unsigned char *hashes, size_t count)
{
    segment->prints = memory_alloc_array(count + 1, sizeof(uint16_t));
    for (size_t i = 0; i < count; i++) {
        uint16_t print =
            print_of(turn_sign(read_hash(hashes + i * HASH_BYTES)), bits);
        if (segment->count == 0 ||
            segment->prints[segment->count - 1] != print) {
            segment->prints[segment->count++] = print;
        }
    }
}

void suppression_segments_fill(struct suppression_segments *segments,
                               const struct suppression_range *range,
                               struct text hashes)
{
    struct account *account = make_account(segments, range->account_id);
    uint64_t lowest = from_signed(range->lowest);
    uint64_t place = place_of(lowest, account->bits);
    const unsigned char *bytes = (const unsigned char *)hashes.data;
    size_t count = hashes.length / HASH_BYTES;
    bool is_overfull = count >= SUPPRESSION_SEGMENT_LIMIT;
    struct suppression_range expected;
    suppression_segments_range(segments, range->account_id, range->lowest,
                               &expected);
    if (expected.lowest != range->lowest ||
        expected.highest != range->highest ||
        find_item(segments->segments, range->account_id, place) != NULL) {
        return; /* asked for before it was cut finer, or twice */
    }
    if (is_overfull && account->bits < SEGMENT_BITS_MAX) {
        uint64_t last = turn_sign(read_hash(bytes + (count - 1) * HASH_BYTES));
        drop_items(segments, account);
        account->bits = count_bits(last - lowest, count, account->bits);
        return;
    }
    struct segment *segment = memory_alloc(sizeof(*segment));
    segment->is_vague = is_overfull;
    keep_prints(segment, account->bits, bytes, is_overfull ? 0 : count);
    add_item(segments, &segment->item, account, place,
             sizeof(*segment) + (segment->count + 1) * sizeof(uint16_t));
}

/* -- answers -- */

static char *copy_lower(const char *address)
{
    char *copy = memory_copy_string(address);
    for (char *c = copy; *c != '\0'; c++) {
        *c = ascii_lower(*c);
    }
    return copy;
}

static size_t copy_suppression(struct suppression *to,
                               const struct suppression *from)
{
    *to = *from;
    to->address = memory_copy_string(from->address);
    to->reason = memory_copy_string(from->reason);
    to->evidence = memory_copy_string(from->evidence);
    to->group_name =
        from->group_name != NULL ? memory_copy_string(from->group_name) : NULL;
    return sizeof(*to) + strlen(to->address) + strlen(to->reason) +
           strlen(to->evidence) +
           (to->group_name != NULL ? strlen(to->group_name) : 0) + ITEM_BYTES;
}

void suppression_segments_keep(struct suppression_segments *segments,
                               int64_t account_id, int64_t hash,
                               const char *address,
                               const struct suppression *suppressions,
                               size_t count)
{
    struct item *earlier =
        find_item(segments->answers, account_id, from_signed(hash));
    struct account *account = make_account(segments, account_id);
    if (earlier != NULL) {
        drop_item(segments, earlier);
    }
    struct answer *answer = memory_alloc(sizeof(*answer));
    size_t bytes = sizeof(*answer) + strlen(address);
    answer->item.is_answer = true;
    answer->address = copy_lower(address);
    answer->suppressions =
        memory_alloc_array(count + 1, sizeof(*answer->suppressions));
    answer->count = count;
    for (size_t i = 0; i < count; i++) {
        bytes += copy_suppression(&answer->suppressions[i], &suppressions[i]);
    }
    add_item(segments, &answer->item, account, from_signed(hash), bytes);
}

/* -- changes -- */

static void add_print(struct suppression_segments *segments,
                      struct segment *segment, uint16_t print)
{
    size_t place = find_print(segment, print);
    segment->prints =
        memory_resize(segment->prints, (segment->count + 2) * sizeof(print));
    memmove(&segment->prints[place + 1], &segment->prints[place],
            (segment->count - place) * sizeof(print));
    segment->prints[place] = print;
    segment->count++;
    segment->item.bytes += sizeof(print);
    segments->bytes += sizeof(print);
}

void suppression_segments_note(struct suppression_segments *segments,
                               int64_t account_id, int64_t hash)
{
    struct account *account = find_account(segments, account_id);
    uint64_t number = from_signed(hash);
    if (account == NULL) {
        return;
    }
    struct item *answer = find_item(segments->answers, account_id, number);
    if (answer != NULL) {
        drop_item(segments, answer);
    }
    struct segment *segment = find_item(segments->segments, account_id,
                                        place_of(number, account->bits));
    uint16_t print = print_of(number, account->bits);
    if (segment != NULL && segment->count >= SUPPRESSION_SEGMENT_LIMIT) {
        drop_item(segments, &segment->item); /* it has grown: cut anew */
    } else if (segment != NULL && !has_print(segment, print)) {
        add_print(segments, segment, print);
    }
    drop_account_if_empty(segments, account);
    make_room(segments);
}

void suppression_segments_forget_account(struct suppression_segments *segments,
                                         int64_t account_id)
{
    struct account *account = find_account(segments, account_id);
    if (account != NULL) {
        drop_items(segments, account);
        drop_account_if_empty(segments, account);
    }
}

void suppression_segments_forget_all(struct suppression_segments *segments)
{
    size_t position = 0;
    void *account = NULL;
    while (map_next(segments->accounts, &position, NULL, &account)) {
        drop_items(segments, account);
        drop_account_if_empty(segments, account);
    }
}

/* -- life -- */

struct suppression_segments *suppression_segments_create(size_t bytes_max)
{
    struct suppression_segments *segments = memory_alloc(sizeof(*segments));
    segments->bytes_max = bytes_max;
    segments->accounts = map_create();
    segments->segments = map_create();
    segments->answers = map_create();
    return segments;
}

void suppression_segments_free(struct suppression_segments **segments)
{
    if (*segments != NULL) {
        suppression_segments_forget_all(*segments);
        map_free(&(*segments)->accounts);
        map_free(&(*segments)->segments);
        map_free(&(*segments)->answers);
        memory_free(*segments);
        *segments = NULL;
    }
}

size_t suppression_segments_bytes(const struct suppression_segments *segments)
{
    return segments->bytes;
}
