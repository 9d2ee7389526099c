/* SPDX-License-Identifier: MIT */
/*
 *   quota_take ──> waiting ──usage_take──> asked ──> on_taken
 *                     ^   (one at a time for an account)
 *   quota_give_back ──┘ with the next question, or with one of its own
 *
 * A line is one period of an account or of a user name. Its books say what this
 * worker took of it; every question tells PostgreSQL the sum, so an answer that
 * was lost and a message that was given back need no undoing.
 */
#include "relay/quota.h"

#include <inttypes.h>
#include <string.h>

#include "core/clock.h"
#include "core/list.h"
#include "core/log.h"
#include "core/map.h"
#include "core/memory.h"

#define ASKS_MAX 256
/* What was read is good for refusing so long. */
#define FRESH_MICROSECONDS CLOCK_SECOND
#define RETRY_MILLISECONDS 500
#define SCOPES_MAX 2

/* Whose limits hold: the account's, and those of the user name, if any. */
struct quota_scopes {
    const char *account;
    const char *user_name; /* "": none with limits */
    struct limits limits[SCOPES_MAX];
};

struct quota_line {
    struct usage_key key;
    char *user_name;
    int64_t worker_id; /* whose books these are */
    int64_t held[LIMIT_KIND_COUNT];
    int64_t stored_here[LIMIT_KIND_COUNT]; /* of it, answered 250 */
    bool is_dirty; /* PostgreSQL has to be told of `held` */
    struct usage_stored stored; /* by all, when it was read */
    int64_t read_monotonic; /* 0: never in this period */
};

/* Owned by the quota. */
struct quota_account {
    struct quota *quota;
    int64_t account_id;
    struct map *lines; /* struct quota_line by "period user" */
    struct list waiting; /* struct quota_take */
    struct list asked;
    bool is_asking; /* with what was asked, when, and by which worker */
    struct usage_line *sent;
    size_t sent_count;
    int64_t sent_at;
    int64_t sent_worker_id;
    bool is_reading;
    struct quota_line *read_lines[SCOPES_MAX * PERIOD_COUNT];
    int64_t read_began[SCOPES_MAX * PERIOD_COUNT];
    size_t read_count;
    struct timer retry_timer;
    bool is_pump_posted;
};

struct quota {
    struct loop *loop;
    struct database *database;
    const struct lease *lease;
    struct map *accounts; /* struct quota_account by id */
};

/* Owned by its account; freed after its callback. */
struct quota_take {
    struct list_link link;
    struct quota_account *account;
    struct arena *own; /* what it was given, copied */
    struct arena *arena; /* of who asks */
    struct quota_scopes scopes;
    int32_t recipients;
    enum usage_mode mode;
    quota_taken_fn *on_taken; /* NULL: cancelled */
    void *owner;
};

/* -- scopes -- */

static struct quota_scopes scopes_of(const struct quota_subject *subject)
{
    struct quota_scopes scopes = { .account = subject->account->name,
                                   .user_name = "",
                                   .limits = { subject->account->limits } };
    const struct directory_credential *credential = subject->credential;
    if (credential != NULL && limits_has_any(&credential->limits)) {
        scopes.user_name = credential->user_name;
        scopes.limits[1] = credential->limits;
    }
    return scopes;
}

static bool has_limits(const struct quota_subject *subject)
{
    return limits_has_any(&subject->account->limits) ||
           (subject->credential != NULL &&
            limits_has_any(&subject->credential->limits));
}

/* One limited period of these scopes. */
struct scope_line {
    const char *user_name;
    enum clock_period period;
    const int64_t *most; /* by kind */
};

/* Start with *position 0; false at the end. */
static bool next_line(const struct quota_scopes *scopes, size_t *position,
                      struct scope_line *out_line)
{
    while (*position < SCOPES_MAX * PERIOD_COUNT) {
        size_t scope = *position / PERIOD_COUNT;
        enum clock_period period =
            (enum clock_period)(*position % PERIOD_COUNT);
        (*position)++;
        if (limits_has_period(&scopes->limits[scope], period)) {
            *out_line = (struct scope_line){
                .user_name = scope == 0 ? "" : scopes->user_name,
                .period = period,
                .most = scopes->limits[scope].most[period],
            };
            return true;
        }
    }
    return false;
}

