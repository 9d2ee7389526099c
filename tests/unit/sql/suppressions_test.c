/* SPDX-License-Identifier: MIT */
/* Groups made on first use, and what recipients no longer want. */
#include "sql/suppressions.h"

#include "sql/groups.h"
#include "tests/unit/sql/database_fixture.h"

#define WORKER 41

struct answer {
    int result;
    int call_count;
    int64_t group_id;
    bool was_changed;
    size_t count; /* of those that apply to the group asked for */
    int64_t asked_group;
    size_t place;
    char address[100];
    char reason[100];
    char evidence[300];
    char group_name[100]; /* "-": the whole account */
};

static bool is_answered(void *owner)
{
    return ((struct answer *)owner)->call_count > 0;
}

static void prepare(struct fixture *f)
{
    sql_do(f, "INSERT INTO baton.account (name) VALUES ('a'), ('b')");
}

/* -- groups -- */

static void on_group(void *owner, enum database_result result, int64_t group_id)
{
    struct answer *answer = owner;
    answer->result = (int)result;
    answer->group_id = group_id;
    answer->call_count++;
}

static int64_t find_group(struct fixture *f, int64_t account_id,
                          const char *name, int limit)
{
    struct answer answer = { 0 };
    group_find_or_make(f->database, account_id, name, limit, on_group, &answer);
    assert_int_equal(answer.call_count, 0);
    run_until(f, is_answered, &answer);
    assert_int_equal(answer.call_count, 1);
    assert_int_equal(answer.result, DATABASE_DONE);
    return answer.group_id;
}

static bool has_end(void *owner)
{
    return strcmp(((struct fixture *)owner)->command, "end") == 0;
}

/* Notices come in the order of their commits. */
static int count_directory_changes(struct fixture *f)
{
    sql_do(f, "NOTIFY baton_queue, 'end'");
    run_until(f, has_end, f);
    int count = f->directory_count;
    f->command[0] = '\0';
    f->directory_count = 0;
    return count;
}

static void a_group_is_made_on_first_use(void **state)
{
    struct fixture *f = *state;
    prepare(f);
    count_directory_changes(f);
    int64_t group = find_group(f, 1, "Password reset", 2);
    assert_true(group > 0);
    assert_int_equal(count_directory_changes(f), 1);
    assert_int_equal(find_group(f, 1, "PASSWORD Reset", 2), group);
    assert_true(find_group(f, 2, "Password reset", 2) != group);
    assert_true(find_group(f, 1, "Daily", 2) > 0);
    assert_int_equal(find_group(f, 1, "One too many", 2), 0);
    assert_int_equal(find_group(f, 1, "password reset", 2), group);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.message_group "
                                   "WHERE name = 'Password reset' AND kind = "
                                   "'transactional'"),
                     2);
    count_directory_changes(f);
    find_group(f, 1, "daily", 2);
    assert_int_equal(count_directory_changes(f), 0);
}

static void a_group_of_no_account_is_refused(void **state)
{
    struct fixture *f = *state;
    struct answer answer = { 0 };
    group_find_or_make(f->database, 99, "x", 10, on_group, &answer);
    run_until(f, is_answered, &answer);
    assert_int_equal(answer.result, DATABASE_FAILED);
    assert_int_equal(answer.group_id, 0);
}

static void a_search_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    struct answer answer = { 0 };
    prepare(f);
    struct query *query =
        group_find_or_make(f->database, 1, "x", 10, on_group, &answer);
    query_cancel(&query);
    assert_null(query);
    find_group(f, 1, "y", 10);
    assert_int_equal(answer.call_count, 0);
}

/* -- suppressions -- */

static void on_suppressions(void *owner, enum database_result result,
                            const struct suppression *suppressions,
                            size_t count)
{
    struct answer *answer = owner;
    answer->result = (int)result;
    answer->call_count++;
    for (size_t i = 0; i < count; i++) {
        const struct suppression *s = &suppressions[i];
        if (!suppression_applies(s, answer->asked_group, clock_now())) {
            continue;
        }
        answer->count++;
        snprintf(answer->address, sizeof(answer->address), "%s", s->address);
        snprintf(answer->reason, sizeof(answer->reason), "%s", s->reason);
        snprintf(answer->evidence, sizeof(answer->evidence), "%s", s->evidence);
        snprintf(answer->group_name, sizeof(answer->group_name), "%s",
                 s->group_name != NULL ? s->group_name : "-");
        answer->place = s->place;
        assert_true(s->created_at > 0);
    }
}

