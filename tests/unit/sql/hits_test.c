/* SPDX-License-Identifier: MIT */
/* Opens and clicks: the ledger, the deliveries and the counters agree. */
#include "sql/hits.h"

#include "tests/unit/agents.h"
#include "tests/unit/sql/database_fixture.h"

#define HUMAN "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Firefox/115.0"
#define HOUR (3600 * CLOCK_SECOND)
#define DELIVERIES 12

struct hits {
    struct new_hit hits[4096];
    struct outcome outcomes[4096];
    size_t count;
    int64_t deliveries[DELIVERIES];
    int64_t start; /* an hour's beginning */
    uint64_t random;
};

static uint64_t pick(struct hits *h, uint64_t below)
{
    h->random ^= h->random << 13;
    h->random ^= h->random >> 7;
    h->random ^= h->random << 17;
    return h->random % below;
}

static struct hits *make_hits(struct fixture *f)
{
    struct hits *h = memory_alloc(sizeof(*h));
    h->random = 88172645463325252;
    h->start = clock_now() / HOUR * HOUR;
    for (int i = 0; i < DELIVERIES; i++) {
        char text[400];
        h->deliveries[i] = id_make();
        snprintf(text, sizeof(text),
                 "INSERT INTO baton.delivery (account_id, delivery_id, "
                 "message_id, recipient, domain, notify, state, group_id) "
                 "VALUES (5, %" PRId64 ", %" PRId64 ", 'r%d@example.net', "
                 "'example.net', 0, 'delivered', %d)",
                 h->deliveries[i], h->deliveries[i / 3 * 3], i, i % 3);
        sql_do(f, text);
    }
    return h;
}

/* An open or, with a link, a click so many microseconds after the start. */
static struct new_hit *add_hit(struct hits *h, int delivery, int32_t link,
                               int64_t after)
{
    struct new_hit *hit = &h->hits[h->count];
    check(h->count < ARRAY_LENGTH(h->hits));
    h->outcomes[h->count++].result = -1;
    *hit = (struct new_hit){
        .account_id = 5,
        .event_id = id_make(),
        .occurred_at = h->start + after,
        .is_click = link > 0,
        .delivery_id = h->deliveries[delivery],
        .link = link,
        .url = link > 0 ? "https://example.org/" : NULL,
        .client_address = "192.0.2.1",
        .user_agent = HUMAN,
    };
    return hit;
}

static bool are_stored(void *owner)
{
    const struct hits *h = owner;
    for (size_t i = 0; i < h->count; i++) {
        if (h->outcomes[i].row.batch != NULL) {
            return false;
        }
    }
    return true;
}

static void store(struct fixture *f, struct hits *h, size_t i)
{
    hit_store(f->database, &h->outcomes[i].row, &h->hits[i], on_outcome,
              &h->outcomes[i]);
}

static void store_all(struct fixture *f, struct hits *h)
{
    for (size_t i = 0; i < h->count; i++) {
        store(f, h, i);
    }
    run_until(f, are_stored, h);
    for (size_t i = 0; i < h->count; i++) {
        assert_string_equal(h->outcomes[i].reason.text, "");
        assert_int_equal(h->outcomes[i].result, DATABASE_DONE);
    }
}

static int64_t counter(struct fixture *f, const char *name)
{
    return sql_number(f, "SELECT coalesce(sum(%s), 0) FROM baton.counter",
                      name);
}

static void counters_are(struct fixture *f, const int64_t expected[6])
{
    static const char *const names[] = { "opens",         "opens_unique",
                                         "opens_human",   "clicks",
                                         "clicks_unique", "clicks_human" };
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        int64_t value = counter(f, names[i]);
        if (value != expected[i]) {
            fail_msg("%s: %" PRId64 " instead of %" PRId64, names[i], value,
                     expected[i]);
        }
    }
}

/* Whatever was stored in whatever order: events, written naively, say the same
 * as verdicts, deliveries and counters. */
