/* SPDX-License-Identifier: MIT */
#include "relay/authenticator.h"

#include <crypt.h>
#include <string.h>

#include "core/clock.h"
#include "core/encoding.h"
#include "core/map.h"
#include "core/memory.h"
#include "core/text.h"
#include "relay/relay_settings.h"

#define REMEMBER_SPAN (5 * 60 * CLOCK_SECOND)
#define REMEMBERED_MAX 10000
#define COUNTED_MAX 100000
/* What is hashed for a name that does not exist: any yescrypt setting. */
#define DECOY_SECRET "$y$j9T$Baton/decoy/salt.w0$"

struct authenticator {
    struct loop *loop;
    struct helper *helper;
    uint8_t process_key[SHA256_SIZE];
    struct map *remembered; /* fingerprint -> struct remembered */
    struct map *failures; /* address or name key -> struct failure_count */
};

struct remembered {
    int64_t until_monotonic;
};

struct failure_count {
    int64_t count;
    int64_t until_monotonic;
};

/* Memory of one job on the helper thread. */
struct hash_job {
    char *secret;
    char *password;
    bool matches;
};

struct authentication {
    struct authenticator *authenticator;
    authenticated_fn *on_done;
    void *owner;
    struct helper_job *job;
    enum smtp_auth_verdict verdict;
    int64_t account_id; /* of the credential, even if refused; 0: none */
    char address_key[NETWORK_CLIENT_KEY_SIZE];
    size_t address_key_length;
    char user_key[SHA256_SIZE]; /* a name may be long, its digest is not */
    char fingerprint[SHA256_SIZE];
};

/* -- counting failures -- */

static void forget_old_failures(struct authenticator *authenticator,
                                bool forget_all)
{
    size_t position = 0;
    struct text key;
    void *value = NULL;
    int64_t now = clock_monotonic();
    while (map_next(authenticator->failures, &position, &key, &value)) {
        struct failure_count *count = value;
        if (forget_all || now >= count->until_monotonic) {
            map_remove(authenticator->failures, key);
            memory_free(count);
        }
    }
}

static bool is_throttled(const struct authenticator *authenticator,
                         struct text key, int64_t most)
{
    const struct failure_count *count = map_get(authenticator->failures, key);
    return count != NULL && clock_monotonic() < count->until_monotonic &&
           count->count >= most;
}

static void count_failure(struct authenticator *authenticator, struct text key)
{
    if (map_count(authenticator->failures) >= COUNTED_MAX) {
        forget_old_failures(authenticator, false);
    }
    if (map_count(authenticator->failures) >= COUNTED_MAX) {
        forget_old_failures(authenticator, true);
    }
    struct failure_count *count = map_get(authenticator->failures, key);
    if (count == NULL) {
        count = memory_alloc(sizeof(*count));
        map_set(authenticator->failures, key, count);
    }
    int64_t now = clock_monotonic();
    if (now >= count->until_monotonic) {
        count->count = 0;
        count->until_monotonic =
            now + relay_settings_now()->auth_failure_window * CLOCK_MILLISECOND;
    }
    count->count++;
}

/* -- remembering right passwords -- */

static void make_fingerprint(const struct authenticator *authenticator,
                             const char *user, const char *secret,
                             const char *password, char *out_fingerprint)
{
    struct buffer input = { 0 };
    uint8_t digest[SHA256_SIZE];
    buffer_append(&input, authenticator->process_key, SHA256_SIZE);
    buffer_append(&input, user, strlen(user) + 1);
    buffer_append(&input, secret, strlen(secret) + 1);
    buffer_append(&input, password, strlen(password) + 1);
    sha256(buffer_text(&input), digest);
    memcpy(out_fingerprint, digest, sizeof(digest));
    explicit_bzero(input.data, input.length);
    buffer_free(&input);
}

static struct text fingerprint_text(const char *fingerprint)
{
    return (struct text){ fingerprint, SHA256_SIZE };
}

