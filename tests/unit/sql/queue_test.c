/* SPDX-License-Identifier: MIT */
#include <signal.h>

#include "tests/unit/sql/database_fixture.h"

#define CLAIMED_MAX 1000

struct claimed {
    int result;
    struct claimed_delivery rows[CLAIMED_MAX];
    size_t count;
    int64_t next_account;
    struct arena *arena;
};

static void on_claimed(void *owner, enum database_result result,
                       const struct claimed_delivery *deliveries,
                       size_t delivery_count, int64_t next_account,
                       struct arena **arena)
{
    struct claimed *claimed = owner;
    claimed->result = (int)result;
    claimed->count = delivery_count;
    claimed->next_account = next_account;
    if (delivery_count > 0) {
        memcpy(claimed->rows, deliveries, delivery_count * sizeof(*deliveries));
    }
    claimed->arena = *arena;
    *arena = NULL;
}

static bool is_claimed(void *owner)
{
    return ((struct claimed *)owner)->result != -1;
}

static void start_claim(struct fixture *f, const struct queue_claim *wanted,
                        struct claimed *claimed)
{
    arena_free(&claimed->arena);
    claimed->result = -1;
    queue_claim(f->database, wanted, on_claimed, claimed);
    assert_int_equal(claimed->result, -1);
}

static void claim(struct fixture *f, int64_t worker_id, int limit,
                  int64_t after, struct claimed *claimed)
{
    struct queue_claim wanted = {
        .worker_id = worker_id,
        .now = clock_now(),
        .row_limit = limit,
        .after_account = after,
    };
    start_claim(f, &wanted, claimed);
    run_until(f, is_claimed, claimed);
}

/* `count` due deliveries of an account, oldest first. */
static void fill(struct fixture *f, int account, int count, int priority,
                 const char *due)
{
    char text[600];
    snprintf(text, sizeof(text),
             "INSERT INTO baton.queue SELECT %d, baton.make_id(), 1, "
             "'example.net', %d, %s + i * interval '1 millisecond', NULL, "
             "now() + interval '1 day', 0, 10, 'new' FROM generate_series(1, "
             "%d) i",
             account, priority, due, count);
    sql_do(f, text);
}

static size_t count_of(const struct claimed *claimed, int64_t account)
{
    size_t count = 0;
    for (size_t i = 0; i < claimed->count; i++) {
        count += claimed->rows[i].account_id == account ? 1 : 0;
    }
    return count;
}

static void a_claim_brings_what_delivery_needs(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { 0 };
    struct sample_message sample;
    make_message(&sample, 9, 0, TEXT_LITERAL("12345"));
    sample.message.priority = 1;
    sample.message.envelope_id = "QQ314159";
    sample.message.dsn_return = 2;
    sample.message.is_smtputf8 = true;
    sample.message.group_id = 12;
    sample.message.policy = "{\"group\": 12}";
    sample.message.is_sandboxed = true;
    sample.delivery.notify = 6;
    sample.delivery.original_recipient = "rfc822;runner@example.net";
    store_message(f, &sample);
    run_until(f, has_outcome, &sample.stored);
    claim(f, 77, 10, 0, &claimed);
    assert_int_equal(claimed.result, DATABASE_DONE);
    assert_int_equal(claimed.count, 1);
    const struct claimed_delivery *row = &claimed.rows[0];
    assert_int_equal(row->account_id, 9);
    assert_int_equal(row->message_id, sample.message.message_id);
    assert_int_equal(row->delivery_id, sample.delivery.delivery_id);
    assert_string_equal(row->recipient, "runner@example.net");
    assert_string_equal(row->domain, "example.net");
    assert_int_equal(row->notify, 6);
    assert_string_equal(row->original_recipient, "rfc822;runner@example.net");
    assert_int_equal(row->priority, 1);
    assert_int_equal(row->accepted_at, sample.message.accepted_at);
    assert_int_equal(row->expires_at, sample.message.expires_at);
    assert_int_equal(row->size_bytes, 5);
    assert_string_equal(row->sender, "race@example.com");
    assert_string_equal(row->envelope_id, "QQ314159");
    assert_int_equal(row->dsn_return, 2);
    assert_true(row->is_smtputf8);
    assert_false(row->has_8bit);
    assert_string_equal(row->last_reply, "");
    assert_int_equal(row->group_id, 12);
    assert_string_equal(row->policy, "{\"group\": 12}");
    assert_true(row->is_sandboxed);
    assert_int_equal(claimed.next_account, 9);
    claim(f, 78, 10, 0, &claimed);
    assert_int_equal(claimed.count, 0);
    arena_free(&claimed.arena);
}