static struct answer find(struct fixture *f, int64_t account_id,
                          int64_t group_id, const char *first,
                          const char *second)
{
    const char *addresses[] = { first, second };
    struct answer answer = { .asked_group = group_id };
    suppressions_find(f->database, account_id, addresses,
                      second != NULL  ? 2
                      : first != NULL ? 1
                                      : 0,
                      on_suppressions, &answer);
    assert_int_equal(answer.call_count, 0);
    run_until(f, is_answered, &answer);
    assert_int_equal(answer.result, DATABASE_DONE);
    return answer;
}

static void suppressions_are_found_by_scope(void **state)
{
    struct fixture *f = *state;
    prepare(f);
    int64_t group = find_group(f, 1, "News", 10);
    sql_do(f, "INSERT INTO baton.suppression (account_id, address, group_id, "
              "reason, evidence, expires_at) VALUES "
              "(1, 'hard@example.net', NULL, 'hard_bounce', '550 5.1.1', NULL),"
              "(1, 'old@example.net', NULL, 'manual', '', now()),"
              "(1, 'none@example.net', 0, 'unsubscribe', '', NULL),"
              "(2, 'other@example.net', NULL, 'manual', '', NULL)");
    sql_do(f, "INSERT INTO baton.suppression (account_id, address, group_id, "
              "reason) SELECT 1, 'news@example.net', group_id, 'unsubscribe' "
              "FROM baton.message_group");
    struct answer answer = find(f, 1, 0, "HARD@Example.net", "x@y");
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.address, "hard@example.net");
    assert_string_equal(answer.reason, "hard_bounce");
    assert_string_equal(answer.evidence, "550 5.1.1");
    assert_string_equal(answer.group_name, "-");
    assert_int_equal(find(f, 1, group, "hard@example.net", NULL).count, 1);
    answer = find(f, 1, group, "news@example.net", "old@example.net");
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.group_name, "News");
    assert_int_equal(find(f, 1, 0, "news@example.net", NULL).count, 0);
    answer = find(f, 1, 0, "x@example.net", "none@example.net");
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.place, 1);
    assert_string_equal(answer.group_name, "");
    answer = find(f, 1, 0, "none@example.net", "None@example.net");
    assert_int_equal(answer.count, 2);
    assert_int_equal(answer.place, 1);
    assert_int_equal(find(f, 1, group, "none@example.net", NULL).count, 0);
    assert_int_equal(find(f, 1, 0, "other@example.net", NULL).count, 0);
    assert_int_equal(find(f, 1, 0, "\xff@example.net", NULL).count, 0);
    assert_int_equal(find(f, 1, 0, NULL, NULL).count, 0);
}

/* -- ranges of hashes, and changes -- */

struct ranges_answer {
    int result;
    int call_count;
    struct buffer hashes[2];
};

static void on_ranges(void *owner, enum database_result result,
                      const struct text *hashes)
{
    struct ranges_answer *answer = owner;
    answer->result = (int)result;
    answer->call_count++;
    for (size_t i = 0; i < 2; i++) {
        buffer_append_text(&answer->hashes[i], hashes[i]);
    }
}

static bool has_ranges(void *owner)
{
    return ((struct ranges_answer *)owner)->call_count > 0;
}

static void hashes_are_loaded_by_range(void **state)
{
    struct fixture *f = *state;
    struct ranges_answer answer = { 0 };
    prepare(f);
    sql_do(f,
           "INSERT INTO baton.suppression (account_id, address, reason, "
           "expires_at) SELECT 1, 'R' || n || '@example.net', 'manual', CASE "
           "WHEN n > 90 THEN now() END FROM generate_series(1, 100) n");
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.suppression "
                                   "WHERE address LIKE 'r%%' AND hash = "
                                   "baton.suppression_hash(address)"),
                     100);
    const struct suppression_range ranges[] = {
        { 2, INT64_MIN, INT64_MAX },
        { 1, 0, INT64_MAX },
    };
    suppression_ranges_load(f->database, ranges, 2, 1000, on_ranges, &answer);
    assert_int_equal(answer.call_count, 0);
    run_until(f, has_ranges, &answer);
    assert_int_equal(answer.result, DATABASE_DONE);
    assert_int_equal(answer.hashes[0].length, 0);
    assert_int_equal(answer.hashes[1].length,
                     8 * sql_number(f, "SELECT count(*) FROM baton.suppression "
                                       "WHERE hash >= 0 AND expires_at IS "
                                       "NULL"));
    for (size_t i = 8; i < answer.hashes[1].length; i += 8) {
        assert_true(memcmp(answer.hashes[1].data + i - 8,
                           answer.hashes[1].data + i, 8) < 0);
    }
    buffer_free(&answer.hashes[1]);
    answer.call_count = 0;
    suppression_ranges_load(f->database, ranges, 2, 7, on_ranges, &answer);
    run_until(f, has_ranges, &answer);
    assert_int_equal(answer.hashes[1].length, 8 * 7);
    buffer_free(&answer.hashes[0]);
    buffer_free(&answer.hashes[1]);
}