/* -- lines -- */

static struct text line_name(enum clock_period period, const char *user_name,
                             struct buffer *out_name)
{
    buffer_printf(out_name, "%d %s", (int)period, user_name);
    return buffer_text(out_name);
}

static struct quota_line *find_line(const struct quota_account *account,
                                    enum clock_period period,
                                    const char *user_name)
{
    struct buffer name = { 0 };
    struct quota_line *line =
        map_get(account->lines, line_name(period, user_name, &name));
    buffer_free(&name);
    return line;
}

/* The line, with the books of this period and this worker. */
static struct quota_line *open_line(struct quota_account *account,
                                    enum clock_period period,
                                    const char *user_name, int64_t at)
{
    struct quota_line *line = find_line(account, period, user_name);
    int64_t began_at = clock_period_start(at, period);
    int64_t worker_id = lease_worker_id(account->quota->lease);
    if (line == NULL) {
        struct buffer name = { 0 };
        line = memory_alloc(sizeof(*line));
        line->user_name = memory_copy_string(user_name);
        line->key.user_name = line->user_name;
        line->key.period = period;
        map_set(account->lines, line_name(period, user_name, &name), line);
        buffer_free(&name);
    }
    if (line->key.began_at != began_at || line->worker_id != worker_id) {
        line->key.began_at = began_at;
        line->worker_id = worker_id;
        memset(line->held, 0, sizeof(line->held));
        memset(line->stored_here, 0, sizeof(line->stored_here));
        line->is_dirty = false;
        line->read_monotonic = 0;
    }
    return line;
}

/* The line of a key of a claim; NULL: of another period or worker, which is
 * none of these books any more. */
static struct quota_line *line_of_claim(const struct quota_account *account,
                                        const struct usage_claim *claim,
                                        const struct usage_key *key)
{
    struct quota_line *line = find_line(account, key->period, key->user_name);
    return line != NULL && line->key.began_at == key->began_at &&
                   line->worker_id == claim->worker_id
               ? line
               : NULL;
}

/* Add to the books what a claim is (sign 1), or take it away (-1). */
static void book(struct quota_account *account, const struct usage_claim *claim,
                 int sign)
{
    struct usage_key key;
    for (size_t i = 0; usage_claim_key(claim, i, &key); i++) {
        struct quota_line *line = line_of_claim(account, claim, &key);
        if (line != NULL) {
            line->held[LIMIT_MESSAGES] += sign;
            line->held[LIMIT_RECIPIENTS] += sign * claim->recipients;
            line->is_dirty = line->is_dirty || sign < 0;
        }
    }
}

static void fill_claim(const struct quota_scopes *scopes, int64_t at,
                       int64_t worker_id, struct arena *arena,
                       struct usage_claim *out_claim)
{
    size_t position = 0;
    struct scope_line line;
    *out_claim = (struct usage_claim){
        .counted_at = at,
        .worker_id = worker_id,
        .user_name = arena_copy_string(arena, scopes->user_name),
    };
    while (next_line(scopes, &position, &line)) {
        unsigned *periods = line.user_name[0] == '\0'
                                ? &out_claim->account_periods
                                : &out_claim->user_periods;
        *periods |= 1U << line.period;
    }
}

/* -- accounts -- */

static void pump(void *owner);

static struct quota_account *open_account(struct quota *quota,
                                          int64_t account_id)
{
    struct quota_account *account = map_get_id(quota->accounts, account_id);
    if (account == NULL) {
        account = memory_alloc(sizeof(*account));
        account->quota = quota;
        account->account_id = account_id;
        account->lines = map_create();
        map_set_id(quota->accounts, account_id, account);
    }
    return account;
}

static void free_take(struct quota_take *take)
{
    struct arena *own = take->own;
    list_remove(&take->link);
    arena_free(&own);
}

static void free_takes(struct list *takes)
{
    while (takes->first != NULL) {
        free_take(LIST_ITEM(takes->first, struct quota_take, link));
    }
}

static void free_line(struct quota_line *line)
{
    memory_free(line->user_name);
    memory_free(line);
}