static void accounts_share_a_claim_equally(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { 0 };
    fill(f, 1, 5000, 0, "now() - interval '1 hour'");
    fill(f, 2, 50, 0, "now() - interval '1 minute'");
    fill(f, 3, 5, 0, "now() - interval '1 second'");
    fill(f, 4, 500, 0, "now() + interval '1 hour'");
    claim(f, 1, 30, 0, &claimed);
    assert_int_equal(count_of(&claimed, 1), 10);
    assert_int_equal(count_of(&claimed, 2), 10);
    assert_int_equal(count_of(&claimed, 3), 5);
    assert_int_equal(count_of(&claimed, 4), 0);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "worker_id = 1 AND due_at IS NULL"),
                     25);
    arena_free(&claimed.arena);
}

static void a_claim_goes_round_all_accounts(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { 0 };
    bool seen[201] = { false };
    size_t seen_count = 0;
    int64_t after = 150;
    for (int account = 1; account <= 200; account++) {
        fill(f, account, 3, 0, "now() - interval '1 hour'");
    }
    for (int turn = 0; turn < 4; turn++) {
        claim(f, 1, 64, after, &claimed);
        assert_int_equal(claimed.count, 64);
        after = claimed.next_account;
        for (size_t i = 0; i < claimed.count; i++) {
            int64_t account = claimed.rows[i].account_id;
            seen_count += seen[account] ? 0 : 1;
            seen[account] = true;
        }
    }
    assert_int_equal(seen_count, 200);
    arena_free(&claimed.arena);
}

static void high_priority_goes_first_then_what_was_due_first(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { 0 };
    fill(f, 1, 100, 0, "now() - interval '1 hour'");
    fill(f, 1, 3, 1, "now() - interval '1 second'");
    sql_do(f, "UPDATE baton.queue SET message_id = 1000000 - extract(epoch "
              "FROM due_at - now()) * 1000");
    claim(f, 1, 5, 0, &claimed);
    assert_int_equal(claimed.count, 5);
    assert_int_equal(
        sql_number(f, "SELECT count(*) FROM baton.queue WHERE worker_id = 1 "
                      "AND priority = 1"),
        3);
    assert_int_equal(
        sql_number(f, "SELECT count(*) FROM baton.queue WHERE worker_id = 1 "
                      "AND priority = 0 AND message_id >= (SELECT "
                      "max(message_id) FROM baton.queue WHERE worker_id IS "
                      "NULL)"),
        2);
    arena_free(&claimed.arena);
}

static void rows_in_other_hands_are_skipped(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { 0 };
    fill(f, 1, 10, 0, "now() - interval '1 hour'");
    sql_do(f, "BEGIN");
    sql_do(f, "SELECT FROM baton.queue ORDER BY due_at LIMIT 4 FOR UPDATE");
    claim(f, 1, 100, 0, &claimed);
    assert_int_equal(claimed.count, 6);
    sql_do(f, "COMMIT");
    claim(f, 1, 100, 0, &claimed);
    assert_int_equal(claimed.count, 4);
    arena_free(&claimed.arena);
}