static void is_consistent(struct fixture *f)
{
    static const char naive_verdicts[] =
        "WITH c AS (SELECT * FROM baton.event WHERE kind = 'clicked' AND "
        "message_id IS NOT NULL), marked AS (SELECT DISTINCT h.event_id FROM "
        "c AS s JOIN c AS h ON h.delivery_id = s.delivery_id AND h.occurred_at "
        "BETWEEN s.occurred_at AND s.occurred_at + interval '1 s' WHERE "
        "(SELECT count(DISTINCT link_number) FROM c WHERE c.delivery_id = "
        "s.delivery_id AND c.occurred_at BETWEEN s.occurred_at AND "
        "s.occurred_at + interval '1 s') >= 4) "
        "SELECT count(*) FROM baton.event LEFT JOIN marked USING (event_id) "
        "WHERE kind IN ('opened', 'clicked') AND message_id IS NOT NULL AND "
        "(verdict, verdict_reason) IS DISTINCT FROM (CASE WHEN "
        "baton.hit_verdict(user_agent, client_address) IS NOT NULL OR "
        "marked.event_id IS NOT NULL THEN 'machine' ELSE 'human' END, "
        "coalesce(baton.hit_verdict(user_agent, client_address), CASE WHEN "
        "marked.event_id IS NOT NULL THEN 'scanner' END))";
    static const char naive_deliveries[] =
        "SELECT count(*) FROM baton.delivery d, LATERAL (SELECT "
        "count(*) FILTER (WHERE kind = 'opened') AS a, "
        "count(*) FILTER (WHERE kind = 'opened' AND verdict = 'human') AS b, "
        "min(occurred_at) FILTER (WHERE kind = 'opened') AS c, "
        "min(occurred_at) FILTER (WHERE kind = 'opened' AND verdict = 'human') "
        "AS d, count(*) FILTER (WHERE kind = 'clicked') AS e, "
        "count(*) FILTER (WHERE kind = 'clicked' AND verdict = 'human') AS f, "
        "min(occurred_at) FILTER (WHERE kind = 'clicked') AS g, "
        "(SELECT array_agg(row(l, t) ORDER BY l) FROM (SELECT link_number, "
        "min(occurred_at) FROM baton.event e WHERE e.delivery_id = "
        "d.delivery_id AND kind = 'clicked' GROUP BY 1) x (l, t)) AS h, "
        "(SELECT array_agg(row(l, t) ORDER BY l) FROM (SELECT link_number, "
        "min(occurred_at) FROM baton.event e WHERE e.delivery_id = "
        "d.delivery_id AND kind = 'clicked' AND verdict = 'human' GROUP BY 1) "
        "x (l, t)) AS i FROM baton.event e WHERE e.delivery_id = d.delivery_id "
        "AND e.account_id = d.account_id) AS n WHERE row(n.*)::text <> "
        "row(open_count, human_open_count, first_opened_at, "
        "first_human_opened_at, click_count, human_click_count, "
        "first_clicked_at, (SELECT array_agg(row(l, t) ORDER BY l) FROM "
        "unnest(clicked_links, clicked_at) x (l, t)), (SELECT array_agg(row(l, "
        "t) ORDER BY l) FROM unnest(human_clicked_links, human_clicked_at) x "
        "(l, t)))::text";
    static const char naive_counters[] =
        "WITH e AS (SELECT *, date_trunc('hour', occurred_at) AS hour, "
        "row_number() OVER (PARTITION BY delivery_id, kind, link_number ORDER "
        "BY occurred_at) = 1 AS is_first, verdict = 'human' AND row_number() "
        "OVER (PARTITION BY delivery_id, kind, link_number, verdict ORDER BY "
        "occurred_at) = 1 AS is_human FROM baton.event WHERE message_id IS NOT "
        "NULL), want AS (SELECT group_id, hour, count(*) FILTER (WHERE kind = "
        "'opened') AS a, count(*) FILTER (WHERE kind = 'opened' AND is_first) "
        "AS b, count(*) FILTER (WHERE kind = 'opened' AND is_human) AS c, "
        "count(*) FILTER (WHERE kind = 'clicked') AS d, count(*) FILTER (WHERE "
        "kind = 'clicked' AND is_first) AS e, count(*) FILTER (WHERE kind = "
        "'clicked' AND is_human) AS f FROM e GROUP BY 1, 2), have AS (SELECT "
        "group_id, hour, sum(opens) AS a, sum(opens_unique) AS b, "
        "sum(opens_human) AS c, sum(clicks) AS d, sum(clicks_unique) AS e, "
        "sum(clicks_human) AS f FROM baton.counter WHERE group_id < 77 GROUP "
        "BY 1, 2) SELECT count(*) FROM want FULL JOIN have USING (group_id, "
        "hour) WHERE (want.a, want.b, want.c, want.d, want.e, want.f) IS "
        "DISTINCT FROM (have.a, have.b, have.c, have.d, have.e, have.f)";
    assert_int_equal(sql_number(f, "%s", naive_verdicts), 0);
    assert_int_equal(sql_number(f, "%s", naive_deliveries), 0);
    assert_int_equal(sql_number(f, "%s", naive_counters), 0);
}