static void free_account(struct quota_account *account)
{
    size_t position = 0;
    struct text key;
    void *line = NULL;
    timer_stop(&account->retry_timer);
    loop_cancel_posts(account->quota->loop, account);
    free_takes(&account->waiting);
    free_takes(&account->asked);
    while (map_next(account->lines, &position, &key, &line)) {
        free_line(line);
    }
    map_free(&account->lines);
    memory_free(account->sent);
    memory_free(account);
}

static void post_pump(struct quota_account *account)
{
    if (!account->is_pump_posted) {
        account->is_pump_posted = true;
        loop_post(account->quota->loop, pump, account);
    }
}

/* -- asking -- */

static bool is_sent(const struct quota_account *account,
                    const struct quota_line *line)
{
    for (size_t i = 0; i < account->sent_count; i++) {
        if (account->sent[i].key.user_name == line->user_name &&
            account->sent[i].key.period == line->key.period) {
            return true;
        }
    }
    return false;
}

/* `most` NULL: it is told of only. */
static void send_line(struct quota_account *account, struct quota_line *line,
                      const int64_t *most)
{
    struct usage_line *sent = &account->sent[account->sent_count];
    if (is_sent(account, line)) {
        return;
    }
    account->sent_count++;
    *sent = (struct usage_line){ .key = line->key };
    for (int kind = 0; kind < LIMIT_KIND_COUNT; kind++) {
        sent->most[kind] = most != NULL ? most[kind] : 0;
        sent->held[kind] = line->held[kind];
    }
    line->is_dirty = false;
}

/* Take so many from those who wait, and put down their lines. */
static size_t collect_asks(struct quota_account *account,
                           struct usage_ask asks[ASKS_MAX])
{
    size_t count = 0;
    struct list_link *link;
    while (count < ASKS_MAX &&
           (link = list_take_first(&account->waiting)) != NULL) {
        struct quota_take *take = LIST_ITEM(link, struct quota_take, link);
        size_t position = 0;
        struct scope_line line;
        list_append(&account->asked, link);
        asks[count++] = (struct usage_ask){ take->scopes.user_name,
                                            take->recipients, take->mode };
        while (next_line(&take->scopes, &position, &line)) {
            send_line(account,
                      open_line(account, line.period, line.user_name,
                                account->sent_at),
                      line.most);
        }
    }
    return count;
}

/* Lines whose books PostgreSQL does not have; those that are over are done. */
static void collect_dirty(struct quota_account *account)
{
    size_t position = 0;
    struct text key;
    void *value = NULL;
    while (map_next(account->lines, &position, &key, &value)) {
        struct quota_line *line = value;
        if (line->is_dirty) {
            open_line(account, line->key.period, line->user_name,
                      account->sent_at);
        }
        if (line->is_dirty) {
            send_line(account, line, NULL);
        }
    }
}

static void on_taken(void *owner, enum database_result result,
                     const struct usage_grant *grants,
                     const struct error *error);

static void pump(void *owner)
{
    struct quota_account *account = owner;
    struct quota *quota = account->quota;
    struct usage_ask asks[ASKS_MAX];
    account->is_pump_posted = false;
    if (account->is_asking) {
        return;
    }
    account->sent_at = clock_now();
    account->sent_worker_id = lease_worker_id(quota->lease);
    account->sent_count = 0;
    memory_free(account->sent);
    account->sent = memory_alloc_array(map_count(account->lines) +
                                           ASKS_MAX * SCOPES_MAX * PERIOD_COUNT,
                                       sizeof(*account->sent));
    size_t count = collect_asks(account, asks);
    collect_dirty(account);
    if (account->sent_count > 0) {
        timer_stop(&account->retry_timer);
        account->is_asking = true;
        usage_take(quota->database, account->account_id,
                   account->sent_worker_id, account->sent, account->sent_count,
                   asks, count, on_taken, account);
    }
}

/* -- the answer -- */

static void look(struct quota_account *account,
                 const struct quota_scopes *scopes);