static void accounts_passed_over_get_nothing(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { 0 };
    const int64_t passed_over[] = { 1, 3 };
    fill(f, 1, 50, 0, "now() - interval '1 hour'");
    fill(f, 2, 5, 0, "now() - interval '1 minute'");
    fill(f, 3, 5, 1, "now() - interval '1 minute'");
    start_claim(f,
                &(struct queue_claim){ .worker_id = 1,
                                       .now = clock_now(),
                                       .row_limit = 100,
                                       .passed_over = passed_over,
                                       .passed_over_count = 2 },
                &claimed);
    run_until(f, is_claimed, &claimed);
    assert_int_equal(claimed.count, 5);
    assert_int_equal(count_of(&claimed, 2), 5);
    arena_free(&claimed.arena);
}

/* Plans are made while the tables are empty, and kept while they grow: none may
 * read all of the queue for the sake of a few rows. */
static void a_claim_never_reads_the_whole_queue(void **state)
{
    struct fixture *f = *state;
    struct buffer prepare = { 0 };
    buffer_printf(&prepare, "PREPARE claim AS %s",
                  statement_table[STATEMENT_QUEUE_CLAIM].text);
    sql_do(f, "CREATE FUNCTION pg_temp.plan_lines(pattern text) RETURNS bigint "
              "LANGUAGE plpgsql AS $$ DECLARE line text; found bigint := 0; "
              "BEGIN FOR line IN EXECUTE 'EXPLAIN EXECUTE claim(1, now(), 10, "
              "0, ''x'', ''{}'')' LOOP "
              "found := found + (line ~ pattern)::integer; END LOOP; "
              "RETURN found; END $$");
    sql_do(f, "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = "
              "off; SET enable_bitmapscan = off; SET enable_hashjoin = off");
    sql_do(f, prepare.data);
    assert_true(sql_number(f, "SELECT pg_temp.plan_lines('queue')") > 0);
    assert_int_equal(sql_number(f, "SELECT pg_temp.plan_lines("
                                   "'hashed SubPlan|Seq Scan on queue')"),
                     0);
    sql_do(f, "RESET ALL; DEALLOCATE claim");
    buffer_free(&prepare);
}

static void what_a_lost_claim_took_is_claimed_again(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { .result = -1 };
    fill(f, 1, 10, 0, "now() - interval '1 hour'");
    claim(f, 1, 2, 0, &claimed);
    assert_int_equal(claimed.count, 2);
    arena_free(&claimed.arena);
    /* The claim is done, its answer does not arrive. */
    start_claim(f,
                &(struct queue_claim){
                    .worker_id = 1, .now = clock_now(), .row_limit = 5 },
                &claimed);
    int64_t until = clock_monotonic() + 10 * CLOCK_SECOND;
    while (sql_number(f, "SELECT count(*) FROM baton.queue WHERE worker_id = "
                         "1") < 7) {
        assert_true(clock_monotonic() < until);
    }
    connection_break(f->database->lines[CONNECTION_QUERY].connection, true);
    run_until(f, is_claimed, &claimed);
    assert_int_equal(claimed.result, DATABASE_UNAVAILABLE);
    connection_break(f->database->lines[CONNECTION_QUERY].connection, false);
    run_until(f, is_fixture_up, f);
    claim(f, 1, 100, 0, &claimed);
    assert_int_equal(claimed.count, 8);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "worker_id = 1"),
                     10);
    arena_free(&claimed.arena);
}

static bool is_up_or_ends_its_predecessor(void *owner)
{
    struct fixture *f = owner;
    return is_fixture_up(f) ||
           sql_number(f, "SELECT count(*) FROM pg_stat_activity WHERE "
                         "wait_event = 'BackendTermination'") > 0;
}