/* SHA-256 of the bytes as they are, whatever they are. */
static void a_hash_is_the_beginning_of_sha256(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        sql_number(f, "SELECT count(*) FROM (VALUES ('a@b.c'), "
                      "('\"a\\b\"@example.net'), (U&'gr\\00FC\\00DF@b.c')) "
                      "AS row (address) WHERE baton.suppression_hash(address) "
                      "= ('x' || left(encode(sha256(convert_to(address, "
                      "'UTF8')), 'hex'), 16))::bit(64)::bigint"),
        3);
}

struct changes_answer {
    int call_count;
    bool is_complete;
    size_t count;
    struct suppression_change last;
    char snapshot[200];
    int64_t answered_at;
};

static void on_changes(void *owner, enum database_result result,
                       const struct suppression_changes *changes)
{
    struct changes_answer *answer = owner;
    assert_int_equal(result, DATABASE_DONE);
    answer->call_count++;
    answer->is_complete = changes->is_complete;
    answer->count = changes->count;
    if (changes->count > 0) {
        answer->last = changes->changes[changes->count - 1];
    }
    snprintf(answer->snapshot, sizeof(answer->snapshot), "%s",
             changes->snapshot);
    answer->answered_at = changes->answered_at;
}

static bool has_changes(void *owner)
{
    return ((struct changes_answer *)owner)->call_count > 0;
}

/* What changed since the answer before. */
static struct changes_answer ask(struct fixture *f,
                                 const struct changes_answer *before)
{
    struct changes_answer answer = { 0 };
    suppression_changes_ask(f->database, before->snapshot, before->answered_at,
                            on_changes, &answer);
    run_until(f, has_changes, &answer);
    return answer;
}

static struct changes_answer begin_to_ask(struct fixture *f)
{
    struct changes_answer answer = { 0 };
    suppression_changes_ask(f->database, NULL, 0, on_changes, &answer);
    run_until(f, has_changes, &answer);
    assert_false(answer.is_complete);
    return answer;
}

static void every_change_is_told_once(void **state)
{
    static const char *const ways[] = {
        "INSERT INTO baton.suppression (account_id, address, reason) VALUES "
        "(1, 'a@b.c', 'manual')",
        "UPDATE baton.suppression SET expires_at = now()",
        "DELETE FROM baton.suppression",
    };
    struct fixture *f = *state;
    prepare(f);
    struct changes_answer answer = begin_to_ask(f);
    for (size_t i = 0; i < ARRAY_LENGTH(ways); i++) {
        sql_do(f, ways[i]);
        answer = ask(f, &answer);
        assert_true(answer.is_complete);
        assert_true(answer.count >= 1 && answer.count <= 2);
        assert_int_equal(answer.last.account_id, 1);
        assert_int_equal(answer.last.hash,
                         sql_number(f, "SELECT "
                                       "baton.suppression_hash('a@b.c')"));
        assert_false(answer.last.is_of_account);
        answer = ask(f, &answer);
        assert_int_equal(answer.count, 0);
    }
    sql_do(f, "INSERT INTO baton.suppression (account_id, address, reason) "
              "SELECT 1 + n % 2, n || '@b.c', 'manual' FROM "
              "generate_series(1, 1001) n");
    answer = ask(f, &answer);
    assert_int_equal(answer.count, 2);
    assert_true(answer.last.is_of_account);
    sql_do(f, "TRUNCATE baton.suppression");
    answer = ask(f, &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.last.account_id, 0);
}

static void what_commits_late_is_told(void **state)
{
    struct fixture *f = *state;
    prepare(f);
    PGconn *other = PQconnectdb(getenv("BATON_DATABASE_URL"));
    PQclear(PQexec(other, "BEGIN"));
    PQclear(PQexec(other, "INSERT INTO baton.suppression (account_id, address, "
                          "reason) VALUES (2, 'slow@b.c', 'manual')"));
    struct changes_answer answer = begin_to_ask(f);
    sql_do(f, "INSERT INTO baton.suppression (account_id, address, reason) "
              "VALUES (1, 'a@b.c', 'manual')");
    answer = ask(f, &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.last.account_id, 1);
    PQclear(PQexec(other, "COMMIT"));
    PQfinish(other);
    answer = ask(f, &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.last.account_id, 2);
}

