/* SPDX-License-Identifier: MIT */
#include "sql/hits.h"

#include "core/memory.h"
#include "sql/database_internal.h"

/* Of memory, beside its URL, which may be there twice. */
#define HIT_WEIGHT 1024
/* What waits while PostgreSQL is away: about 100,000 usual ones. */
#define HITS_WAITING_BYTES (128 * 1024 * 1024)

static bool append_hit(struct parameters *p, const void *values,
                       size_t position)
{
    const struct new_hit *hit = values;
    struct text agent = text_of(hit->user_agent);
    (void)position;
    column_int64(p, hit->account_id);
    column_int64(p, hit->event_id);
    column_instant(p, hit->occurred_at);
    column_text(p, hit->is_click ? "clicked" : "opened");
    if (hit->delivery_id != 0) {
        column_id(p, hit->delivery_id);
    } else {
        column_int64_or_null(p, 0);
    }
    column_int64(p, hit->group_id);
    column_int32(p, hit->link);
    column_text(p, hit->url);
    column_text(p, hit->client_address);
    if (hit->user_agent != NULL) {
        column_text_view(p, text_slice(agent, 0,
                                       agent.length < HIT_AGENT_BYTES
                                           ? agent.length
                                           : HIT_AGENT_BYTES));
    } else {
        column_text(p, NULL);
    }
    column_text(p, hit->machine_reason);
    row_end(p);
    return true;
}

static const struct batch_statement hit_statements[] = {
    { STATEMENT_HIT_INSERT, STATEMENT_HIT_INSERT_AGAIN, append_hit, true },
    { STATEMENT_HIT_BURST, STATEMENT_HIT_BURST, NULL, false },
};

const struct batch_kind hit_batch_kind = {
    .name = "hits",
    .statements = hit_statements,
    .statement_count = ARRAY_LENGTH(hit_statements),
    .bytes_limit = HITS_WAITING_BYTES,
};

void hit_store(struct database *database, struct batch_row *row,
               const struct new_hit *borrowed_hit, batch_done_fn *on_done,
               void *owner)
{
    batch_add(database->batches[BATCH_HITS], row, borrowed_hit,
              HIT_WEIGHT + 2 * text_of(borrowed_hit->url).length, on_done,
              owner);
}

size_t hits_pending_count(const struct database *database)
{
    return batch_pending_count(database->batches[BATCH_HITS]);
}