/* A backend that was out of reach wakes up with a claim that was given up. */
static void a_late_claim_takes_nothing(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { .result = -1 };
    char still_there[128];
    fill(f, 1, 10, 0, "now() - interval '1 hour'");
    int64_t backend =
        sql_number(f, "SELECT pid FROM pg_stat_activity WHERE datname = "
                      "current_database() AND application_name = 'baton "
                      "queries'");
    assert_int_equal(kill((pid_t)backend, SIGSTOP), 0);
    start_claim(f,
                &(struct queue_claim){
                    .worker_id = 1, .now = clock_now(), .row_limit = 5 },
                &claimed);
    connection_break(f->database->lines[CONNECTION_QUERY].connection, true);
    run_until(f, is_claimed, &claimed);
    assert_int_equal(claimed.result, DATABASE_UNAVAILABLE);
    connection_break(f->database->lines[CONNECTION_QUERY].connection, false);
    run_until(f, is_up_or_ends_its_predecessor, f);
    bool is_up = is_fixture_up(f);
    if (is_up) {
        claim(f, 1, 3, 0, &claimed);
    }
    assert_int_equal(kill((pid_t)backend, SIGCONT), 0);
    if (!is_up) {
        run_until(f, is_fixture_up, f);
        claim(f, 1, 3, 0, &claimed);
    }
    assert_int_equal(claimed.count, 3);
    snprintf(still_there, sizeof(still_there),
             "SELECT count(*) FROM pg_stat_activity WHERE pid = %d",
             (int)backend);
    while (sql_number(f, still_there) > 0) {
    }
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "worker_id = 1"),
                     3);
    arena_free(&claimed.arena);
}

/* -- workers -- */

struct renewal {
    int result;
    struct worker_renewal is;
};

static void on_renewed(void *owner, enum database_result result,
                       const struct worker_renewal *is)
{
    struct renewal *renewal = owner;
    renewal->result = (int)result;
    renewal->is = *is;
}

static bool is_renewed(void *owner)
{
    return ((struct renewal *)owner)->result != -1;
}

static struct worker_renewal renew(struct fixture *f, int64_t worker_id)
{
    struct renewal renewal = { .result = -1 };
    worker_renew(f->database, worker_id, 30, clock_now(), on_renewed, &renewal);
    run_until(f, is_renewed, &renewal);
    assert_int_equal(renewal.result, DATABASE_DONE);
    return renewal.is;
}

static void on_resigned(void *owner, enum database_result result)
{
    *(int *)owner = result == DATABASE_DONE ? 1 : -1;
}

static void a_dead_worker_s_deliveries_are_taken_over(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { 0 };
    int64_t dead = make_worker(f, 30, 0);
    int64_t alive = make_worker(f, 30, 0);
    assert_int_not_equal(dead, alive);
    fill(f, 1, 10, 0, "now() - interval '1 hour'");
    claim(f, dead, 6, 0, &claimed);
    claim(f, alive, 100, 0, &claimed);
    assert_int_equal(renew(f, alive).taken_over_count, 0);
    sql_do(f, "UPDATE baton.worker SET alive_until = now() - interval '1 s' "
              "WHERE worker_id = (SELECT min(worker_id) FROM baton.worker)");
    struct worker_renewal renewal = renew(f, alive);
    assert_true(renewal.is_alive);
    assert_int_equal(renewal.taken_over_count, 6);
    claim(f, alive, 100, 0, &claimed);
    assert_int_equal(claimed.count, 6);
    /* The dead one hears that it is dead, and takes nothing with it. */
    renewal = renew(f, dead);
    assert_false(renewal.is_alive);
    assert_int_equal(renewal.taken_over_count, 0);
    arena_free(&claimed.arena);
}

/* The database was away: nobody could renew, so nobody is dead for that. */
static void who_was_late_takes_nothing_over(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { 0 };
    int64_t other = make_worker(f, 30, 0);
    int64_t first = make_worker(f, 30, 0);
    fill(f, 1, 10, 0, "now() - interval '1 hour'");
    claim(f, other, 6, 0, &claimed);
    sql_do(f, "UPDATE baton.worker SET alive_until = now() - interval '1 s'");
    struct worker_renewal renewal = renew(f, first);
    assert_true(renewal.is_alive);
    assert_int_equal(renewal.taken_over_count, 0);
    /* Who does not come back until the next time is dead. */
    assert_int_equal(renew(f, first).taken_over_count, 6);
    arena_free(&claimed.arena);
}