/* Changes are kept for a day: who asks later knows nothing. */
static void who_asks_too_late_is_told_so(void **state)
{
    struct fixture *f = *state;
    prepare(f);
    struct changes_answer answer = begin_to_ask(f);
    sql_do(f, "INSERT INTO baton.suppression (account_id, address, reason) "
              "VALUES (1, 'a@b.c', 'manual')");
    answer.answered_at -= INT64_C(13) * 3600 * CLOCK_SECOND;
    answer = ask(f, &answer);
    assert_false(answer.is_complete);
    assert_int_equal(answer.count, 0);
    sql_do(f, "INSERT INTO baton.suppression_change (account_id, hash) SELECT "
              "1, n FROM generate_series(1, 10001) n");
    answer = ask(f, &answer);
    assert_false(answer.is_complete);
}

/* -- subscriptions -- */

static void on_changed(void *owner, enum database_result result,
                       bool was_changed)
{
    struct answer *answer = owner;
    answer->result = (int)result;
    answer->was_changed = was_changed;
    answer->call_count++;
}

typedef struct query *change_fn(struct database *database,
                                const struct subscription_change *change,
                                subscription_changed_fn *on_changed,
                                void *owner);

static bool change(struct fixture *f, change_fn *how,
                   const struct subscription_change *wish)
{
    struct answer answer = { 0 };
    how(f->database, wish, on_changed, &answer);
    assert_int_equal(answer.call_count, 0);
    run_until(f, is_answered, &answer);
    assert_int_equal(answer.result, DATABASE_DONE);
    return answer.was_changed;
}

static struct subscription_change make_wish(int64_t group_id,
                                            int64_t delivery_id)
{
    return (struct subscription_change){
        .account_id = 1,
        .group_id = group_id,
        .delivery_id = delivery_id,
        .event_id = id_make(),
        .occurred_at = clock_now(),
        .address = "Runner@example.net",
        .how = "one-click",
        .client_address = "192.0.2.9",
        .user_agent = "curl/8",
    };
}

static void store(struct fixture *f, struct sample_message *sample,
                  int64_t group_id, int64_t worker_id)
{
    make_message(sample, 1, worker_id, TEXT_LITERAL("x"));
    sample->message.group_id = group_id;
    store_message(f, sample);
    run_until(f, has_outcome, &sample->stored);
    assert_int_equal(sample->stored.result, DATABASE_DONE);
}

static void an_unsubscribe_suppresses_once(void **state)
{
    struct fixture *f = *state;
    struct sample_message sample;
    prepare(f);
    int64_t group = find_group(f, 1, "News", 10);
    store(f, &sample, group, 0);
    sql_do(f, "DELETE FROM baton.queue");
    struct subscription_change wish =
        make_wish(group, sample.delivery.delivery_id);
    count_directory_changes(f);
    assert_true(change(f, subscription_end, &wish));
    assert_false(change(f, subscription_end, &wish)); /* the answer was lost */
    wish.event_id = id_make();
    assert_false(change(f, subscription_end, &wish));
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event WHERE "
                                   "kind = 'unsubscribed' AND detail = "
                                   "'{\"how\": \"one-click\"}' AND message_id "
                                   "IS NOT NULL AND client_address = "
                                   "'192.0.2.9' AND user_agent = 'curl/8' AND "
                                   "group_id > 0"),
                     1);
    assert_int_equal(sql_number(f, "SELECT sum(unsubscribes) FROM "
                                   "baton.counter"),
                     1);
    struct answer answer = find(f, 1, group, "runner@EXAMPLE.net", NULL);
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.reason, "unsubscribe");
    assert_non_null(strstr(answer.evidence, "one-click"));
    assert_non_null(strstr(answer.evidence, "192.0.2.9"));
    assert_int_equal(find(f, 1, 0, "runner@example.net", NULL).count, 0);
    assert_int_equal(count_directory_changes(f), 0);
}