static int64_t recompute(struct fixture *f)
{
    return sql_number(f, "SELECT baton.recompute_verdicts(5, now() - interval "
                         "'1 day', now() + interval '1 day')");
}

/* -- one by one -- */

static void opens_and_clicks_are_counted(void **state)
{
    struct fixture *f = *state;
    struct hits *h = make_hits(f);
    add_hit(h, 0, 0, 10);
    add_hit(h, 0, 0, 20)->machine_reason = NULL;
    add_hit(h, 1, 0, 30)->user_agent = "curl/8";
    h->hits[2].machine_reason = "scanner";
    add_hit(h, 0, 1, 40);
    add_hit(h, 0, 1, 50);
    add_hit(h, 0, 2, 60);
    store_all(f, h);
    counters_are(f, (const int64_t[]){ 3, 2, 1, 3, 2, 2 });
    is_consistent(f);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event WHERE "
                                   "kind = 'clicked' AND link_number = 2 AND "
                                   "url = 'https://example.org/' AND "
                                   "recipient = 'r0@example.net' AND "
                                   "client_address = '192.0.2.1' AND "
                                   "user_agent IS NOT NULL AND message_id IS "
                                   "NOT NULL"),
                     1);
    assert_int_equal(sql_number(f, "SELECT count(DISTINCT shard) FROM "
                                   "baton.counter WHERE shard = 7 * 8 + 4"),
                     1);
    memory_free(h);
}

static void a_hit_stored_twice_is_stored_once(void **state)
{
    struct fixture *f = *state;
    struct hits *h = make_hits(f);
    add_hit(h, 0, 0, 10);
    add_hit(h, 0, 1, 40);
    store_all(f, h);
    add_hit(h, 0, 2, 50);
    h->outcomes[0] = h->outcomes[1] = (struct outcome){ .result = -1 };
    store_all(f, h);
    counters_are(f, (const int64_t[]){ 1, 1, 1, 2, 2, 2 });
    is_consistent(f);
    memory_free(h);
}

static void an_earlier_hit_may_come_later(void **state)
{
    struct fixture *f = *state;
    struct hits *h = make_hits(f);
    add_hit(h, 0, 0, 10);
    add_hit(h, 0, 1, 40);
    store_all(f, h);
    add_hit(h, 0, 0, -2 * HOUR);
    add_hit(h, 0, 1, -HOUR);
    h->outcomes[0] = h->outcomes[1] = (struct outcome){ .result = -1 };
    store_all(f, h);
    counters_are(f, (const int64_t[]){ 2, 1, 1, 2, 1, 1 });
    is_consistent(f);
    memory_free(h);
}

static void anonymous_hits_only_count(void **state)
{
    struct fixture *f = *state;
    struct hits *h = make_hits(f);
    for (int i = 0; i < 5; i++) {
        struct new_hit *hit = add_hit(h, 0, i % 2, 10);
        hit->delivery_id = 0;
        hit->group_id = 77;
    }
    store_all(f, h);
    counters_are(f, (const int64_t[]){ 3, 0, 0, 2, 0, 0 });
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event"), 0);
    assert_int_equal(sql_number(f, "SELECT min(group_id) FROM baton.counter"),
                     77);
    memory_free(h);
}

static void hits_of_deliveries_that_are_gone_are_kept(void **state)
{
    struct fixture *f = *state;
    struct hits *h = make_hits(f);
    for (int i = 1; i <= 5; i++) {
        add_hit(h, 0, i, 10 * i)->delivery_id = id_make();
    }
    h->hits[4].delivery_id = 12345; /* of a day that never was */
    store_all(f, h);
    counters_are(f, (const int64_t[]){ 0, 0, 0, 5, 0, 0 });
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event WHERE "
                                   "message_id IS NULL AND delivery_id IS NOT "
                                   "NULL AND verdict = 'human'"),
                     5);
    assert_int_equal(recompute(f), 0);
    memory_free(h);
}