/* It was away for so long that the other's lease ran out, and ours did not. */
static void who_was_rather_late_takes_nothing_over(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { 0 };
    int64_t other = make_worker(f, 30, 0);
    int64_t first = make_worker(f, 30, 0);
    fill(f, 1, 10, 0, "now() - interval '1 hour'");
    claim(f, other, 6, 0, &claimed);
    sql_do(f, "UPDATE baton.worker SET alive_until = now() - interval '1 s' "
              "WHERE worker_id = (SELECT min(worker_id) FROM baton.worker)");
    sql_do(f, "UPDATE baton.worker SET alive_until = now() + interval '9 s' "
              "WHERE worker_id = (SELECT max(worker_id) FROM baton.worker)");
    assert_int_equal(renew(f, first).taken_over_count, 0);
    assert_int_equal(renew(f, first).taken_over_count, 6);
    arena_free(&claimed.arena);
}

static void a_worker_learns_its_place_among_the_live(void **state)
{
    struct fixture *f = *state;
    int64_t first = make_worker(f, 10, 0);
    int64_t second = make_worker(f, 20, 0);
    int64_t third = make_worker(f, 30, 0);
    struct worker_renewal renewal = renew(f, second);
    assert_int_equal(renewal.worker_count, 3);
    assert_int_equal(renewal.rank, 1);
    assert_in_range(renewal.next_end_milliseconds, 1, 10000);
    assert_int_equal(renew(f, third).rank, 2);
    /* One whose lease ran out counts no longer, for those, too, who may not
     * take over from it. */
    sql_do(f, "UPDATE baton.worker SET alive_until = now() - interval '1 s' "
              "WHERE worker_id <> (SELECT max(worker_id) FROM baton.worker)");
    renewal = renew(f, second);
    assert_int_equal(renewal.worker_count, 2);
    assert_int_equal(renewal.rank, 0);
    assert_in_range(renewal.next_end_milliseconds, 10001, 30000);
    renewal = renew(f, third);
    assert_int_equal(renewal.worker_count, 2);
    assert_false(renew(f, first).is_alive);
}

static void a_successor_retires_its_predecessor(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { 0 };
    int64_t first = make_worker(f, 30, 0);
    fill(f, 1, 10, 0, "now() - interval '1 hour'");
    claim(f, first, 4, 0, &claimed);
    int64_t second = make_worker(f, 30, first);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.worker"), 1);
    claim(f, second, 100, 0, &claimed);
    assert_int_equal(claimed.count, 10);
    arena_free(&claimed.arena);
}

static void what_belongs_to_nobody_is_found(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { 0 };
    int64_t worker = make_worker(f, 30, 0);
    fill(f, 1, 10, 0, "now() - interval '1 hour'");
    claim(f, 4711, 4, 0, &claimed);
    claim(f, worker, 2, 0, &claimed);
    make_worker(f, 30, 0);
    /* Asked for together with the registration, on the same connection. */
    assert_true(renew(f, worker).is_alive);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "worker_id IS NULL"),
                     8);
    arena_free(&claimed.arena);
}

static void who_resigns_leaves_everything_due(void **state)
{
    struct fixture *f = *state;
    struct claimed claimed = { 0 };
    struct site_wait wait = { "mx.example.net", 3, 1, "no free connection" };
    int resigned = 0;
    int64_t worker = make_worker(f, 30, 0);
    fill(f, 1, 10, 0, "now() - interval '1 hour'");
    claim(f, worker, 4, 0, &claimed);
    site_waits_store(f->database, worker, clock_now(), &wait, 1);
    worker_resign(f->database, worker, clock_now(), on_resigned, &resigned);
    run_until(f, is_nonzero, &resigned);
    assert_int_equal(resigned, 1);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue WHERE "
                                   "due_at <= now()"),
                     10);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.worker"), 0);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.site_wait"), 0);
    arena_free(&claimed.arena);
}