static void an_unsubscribe_can_be_taken_back(void **state)
{
    struct fixture *f = *state;
    struct subscription_change wish = make_wish(0, 0);
    prepare(f);
    assert_false(change(f, subscription_resume, &wish));
    assert_true(change(f, subscription_end, &wish));
    wish.event_id = id_make();
    wish.how = "link";
    count_directory_changes(f);
    assert_true(change(f, subscription_resume, &wish));
    assert_false(change(f, subscription_resume, &wish));
    assert_int_equal(find(f, 1, 0, "runner@example.net", NULL).count, 0);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event WHERE "
                                   "kind = 'resubscribed'"),
                     1);
    assert_int_equal(sql_number(f, "SELECT sum(resubscribes) FROM "
                                   "baton.counter"),
                     1);
    sql_do(f, "INSERT INTO baton.suppression (account_id, address, group_id, "
              "reason) VALUES (1, 'runner@example.net', 0, 'complaint')");
    assert_false(change(f, subscription_resume, &wish));
    assert_int_equal(find(f, 1, 0, "runner@example.net", NULL).count, 1);
    assert_int_equal(count_directory_changes(f), 0);
}

static void who_was_suppressed_for_a_while_can_unsubscribe(void **state)
{
    struct fixture *f = *state;
    struct subscription_change wish = make_wish(0, 0);
    prepare(f);
    sql_do(f, "INSERT INTO baton.suppression (account_id, address, group_id, "
              "reason, expires_at) VALUES (1, 'runner@example.net', 0, "
              "'manual', now() - interval '1 s')");
    assert_true(change(f, subscription_end, &wish));
    assert_string_equal(find(f, 1, 0, "runner@example.net", NULL).reason,
                        "unsubscribe");
}

static bool has_command(void *owner)
{
    return ((struct fixture *)owner)->command[0] != '\0';
}

static void what_is_queued_for_the_group_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct sample_message waiting;
    struct sample_message leased;
    struct sample_message other_group;
    struct sample_message other_address;
    char expected[100];
    prepare(f);
    int64_t group = find_group(f, 1, "News", 10);
    store(f, &waiting, group, 0);
    store(f, &leased, group, WORKER);
    store(f, &other_group, 0, 0);
    make_message(&other_address, 1, 0, TEXT_LITERAL("x"));
    other_address.delivery.recipient = "b@example.net";
    other_address.message.group_id = group;
    store_message(f, &other_address);
    run_until(f, has_outcome, &other_address.stored);

    struct subscription_change wish = make_wish(group, 0);
    assert_true(change(f, subscription_end, &wish));
    run_until(f, has_command, f);
    snprintf(expected, sizeof(expected), "cancel delivery %" PRId64 " %" PRId64,
             leased.delivery.delivery_id, leased.message.message_id);
    assert_string_equal(f->command, expected);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"), 2);
    assert_int_equal(sql_number(f,
                                "SELECT count(*) FROM baton.queue WHERE "
                                "delivery_id IN (%" PRId64 ", %" PRId64 ")",
                                other_group.delivery.delivery_id,
                                other_address.delivery.delivery_id),
                     2);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.delivery WHERE "
                                   "state = 'suppressed' AND last_reply LIKE "
                                   "'unsubscribed%%' AND finished_at IS NOT "
                                   "NULL"),
                     2);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.event WHERE "
                                   "kind = 'suppressed' AND "
                                   "detail->>'evidence' LIKE "
                                   "'unsubscribed%%'"),
                     2);
    assert_int_equal(sql_number(f, "SELECT sum(failed_suppressed) FROM "
                                   "baton.counter"),
                     2);
    /* What the worker says of it afterwards changes nothing. */
    make_result(&leased, RESULT_RESCHEDULED);
    store_result(f, &leased);
    run_until(f, has_outcome, &leased.resulted);
    assert_int_equal(leased.resulted.result, DATABASE_DONE);
    assert_int_equal(sql_number(f, "SELECT count(*) FROM baton.queue"), 2);
}

#define ROW(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(a_group_is_made_on_first_use),
        ROW(a_group_of_no_account_is_refused),
        ROW(a_search_can_be_cancelled),
        ROW(suppressions_are_found_by_scope),
        ROW(hashes_are_loaded_by_range),
        ROW(a_hash_is_the_beginning_of_sha256),
        ROW(every_change_is_told_once),
        ROW(what_commits_late_is_told),
        ROW(who_asks_too_late_is_told_so),
        ROW(an_unsubscribe_suppresses_once),
        ROW(an_unsubscribe_can_be_taken_back),
        ROW(who_was_suppressed_for_a_while_can_unsubscribe),
        ROW(what_is_queued_for_the_group_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