static void what_privacy_forgets_is_not_kept(void **state)
{
    struct fixture *f = *state;
    struct hits *h = make_hits(f);
    struct new_hit *hit = add_hit(h, 0, 0, 10);
    hit->user_agent = NULL;
    hit->client_address = NULL;
    hit->machine_reason = "gmail-proxy";
    hit = add_hit(h, 0, 1, 20);
    hit->machine_reason = "prefetch";
    store_all(f, h);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event WHERE "
                                   "user_agent IS NULL AND client_address IS "
                                   "NULL AND verdict = 'machine'"),
                     1);
    assert_int_equal(recompute(f), 0);
    memory_free(h);
}

static void an_endless_agent_is_cut(void **state)
{
    struct fixture *f = *state;
    struct hits *h = make_hits(f);
    char agent[5000];
    memset(agent, 'x', sizeof(agent) - 1);
    agent[sizeof(agent) - 1] = '\0';
    add_hit(h, 0, 0, 10)->user_agent = agent;
    store_all(f, h);
    assert_int_equal(sql_number(f, "SELECT max(length(user_agent)) FROM "
                                   "baton.event"),
                     HIT_AGENT_BYTES);
    memory_free(h);
}

/* -- bursts -- */

/* P4: three links are a quick reader, the fourth within a second is none. */
static void a_burst_is_recognised_late(void **state)
{
    struct fixture *f = *state;
    struct hits *h = make_hits(f);
    for (int i = 1; i <= 3; i++) {
        add_hit(h, 0, i, 300000 * i);
    }
    add_hit(h, 0, 1, 10 * CLOCK_SECOND);
    add_hit(h, 1, 4, 900000);
    store_all(f, h);
    counters_are(f, (const int64_t[]){ 0, 0, 0, 5, 4, 4 });
    for (size_t i = 0; i < h->count; i++) {
        h->outcomes[i] = (struct outcome){ .result = -1 };
    }
    h->count = 0;
    add_hit(h, 0, 4, 1300000); /* a second after the first, to the last digit */
    store_all(f, h);
    counters_are(f, (const int64_t[]){ 0, 0, 0, 6, 5, 2 });
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event WHERE "
                                   "verdict_reason = 'scanner' AND detail = "
                                   "'{\"burst\": true}'"),
                     4);
    is_consistent(f);
    assert_int_equal(recompute(f), 0);
    memory_free(h);
}

static void more_than_a_second_is_no_burst(void **state)
{
    struct fixture *f = *state;
    struct hits *h = make_hits(f);
    for (int i = 1; i <= 6; i++) {
        add_hit(h, 0, i, 333334 * i);
    }
    for (int i = 0; i < 20; i++) {
        add_hit(h, 1, i % 3 + 1, 10 * i);
    }
    store_all(f, h);
    counters_are(f, (const int64_t[]){ 0, 0, 0, 26, 9, 9 });
    is_consistent(f);
    memory_free(h);
}

/* -- all together -- */

static void add_random_hits(struct hits *h, size_t count)
{
    static const struct {
        const char *agent;
        const char *reason;
    } kinds[] = {
        { HUMAN, NULL },
        { "Thunderbird/115.0", NULL },
        { "Mozilla/5.0 (Macintosh)", NULL },
        { "MSOffice 16", NULL },
        { "curl/8", "scanner" },
        { "Mozilla/5.0", "apple-proxy" },
        { "", "scanner" },
    };
    for (size_t i = 0; i < count; i++) {
        /* In clusters, so that there are many bursts and many that fail. */
        int64_t at = (int64_t)pick(h, 12) * 900 * CLOCK_SECOND - 2 * HOUR +
                     (int64_t)pick(h, 40) * 100000;
        struct new_hit *hit =
            add_hit(h, (int)pick(h, DELIVERIES), (int32_t)pick(h, 7), at);
        size_t kind = pick(h, ARRAY_LENGTH(kinds));
        hit->user_agent = kinds[kind].agent;
        hit->machine_reason = kinds[kind].reason;
    }
}