static void describe(const struct quota_take *take,
                     const struct usage_grant *grant,
                     struct smtp_reply *out_over)
{
    const struct quota_account *account = take->account;
    const struct usage_line *line = &account->sent[grant->line];
    quota_refuse(take->scopes.account, line->key.user_name,
                 line->most[grant->kind], grant->kind, line->key.period,
                 account->sent_at, out_over);
}

static void finish_take(struct quota_take *take, enum database_result result,
                        const struct usage_grant *grant)
{
    struct quota_account *account = take->account;
    struct quota_taken taken = { .result = result, .mode = take->mode };
    struct arena *arena = take->on_taken != NULL ? take->arena : take->own;
    fill_claim(&take->scopes, account->sent_at, account->sent_worker_id, arena,
               &taken.claim);
    if (grant != NULL) {
        taken.claim.recipients = grant->recipients;
        book(account, &taken.claim, 1);
        if (grant->is_over) {
            describe(take, grant, &taken.over);
            look(account, &take->scopes);
        }
    }
    if (take->on_taken != NULL) {
        take->on_taken(take->owner, &taken);
    } else {
        book(account, &taken.claim, -1);
    }
    free_take(take);
}

/* Nobody knows what PostgreSQL has now. */
static void mark_dirty(struct quota_account *account)
{
    for (size_t i = 0; i < account->sent_count; i++) {
        struct quota_line *line =
            find_line(account, account->sent[i].key.period,
                      account->sent[i].key.user_name);
        line->is_dirty = true;
    }
}

static bool has_dirty(const struct quota_account *account)
{
    size_t position = 0;
    struct text key;
    void *value = NULL;
    while (map_next(account->lines, &position, &key, &value)) {
        const struct quota_line *line = value;
        if (line->is_dirty) {
            return true;
        }
    }
    return false;
}

static void on_taken(void *owner, enum database_result result,
                     const struct usage_grant *grants,
                     const struct error *error)
{
    struct quota_account *account = owner;
    size_t count = account->asked.count;
    account->is_asking = false;
    if (result != DATABASE_DONE) {
        log_write(result == DATABASE_FAILED ? LOG_WARNING : LOG_DEBUG, NULL,
                  "limits could not be asked for",
                  "account=%" PRId64 " reason=\"%s\"", account->account_id,
                  log_quote(text_of(error != NULL ? error->text : "")));
        mark_dirty(account);
    }
    for (size_t i = 0; i < count; i++) {
        finish_take(LIST_ITEM(account->asked.first, struct quota_take, link),
                    result, grants != NULL ? &grants[i] : NULL);
    }
    if (account->waiting.count > 0 ||
        (result == DATABASE_DONE && has_dirty(account))) {
        post_pump(account);
    } else if (result != DATABASE_DONE) {
        timer_start(&account->retry_timer, account->quota->loop,
                    RETRY_MILLISECONDS * clock_rate(), pump, account);
    }
}

/* -- what is known -- */

static void on_read(void *owner, enum database_result result,
                    const struct usage_stored *stored)
{
    struct quota_account *account = owner;
    account->is_reading = false;
    for (size_t i = 0; result == DATABASE_DONE && i < account->read_count;
         i++) {
        struct quota_line *line = account->read_lines[i];
        if (line->key.began_at == account->read_began[i]) {
            line->stored = stored[i];
            line->read_monotonic = clock_monotonic();
        }
    }
}

static bool is_fresh(const struct quota_line *line)
{
    return line->read_monotonic != 0 &&
           clock_monotonic() - line->read_monotonic <
               FRESH_MICROSECONDS * clock_rate();
}

/* Read all that is used of these scopes, unless all of it is known. */
static void look(struct quota_account *account,
                 const struct quota_scopes *scopes)
{
    struct usage_key keys[SCOPES_MAX * PERIOD_COUNT];
    size_t position = 0;
    struct scope_line known;
    int64_t now = clock_now();
    size_t count = 0;
    bool is_known = true;
    if (account->is_reading) {
        return;
    }
    while (next_line(scopes, &position, &known)) {
        struct quota_line *line =
            open_line(account, known.period, known.user_name, now);
        is_known = is_known && is_fresh(line);
        account->read_lines[count] = line;
        account->read_began[count] = line->key.began_at;
        keys[count++] = line->key;
    }
    if (!is_known) {
        account->read_count = count;
        account->is_reading = true;
        usage_read(account->quota->database, account->account_id, keys, count,
                   on_read, account);
    }
}