static void waits_of_a_worker_are_replaced(void **state)
{
    struct fixture *f = *state;
    struct site_wait waits[] = { { "a", 1, 0, "x" }, { "b", 2, 1, "y" } };
    int64_t worker = make_worker(f, 30, 0);
    site_waits_store(f->database, worker, clock_now(), waits, 2);
    assert_true(renew(f, worker).is_alive);
    assert_int_equal(sql_number(f, "SELECT sum(waiting_count) FROM "
                                   "baton.site_wait"),
                     3);
    waits[1].waiting_count = 5;
    site_waits_store(f->database, worker, clock_now(), &waits[1], 1);
    assert_true(renew(f, worker).is_alive);
    assert_int_equal(sql_number(f, "SELECT sum(waiting_count) FROM "
                                   "baton.site_wait"),
                     5);
    site_waits_store(f->database, worker, clock_now(), NULL, 0);
    assert_true(renew(f, worker).is_alive);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.site_wait"), 0);
}

struct measured {
    int result;
    int64_t row_count;
    int64_t oldest_due_at;
};

static void on_measured(void *owner, enum database_result result,
                        int64_t row_count, int64_t oldest_due_at)
{
    struct measured *measured = owner;
    measured->result = result == DATABASE_DONE ? 1 : -1;
    measured->row_count = row_count;
    measured->oldest_due_at = oldest_due_at;
}

static void the_queue_is_measured(void **state)
{
    struct fixture *f = *state;
    struct measured measured = { 0 };
    queue_measure(f->database, clock_now(), on_measured, &measured);
    run_until(f, is_nonzero, &measured.result);
    assert_int_equal(measured.row_count, 0);
    assert_int_equal(measured.oldest_due_at, 0);
    fill(f, 1, 10, 0, "now() - interval '1 hour'");
    fill(f, 2, 10, 1, "now() - interval '1 minute'");
    fill(f, 2, 10, 1, "now() + interval '1 minute'");
    measured.result = 0;
    queue_measure(f->database, clock_now(), on_measured, &measured);
    run_until(f, is_nonzero, &measured.result);
    assert_int_equal(measured.row_count, 20);
    int64_t age = clock_now() - measured.oldest_due_at;
    assert_in_range(age, 3590 * CLOCK_SECOND, 3660 * CLOCK_SECOND);
}

static void on_maintained(void *owner, enum database_result result,
                          const struct error *error)
{
    (void)error;
    *(int *)owner = result == DATABASE_DONE ? 1 : -1;
}

static void partitions_are_made_and_dropped(void **state)
{
    struct fixture *f = *state;
    int maintained = 0;
    int64_t later = clock_now() + 30 * INT64_C(86400) * CLOCK_SECOND;
    int64_t before = sql_number(f, "SELECT count(*) FROM baton.partition "
                                   "WHERE table_name = 'body'");
    database_maintain(f->database, later, on_maintained, &maintained);
    run_until(f, is_nonzero, &maintained);
    assert_int_equal(maintained, 1);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.partition "
                                   "WHERE table_name = 'message'"),
                     before + 9);
    assert_true(sql_number(f, "SELECT count(*) FROM baton.partition WHERE "
                              "table_name = 'body'") < before + 9);
}

#define ROW(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(a_claim_brings_what_delivery_needs),
        ROW(accounts_share_a_claim_equally),
        ROW(a_claim_goes_round_all_accounts),
        ROW(high_priority_goes_first_then_what_was_due_first),
        ROW(rows_in_other_hands_are_skipped),
        ROW(accounts_passed_over_get_nothing),
        ROW(a_claim_never_reads_the_whole_queue),
        ROW(what_a_lost_claim_took_is_claimed_again),
        ROW(a_late_claim_takes_nothing),
        ROW(a_dead_worker_s_deliveries_are_taken_over),
        ROW(who_was_late_takes_nothing_over),
        ROW(who_was_rather_late_takes_nothing_over),
        ROW(a_worker_learns_its_place_among_the_live),
        ROW(a_successor_retires_its_predecessor),
        ROW(what_belongs_to_nobody_is_found),
        ROW(who_resigns_leaves_everything_due),
        ROW(waits_of_a_worker_are_replaced),
        ROW(the_queue_is_measured),
        ROW(partitions_are_made_and_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
