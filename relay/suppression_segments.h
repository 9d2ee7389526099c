/* SPDX-License-Identifier: MIT */
/*
 * What a worker remembers of accounts' suppressions, in bounded memory. Plain
 * memory: it asks nobody and no callback runs.
 *
 * An account's addresses are hashed to 64 bits, and the range of hashes is cut
 * into 2^k segments of about four hundred addresses each; k follows from what
 * the first load shows of the list's size. A segment that was loaded knows of
 * each of its addresses two bytes: what is not among them is not suppressed,
 * what is among them is asked for exactly (of a hundred addresses that are not
 * suppressed fewer than one, too), and that answer is remembered as well. What
 * was not used for the longest time goes first.
 */
#ifndef BATON_RELAY_SUPPRESSION_SEGMENTS_H
#define BATON_RELAY_SUPPRESSION_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"
#include "sql/suppressions.h"

/* So many hashes of a range are to be loaded at most; with as many as that it
 * is cut finer. */
#define SUPPRESSION_SEGMENT_LIMIT 2048

struct suppression_segments;

/* bytes_max: of all that is remembered. */
struct suppression_segments *suppression_segments_create(size_t bytes_max);
void suppression_segments_free(struct suppression_segments **segments);
size_t suppression_segments_bytes(const struct suppression_segments *segments);

/* The hash of an address in any case of letters, as PostgreSQL computes it.
 * False: it is not ASCII, and only PostgreSQL knows how to write it in lower
 * case: nothing is remembered of it. */
bool suppression_hash(const char *address, int64_t *out_hash);

/* All that an address is suppressed for, as PostgreSQL said. */
struct suppression_answer {
    const struct suppression *suppressions; /* place means nothing */
    size_t count;
};

enum suppression_sight {
    SIGHT_CLEAR, /* not suppressed for anything */
    SIGHT_ANSWER, /* what it is suppressed for, if anything, is known */
    SIGHT_ALIKE, /* it may be: only PostgreSQL knows */
    SIGHT_NOTHING, /* its segment is not here */
};
/* out_answer: with SIGHT_ANSWER, valid until the next call of another function
 * here. */
enum suppression_sight suppression_segments_look(
    struct suppression_segments *segments, int64_t account_id, int64_t hash,
    const char *address, struct suppression_answer *out_answer);

/* The range to load for a hash. */
void suppression_segments_range(const struct suppression_segments *segments,
                                int64_t account_id, int64_t hash,
                                struct suppression_range *out_range);
/* Remember a range that was loaded, with SUPPRESSION_SEGMENT_LIMIT as limit:
 * its hashes as suppression_ranges_load gives them. If they were too many the
 * account is cut finer instead: suppression_segments_range gives another one.
 */
void suppression_segments_fill(struct suppression_segments *segments,
                               const struct suppression_range *range,
                               struct text hashes);
/* Remember all that an address (in any case) is suppressed for: it is copied.
 */
void suppression_segments_keep(struct suppression_segments *segments,
                               int64_t account_id, int64_t hash,
                               const char *address,
                               const struct suppression *suppressions,
                               size_t count);

/* Something changed about a hash. Its address is asked for anew; the segment
 * stays: a hash too many in it is no harm. */
void suppression_segments_note(struct suppression_segments *segments,
                               int64_t account_id, int64_t hash);
/* Forget what is known of an account, or everything. */
void suppression_segments_forget_account(struct suppression_segments *segments,
                                         int64_t account_id);
void suppression_segments_forget_all(struct suppression_segments *segments);

#endif