/* Whether it is known that so many more do not fit. What was stored here stays
 * stored; what others had when it was read may have been withdrawn since, so
 * that refuses a whole message for a moment only. */
static bool is_full(const struct quota_line *line, enum limit_kind kind,
                    int64_t more, bool is_whole, int64_t most)
{
    int64_t stored_here = line != NULL ? line->stored_here[kind] : 0;
    bool is_read = line != NULL && line->read_monotonic != 0 &&
                   (!is_whole || is_fresh(line));
    int64_t stored = is_read ? line->stored.count[kind] : 0;
    return most > 0 &&
           (stored > stored_here ? stored : stored_here) + more > most;
}

/* Which limit of a line is known to be in the way, if any. */
static bool is_over(const struct quota_line *line, const int64_t *most,
                    size_t recipients, enum limit_kind *out_kind)
{
    bool is_first = recipients == 1;
    *out_kind = LIMIT_MESSAGES;
    if (is_full(line, LIMIT_MESSAGES, 1, true, most[LIMIT_MESSAGES])) {
        return true;
    }
    *out_kind = LIMIT_RECIPIENTS;
    return is_full(line, LIMIT_RECIPIENTS, (int64_t)recipients, is_first,
                   most[LIMIT_RECIPIENTS]);
}

/* -- public -- */

void quota_refuse(const char *account, const char *user_name, int64_t most,
                  enum limit_kind kind, enum clock_period period, int64_t at,
                  struct smtp_reply *out_reply)
{
    char resets[CLOCK_TEXT_SIZE];
    bool is_user = user_name[0] != '\0';
    clock_iso8601(clock_period_end(at, period), resets);
    resets[sizeof("2026-11-21") - 1] = ' ';
    resets[sizeof("2026-11-21 15:04") - 1] = '\0';
    smtp_reply_set(out_reply, 452, "4.3.1",
                   "%s%s%s %s is over its limit: %" PRId64
                   " %s/%s, resets %s UTC",
                   is_user ? "User " : "", user_name,
                   is_user ? " of account" : "Account", account, most,
                   limit_kind_text(kind), clock_period_text(period), resets);
}

struct quota *quota_create(struct loop *loop, struct database *database,
                           const struct lease *lease)
{
    struct quota *quota = memory_alloc(sizeof(*quota));
    quota->loop = loop;
    quota->database = database;
    quota->lease = lease;
    quota->accounts = map_create();
    return quota;
}

void quota_free(struct quota **quota)
{
    if (*quota != NULL) {
        size_t position = 0;
        struct text key;
        void *account = NULL;
        while (map_next((*quota)->accounts, &position, &key, &account)) {
            free_account(account);
        }
        map_free(&(*quota)->accounts);
        memory_free(*quota);
        *quota = NULL;
    }
}

/* Whether any of its periods still goes on. */
static bool is_current(const struct quota_account *account)
{
    int64_t now = clock_now();
    size_t position = 0;
    struct text key;
    void *value = NULL;
    while (map_next(account->lines, &position, &key, &value)) {
        const struct quota_line *line = value;
        if (clock_period_end(line->key.began_at, line->key.period) > now) {
            return true;
        }
    }
    return false;
}

void quota_tidy(struct quota *quota)
{
    size_t position = 0;
    struct text key;
    void *value = NULL;
    while (map_next(quota->accounts, &position, &key, &value)) {
        struct quota_account *account = value;
        if (!account->is_asking && !account->is_reading &&
            account->waiting.count == 0 && !is_current(account)) {
            map_remove(quota->accounts, key);
            free_account(account);
        }
    }
}

void quota_look(struct quota *quota, const struct quota_subject *subject)
{
    if (has_limits(subject) && subject->account->overage == OVERAGE_REFUSE) {
        struct quota_scopes scopes = scopes_of(subject);
        look(open_account(quota, subject->account->account_id), &scopes);
    }
}