static void forget_remembered(struct authenticator *authenticator)
{
    size_t position = 0;
    struct text key;
    void *value = NULL;
    while (map_next(authenticator->remembered, &position, &key, &value)) {
        map_remove(authenticator->remembered, key);
        memory_free(value);
    }
}

static void remember(struct authenticator *authenticator,
                     const char *fingerprint)
{
    struct text key = fingerprint_text(fingerprint);
    struct remembered *remembered = map_get(authenticator->remembered, key);
    if (remembered == NULL) {
        if (map_count(authenticator->remembered) >= REMEMBERED_MAX) {
            forget_remembered(authenticator);
        }
        remembered = memory_alloc(sizeof(*remembered));
        map_set(authenticator->remembered, key, remembered);
    }
    remembered->until_monotonic = clock_monotonic() + REMEMBER_SPAN;
}

static bool is_remembered(const struct authenticator *authenticator,
                          const char *fingerprint)
{
    const struct remembered *remembered =
        map_get(authenticator->remembered, fingerprint_text(fingerprint));
    return remembered != NULL &&
           clock_monotonic() < remembered->until_monotonic;
}

/* -- hashing -- */

static void hash(void *argument)
{
    struct hash_job *job = argument;
    struct crypt_data *data = memory_alloc(sizeof(*data));
    const char *hashed =
        crypt_rn(job->password, job->secret, data, (int)sizeof(*data));
    job->matches =
        hashed != NULL && strlen(hashed) == strlen(job->secret) &&
        bytes_equal_constant_time(hashed, job->secret, strlen(hashed));
    explicit_bzero(data, sizeof(*data));
    memory_free(data);
}

static void free_job(void *argument)
{
    struct hash_job *job = argument;
    explicit_bzero(job->password, strlen(job->password));
    memory_free(job->password);
    memory_free(job->secret);
    memory_free(job);
}

static bool matches_generated(const char *secret, const char *password)
{
    uint8_t digest[SHA256_SIZE];
    struct buffer hex = { 0 };
    sha256(text_of(password), digest);
    hex_encode((struct text){ (const char *)digest, sizeof(digest) }, &hex);
    bool matches = strlen(secret) == hex.length &&
                   bytes_equal_constant_time(hex.data, secret, hex.length);
    buffer_free(&hex);
    return matches;
}

/* -- one check -- */

static struct text address_key(const struct authentication *check)
{
    return (struct text){ check->address_key, check->address_key_length };
}

static struct text user_key(const struct authentication *check)
{
    return (struct text){ check->user_key, sizeof(check->user_key) };
}

static void report(void *owner)
{
    struct authentication *check = owner;
    if (check->verdict == AUTH_REFUSED) {
        count_failure(check->authenticator, address_key(check));
        count_failure(check->authenticator, user_key(check));
    }
    check->on_done(check->owner, check->verdict,
                   check->verdict == AUTH_ACCEPTED ? check->account_id : 0);
    memory_free(check);
}

static void report_later(struct authentication *check,
                         enum smtp_auth_verdict verdict)
{
    check->verdict = verdict;
    loop_post(check->authenticator->loop, report, check);
}

static void on_hashed(void *owner, void *argument)
{
    struct authentication *check = owner;
    const struct hash_job *job = argument;
    check->job = NULL;
    check->verdict = AUTH_REFUSED;
    if (job->matches && check->account_id != 0) {
        check->verdict = AUTH_ACCEPTED;
        remember(check->authenticator, check->fingerprint);
    }
    report(check);
}

static void hash_in_thread(struct authentication *check, const char *secret,
                           const char *password)
{
    struct hash_job *job = memory_alloc(sizeof(*job));
    job->secret = memory_copy_string(secret);
    job->password = memory_copy_string(password);
    check->job = helper_submit(check->authenticator->helper, hash, job,
                               free_job, on_hashed, check);
    if (check->job == NULL) {
        free_job(job);
        report_later(check, AUTH_UNAVAILABLE);
    }
}