static void in_whatever_batches_all_agree(void **state)
{
    struct fixture *f = *state;
    struct hits *h = make_hits(f);
    add_random_hits(h, 1500);
    for (size_t i = 0; i < h->count;) {
        size_t end = i + 1 + pick(h, pick(h, 2) == 0 ? 3 : 200);
        for (; i < end && i < h->count; i++) {
            store(f, h, i);
        }
        run_until(f, are_stored, h);
    }
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event"), 1500);
    assert_true(sql_number(f, "SELECT count(*) FROM baton.event WHERE detail "
                              "? 'burst'") > 100);
    assert_true(sql_number(f, "SELECT count(*) FROM baton.event WHERE kind = "
                              "'clicked' AND verdict = 'human'") > 100);
    is_consistent(f);
    assert_int_equal(recompute(f), 0);
    is_consistent(f);
    /* What is thought of agents changes: everything follows. */
    sql_do(f, "UPDATE baton.event SET user_agent = 'curl/9' WHERE event_id % 5 "
              "= 0");
    sql_do(f, "UPDATE baton.event SET user_agent = 'Mozilla/5.0 (X11)' WHERE "
              "event_id % 5 = 1");
    assert_true(recompute(f) > 100);
    is_consistent(f);
    assert_int_equal(recompute(f), 0);
    memory_free(h);
}

/* Two workers have hits of the same deliveries at once, as a scanner's come. */
static void workers_see_each_other_s_hits(void **state)
{
    struct fixture *f = *state;
    struct hits *h = make_hits(f);
    struct fixture other = { .loop = f->loop };
    other.database = database_create(f->loop, &fixture_handler, &other);
    run_until(f, is_fixture_up, &other);
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < DELIVERIES * 4; i++) {
            /* Two links of each delivery go to each of them. */
            int64_t at = round * 5 * CLOCK_SECOND + i % 4 * 100000;
            add_hit(h, (i + round) / 4 % DELIVERIES, i % 4 + 1, at);
            store(i % 2 == 0 ? f : &other, h, h->count - 1);
        }
        run_until(f, are_stored, h);
    }
    assert_true(counter(f, "clicks_human") < DELIVERIES);
    is_consistent(f);
    database_free(&other.database);
    memory_free(h);
}

/* -- PostgreSQL is away -- */

static void hits_wait_for_postgresql(void **state)
{
    struct fixture *f = *state;
    struct hits *h = make_hits(f);
    struct connection *connection =
        f->database->lines[CONNECTION_HIT].connection;
    connection_break(connection, true);
    for (int i = 0; i < 100; i++) {
        add_hit(h, i % DELIVERIES, i % 2, i * CLOCK_SECOND);
        store(f, h, (size_t)i);
    }
    assert_int_equal(hits_pending_count(f->database), 100);
    assert_true(database_is_up(f->database));
    connection_break(connection, false);
    run_until(f, are_stored, h);
    assert_int_equal(hits_pending_count(f->database), 0);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event"), 100);
    is_consistent(f);
    memory_free(h);
}

/* -- verdicts -- */

static void sql_judges_as_the_program_does(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(sample_agents); i++) {
        const char *values[] = { sample_agents[i].agent,
                                 sample_agents[i].reason };
        PGresult *result =
            PQexecParams(f->sql,
                         "SELECT 1 WHERE baton.hit_verdict($1, '192.0.2.1') "
                         "IS NOT DISTINCT FROM $2",
                         2, NULL, values, NULL, NULL, 0);
        assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
        if (PQntuples(result) != 1) {
            fail_msg("not \"%s\": %s", values[1], values[0]);
        }
        PQclear(result);
    }
    /* No pattern stands in SQL alone. */
    assert_int_equal(sql_number(f, "SELECT count(*) FROM regexp_matches("
                                   "pg_get_functiondef('baton.hit_verdict'::"
                                   "regproc), '\\(\\d+, ', 'g')"),
                     AGENT_PATTERN_COUNT);
}

#define ROW(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(opens_and_clicks_are_counted),
        ROW(a_hit_stored_twice_is_stored_once),
        ROW(an_earlier_hit_may_come_later),
        ROW(anonymous_hits_only_count),
        ROW(hits_of_deliveries_that_are_gone_are_kept),
        ROW(what_privacy_forgets_is_not_kept),
        ROW(an_endless_agent_is_cut),
        ROW(a_burst_is_recognised_late),
        ROW(more_than_a_second_is_no_burst),
        ROW(in_whatever_batches_all_agree),
        ROW(workers_see_each_other_s_hits),
        ROW(hits_wait_for_postgresql),
        ROW(sql_judges_as_the_program_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