void quota_check(const struct quota *quota, const struct quota_subject *subject,
                 size_t recipients, struct smtp_reply *out_reply)
{
    if (!has_limits(subject) || subject->account->overage != OVERAGE_REFUSE) {
        return;
    }
    struct quota_scopes scopes = scopes_of(subject);
    const struct quota_account *account =
        map_get_id(quota->accounts, subject->account->account_id);
    int64_t now = clock_now();
    size_t position = 0;
    struct scope_line limited;
    int longest = -1;
    while (next_line(&scopes, &position, &limited)) {
        enum limit_kind kind;
        const struct quota_line *line =
            account == NULL
                ? NULL
                : find_line(account, limited.period, limited.user_name);
        if (line != NULL &&
            line->key.began_at != clock_period_start(now, limited.period)) {
            line = NULL;
        }
        if (is_over(line, limited.most, recipients, &kind) &&
            (int)limited.period > longest) {
            longest = (int)limited.period;
            quota_refuse(scopes.account, limited.user_name, limited.most[kind],
                         kind, limited.period, now, out_reply);
        }
    }
}

bool quota_take_at_once(struct quota *quota,
                        const struct quota_subject *subject, size_t recipients,
                        struct arena *arena, struct usage_claim *out_claim)
{
    *out_claim = (struct usage_claim){ 0 };
    if (recipients == 0 || !has_limits(subject)) {
        return true;
    }
    if (subject->account->overage != OVERAGE_ALLOW) {
        return false;
    }
    struct quota_scopes scopes = scopes_of(subject);
    struct quota_account *account =
        open_account(quota, subject->account->account_id);
    int64_t now = clock_now();
    size_t position = 0;
    struct scope_line line;
    while (next_line(&scopes, &position, &line)) {
        open_line(account, line.period, line.user_name, now);
    }
    fill_claim(&scopes, now, lease_worker_id(quota->lease), arena, out_claim);
    out_claim->recipients = (int32_t)recipients;
    book(account, out_claim, 1);
    return true;
}

struct quota_take *quota_take(struct quota *quota,
                              const struct quota_subject *subject,
                              size_t recipients, struct arena *arena,
                              quota_taken_fn *on_done, void *owner)
{
    struct arena *own = arena_create();
    struct quota_take *take = arena_alloc(own, sizeof(*take));
    const struct directory_account *account = subject->account;
    take->account = open_account(quota, account->account_id);
    take->own = own;
    take->arena = arena;
    take->scopes = scopes_of(subject);
    take->scopes.account = arena_copy_string(own, take->scopes.account);
    take->scopes.user_name = arena_copy_string(own, take->scopes.user_name);
    take->recipients = (int32_t)recipients;
    take->mode = account->overage == OVERAGE_RECORD ? USAGE_FORCED
                 : account->accepts_refused         ? USAGE_PART
                                                    : USAGE_WHOLE;
    take->on_taken = on_done;
    take->owner = owner;
    list_append(&take->account->waiting, &take->link);
    post_pump(take->account);
    return take;
}

void quota_take_cancel(struct quota_take **take)
{
    struct quota_take *doomed = *take;
    if (doomed == NULL) {
        return;
    }
    *take = NULL;
    if (doomed->link.list == &doomed->account->waiting) {
        free_take(doomed);
    } else {
        doomed->on_taken = NULL;
    }
}

void quota_stored(struct quota *quota, int64_t account_id,
                  const struct usage_claim *claim)
{
    const struct quota_account *account =
        map_get_id(quota->accounts, account_id);
    struct usage_key key;
    for (size_t i = 0; account != NULL && usage_claim_key(claim, i, &key);
         i++) {
        struct quota_line *line = line_of_claim(account, claim, &key);
        if (line != NULL) {
            line->stored_here[LIMIT_MESSAGES]++;
            line->stored_here[LIMIT_RECIPIENTS] += claim->recipients;
        }
    }
}

void quota_give_back(struct quota *quota, int64_t account_id,
                     const struct usage_claim *claim)
{
    struct quota_account *account = map_get_id(quota->accounts, account_id);
    if (account != NULL && claim->recipients > 0) {
        book(account, claim, -1);
        post_pump(account);
    }
}