static bool is_user_throttled(const struct authentication *check)
{
    return is_throttled(check->authenticator, user_key(check),
                        relay_settings_now()->auth_failures_per_user);
}

/* Spend the time of a hash, then refuse; or say that it was tried too often. */
static void refuse_slowly(struct authentication *check, const char *password)
{
    check->account_id = 0;
    if (is_user_throttled(check)) {
        report_later(check, AUTH_THROTTLED);
    } else {
        hash_in_thread(check, DECOY_SECRET, password);
    }
}

/* A generated secret cannot be guessed: the right one passes even while its
 * name is throttled, so that nobody can lock its owner out. */
static void check_credential(struct authentication *check,
                             const struct directory_credential *credential,
                             const char *password)
{
    const struct authenticator *authenticator = check->authenticator;
    check->account_id = credential->account->account_id;
    if (credential->is_generated) {
        if (matches_generated(credential->secret, password)) {
            report_later(check, AUTH_ACCEPTED);
        } else {
            refuse_slowly(check, password);
        }
        return;
    }
    make_fingerprint(authenticator, credential->user_name, credential->secret,
                     password, check->fingerprint);
    if (is_remembered(authenticator, check->fingerprint)) {
        report_later(check, AUTH_ACCEPTED);
    } else if (is_user_throttled(check)) {
        report_later(check, AUTH_THROTTLED);
    } else {
        hash_in_thread(check, credential->secret, password);
    }
}

static void make_user_key(struct authentication *check, const char *user)
{
    struct buffer name = { 0 };
    uint8_t digest[SHA256_SIZE];
    for (size_t i = 0; user[i] != '\0'; i++) {
        buffer_append_byte(&name, ascii_lower(user[i]));
    }
    sha256(buffer_text(&name), digest);
    memcpy(check->user_key, digest, sizeof(digest));
    buffer_free(&name);
}

struct authentication *authenticator_check(
    struct authenticator *authenticator, const struct directory *directory,
    bool is_current, const struct network_address *peer, const char *user,
    const char *password, authenticated_fn *on_done, void *owner)
{
    struct authentication *check = memory_alloc(sizeof(*check));
    check->authenticator = authenticator;
    check->on_done = on_done;
    check->owner = owner;
    make_user_key(check, user);
    check->address_key_length =
        network_address_client_key(peer, check->address_key);
    const struct directory_credential *credential =
        directory == NULL ? NULL : directory_credential(directory, user);
    if (is_throttled(authenticator, address_key(check),
                     relay_settings_now()->auth_failures_per_address)) {
        report_later(check, AUTH_THROTTLED);
    } else if (credential != NULL) {
        check_credential(check, credential, password);
    } else if (directory == NULL || !is_current) {
        report_later(check, AUTH_UNAVAILABLE);
    } else {
        refuse_slowly(check, password);
    }
    return check;
}

void authentication_cancel(struct authentication **check)
{
    if (*check != NULL) {
        helper_cancel(&(*check)->job);
        loop_cancel_posts((*check)->authenticator->loop, *check);
        memory_free(*check);
        *check = NULL;
    }
}

struct authenticator *authenticator_create(struct loop *loop,
                                           struct helper *helper)
{
    struct authenticator *authenticator = memory_alloc(sizeof(*authenticator));
    authenticator->loop = loop;
    authenticator->helper = helper;
    authenticator->remembered = map_create();
    authenticator->failures = map_create();
    random_bytes(authenticator->process_key,
                 sizeof(authenticator->process_key));
    return authenticator;
}

void authenticator_free(struct authenticator **authenticator)
{
    if (*authenticator != NULL) {
        forget_old_failures(*authenticator, true);
        forget_remembered(*authenticator);
        map_free(&(*authenticator)->failures);
        map_free(&(*authenticator)->remembered);
        memory_free(*authenticator);
        *authenticator = NULL;
    }
}
