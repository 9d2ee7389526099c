/* SPDX-License-Identifier: MIT */
#include "relay/signing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/clock.h"
#include "core/list.h"
#include "core/log.h"
#include "core/map.h"
#include "core/memory.h"
#include "dkim/signer.h"
#include "relay/dkim_secret.h"
#include "relay/relay_settings.h"

#define SLICE_BYTES (128 * 1024)
/* The thread checks passwords as well: they wait behind so many at most. */
#define WORKS_AT_ONCE 16
#define IDENTITIES_MAX 4
#define KEY_FILE_BYTES_MAX (64 * 1024)

/* A key with its names, kept until the end. */
struct signer {
    char *domain;
    char *selector;
    struct dkim_key *key;
};

struct signing {
    struct loop *loop;
    struct helper *helper;
    const struct directory *directory;
    struct map *signers; /* by "account domain selector" */
    struct signer *operator_signer; /* NULL: none */
    struct list retired; /* operator's signers of before: struct retired */
    struct list waiting; /* jobs whose digest is made */
    size_t work_count; /* with the thread */
};

struct retired {
    struct list_link link;
    struct signer *signer;
};

/* What the thread needs, and makes. Nobody else's memory. */
struct signing_work {
    struct dkim_message message;
    struct dkim_identity identities[IDENTITIES_MAX];
    size_t identity_count;
    int64_t now;
    struct buffer fields;
};

struct signing_job {
    struct list_link link; /* in waiting */
    struct signing *signing;
    struct signing_request request;
    struct dkim_reader *reader;
    size_t next_piece;
    size_t next_byte; /* of that piece */
    struct signing_work *work;
    struct helper_job *helper_job;
    struct error error;
    bool has_failed;
    signing_done_fn *on_done;
    void *owner;
};

/* -- keys -- */

static struct signer *make_signer(const char *domain, const char *selector,
                                  struct dkim_key *key)
{
    struct signer *signer = memory_alloc(sizeof(*signer));
    signer->domain = memory_copy_string(domain);
    signer->selector = memory_copy_string(selector);
    signer->key = key;
    return signer;
}

static void free_signer(struct signer *signer)
{
    if (signer != NULL) {
        dkim_key_free(&signer->key);
        memory_free(signer->domain);
        memory_free(signer->selector);
        memory_free(signer);
    }
}

static const struct signer *find_signer(struct signing *signing,
                                        const struct directory_domain *domain,
                                        const struct directory_dkim_key *key,
                                        struct error *error)
{
    struct buffer name = { 0 };
    buffer_printf(&name, "%" PRId64 " %s %s", domain->account_id, domain->name,
                  key->selector);
    struct signer *signer = map_get(signing->signers, buffer_text(&name));
    if (signer == NULL) {
        struct dkim_owner owner = { .account_id = domain->account_id,
                                    .domain = domain->name,
                                    .selector = key->selector };
        struct dkim_key *opened = dkim_secret_open(key->sealed, &owner, error);
        if (opened != NULL) {
            signer = make_signer(domain->name, key->selector, opened);
            map_set(signing->signers, buffer_text(&name), signer);
        }
    }
    buffer_free(&name);
    return signer;
}

static const struct directory_domain *find_domain(const struct signing *signing,
                                                  int64_t account_id,
                                                  const char *domain)
{
    return domain[0] == '\0' || signing->directory == NULL
               ? NULL
               : directory_domain(signing->directory, account_id, domain);
}

static void add_identity(struct signing_work *work, const struct signer *signer)
{
    if (work->identity_count < IDENTITIES_MAX) {
        work->identities[work->identity_count++] =
            (struct dkim_identity){ .domain = signer->domain,
                                    .selector = signer->selector,
                                    .key = signer->key };
    }
}

/* False: a key cannot be opened; the copy waits rather than leave unsigned. */
static bool find_identities(struct signing *signing,
                            const struct signing_request *request,
                            struct signing_work *work, struct error *error)
{
    const struct directory_domain *domain =
        find_domain(signing, request->account_id, request->domain);
    const struct directory_dkim_key *key = domain != NULL ? domain->keys : NULL;
    for (; key != NULL; key = key->next) {
        const struct signer *signer = find_signer(signing, domain, key, error);
        if (signer == NULL) {
            return false;
        }
        add_identity(work, signer);
    }
    if (signing->operator_signer != NULL &&
        (domain == NULL ||
         strcmp(domain->name, signing->operator_signer->domain) != 0)) {
        add_identity(work, signing->operator_signer);
    }
    return true;
}

bool signing_has_keys(struct signing *signing, int64_t account_id,
                      const char *domain)
{
    const struct directory_domain *own =
        find_domain(signing, account_id, domain);
    return signing->operator_signer != NULL ||
           (own != NULL && own->keys != NULL);
}

bool signing_is_busy(const struct signing *signing)
{
    return signing->waiting.count > 0;
}

/* -- the operator's key -- */

static bool read_file(const char *path, struct buffer *out_bytes,
                      struct error *error)
{
    char piece[4096];
    size_t length;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return error_set(error, "[dkim] operator_key: %s cannot be read: %s",
                         path, strerror(errno));
    }
    while (out_bytes->length < KEY_FILE_BYTES_MAX &&
           (length = fread(piece, 1, sizeof(piece), file)) > 0) {
        buffer_append(out_bytes, piece, length);
    }
    fclose(file);
    return true;
}

static struct dkim_key *read_key_file(const char *path, struct error *error)
{
    struct buffer pem = { 0 };
    struct error reason;
    struct dkim_key *key = NULL;
    if (read_file(path, &pem, error)) {
        key = dkim_key_read(buffer_text(&pem), &reason);
        if (key == NULL) {
            error_set(error, "[dkim] operator_key: %s: %s", path, reason.text);
        }
    }
    buffer_wipe(&pem);
    buffer_free(&pem);
    return key;
}

/* The thread may be signing with the one of before. */
static void retire_operator(struct signing *signing)
{
    if (signing->operator_signer != NULL) {
        struct retired *retired = memory_alloc(sizeof(*retired));
        retired->signer = signing->operator_signer;
        list_append(&signing->retired, &retired->link);
        signing->operator_signer = NULL;
    }
}

/* NULL: none is configured. */
static bool make_operator(struct signer **out_signer, struct error *error)
{
    const struct relay_settings_values *settings = relay_settings_now();
    char domain[DOMAIN_TEXT_MAX + 1];
    *out_signer = NULL;
    if (settings->operator_domain[0] == '\0') {
        return true;
    }
    if (settings->operator_key[0] == '\0') {
        return error_set(error, "[dkim] operator_domain needs operator_key, "
                                "the file of its private key");
    }
    if (!domain_normalize(text_of(settings->operator_domain), domain, error)) {
        return false;
    }
    struct dkim_key *key = read_key_file(settings->operator_key, error);
    if (key == NULL) {
        return false;
    }
    *out_signer = make_signer(domain, settings->operator_selector, key);
    return true;
}

bool signing_check_operator(struct error *error)
{
    struct signer *signer;
    bool is_good = make_operator(&signer, error);
    free_signer(signer);
    return is_good;
}

bool signing_read_operator(struct signing *signing, struct error *error)
{
    struct signer *signer;
    if (!make_operator(&signer, error)) {
        return false;
    }
    retire_operator(signing);
    signing->operator_signer = signer;
    return true;
}

/* -- jobs -- */

static void free_work(void *argument)
{
    struct signing_work *work = argument;
    if (work != NULL) {
        dkim_message_free(&work->message);
        buffer_free(&work->fields);
        memory_free(work);
    }
}

static void sign(void *argument)
{
    struct signing_work *work = argument;
    for (size_t i = 0; i < work->identity_count; i++) {
        dkim_sign(&work->message, &work->identities[i], work->now,
                  &work->fields);
    }
}

static void finish(struct signing_job *job, struct text fields)
{
    signing_done_fn *on_done = job->on_done;
    void *owner = job->owner;
    const struct error error = job->error;
    bool has_failed = job->has_failed;
    memory_free(job);
    on_done(owner, fields, has_failed ? &error : NULL);
}

static void submit_next(struct signing *signing);

static void on_signed(void *owner, void *argument)
{
    struct signing_job *job = owner;
    struct signing_work *work = argument;
    struct signing *signing = job->signing;
    signing->work_count--;
    submit_next(signing);
    finish(job, buffer_text(&work->fields)); /* the helper frees work */
}

/* A full queue is tried again when one of ours comes back; if none is there,
 * the passwords are many, and the loop signs itself. */
static void submit_next(struct signing *signing)
{
    while (signing->waiting.count > 0 && signing->work_count < WORKS_AT_ONCE) {
        struct signing_job *job =
            LIST_ITEM(signing->waiting.first, struct signing_job, link);
        job->helper_job = helper_submit(signing->helper, sign, job->work,
                                        free_work, on_signed, job);
        if (job->helper_job == NULL && signing->work_count > 0) {
            return;
        }
        list_remove(&job->link);
        struct signing_work *work = job->work;
        job->work = NULL;
        if (job->helper_job != NULL) {
            signing->work_count++;
            continue;
        }
        sign(work);
        finish(job, buffer_text(&work->fields));
        free_work(work);
    }
}

static bool has_slow_key(const struct signing_work *work)
{
    for (size_t i = 0; i < work->identity_count; i++) {
        if (dkim_key_algorithm(work->identities[i].key) == DKIM_RSA_SHA256) {
            return true;
        }
    }
    return false;
}

static void end_digest(struct signing_job *job)
{
    struct signing *signing = job->signing;
    dkim_reader_end(&job->reader, &job->work->message);
    if (has_slow_key(job->work)) {
        list_append(&signing->waiting, &job->link);
        submit_next(signing);
        return;
    }
    struct signing_work *work = job->work;
    sign(work);
    finish(job, buffer_text(&work->fields));
    free_work(work);
}

static void read_slice(void *owner)
{
    struct signing_job *job = owner;
    size_t room = SLICE_BYTES;
    if (job->has_failed) {
        dkim_reader_end(&job->reader, &job->work->message);
        struct signing_work *work = job->work;
        finish(job, text_of(""));
        free_work(work);
        return;
    }
    while (job->next_piece < job->request.piece_count && room > 0) {
        struct text piece = job->request.pieces[job->next_piece];
        struct text rest = text_slice(piece, job->next_byte, piece.length);
        struct text slice =
            text_slice(rest, 0, rest.length < room ? rest.length : room);
        dkim_reader_add(job->reader, slice);
        room -= slice.length;
        job->next_byte += slice.length;
        if (job->next_byte == piece.length) {
            job->next_piece++;
            job->next_byte = 0;
        }
    }
    if (job->next_piece < job->request.piece_count) {
        loop_post(job->signing->loop, read_slice, job);
    } else {
        end_digest(job);
    }
}

struct signing_job *signing_start(struct signing *signing,
                                  const struct signing_request *request,
                                  signing_done_fn *on_done, void *owner)
{
    struct signing_job *job = memory_alloc(sizeof(*job));
    job->signing = signing;
    job->request = *request;
    job->on_done = on_done;
    job->owner = owner;
    job->work = memory_alloc(sizeof(*job->work));
    job->work->now = clock_now();
    job->reader = dkim_reader_create();
    job->has_failed =
        !find_identities(signing, request, job->work, &job->error);
    loop_post(signing->loop, read_slice, job);
    return job;
}

static void go_on(void *owner)
{
    submit_next(owner);
}

void signing_cancel(struct signing_job **job_pointer)
{
    struct signing_job *job = *job_pointer;
    if (job == NULL) {
        return;
    }
    struct signing *signing = job->signing;
    *job_pointer = NULL;
    loop_cancel_posts(signing->loop, job);
    if (job->helper_job != NULL) {
        signing->work_count--;
        helper_cancel(&job->helper_job);
        loop_post(signing->loop, go_on, signing); /* those behind it */
    } else if (job->work != NULL) {
        if (job->reader != NULL) {
            dkim_reader_end(&job->reader, &job->work->message);
        }
        free_work(job->work);
    }
    list_remove(&job->link);
    memory_free(job);
}

/* -- public -- */

struct signing *signing_create(struct loop *loop, struct helper *helper)
{
    struct signing *signing = memory_alloc(sizeof(*signing));
    signing->loop = loop;
    signing->helper = helper;
    signing->signers = map_create();
    return signing;
}

void signing_free(struct signing **signing_pointer)
{
    struct signing *signing = *signing_pointer;
    size_t position = 0;
    void *signer = NULL;
    struct list_link *link;
    if (signing == NULL) {
        return;
    }
    *signing_pointer = NULL;
    loop_cancel_posts(signing->loop, signing);
    while (map_next(signing->signers, &position, NULL, &signer)) {
        free_signer(signer);
    }
    map_free(&signing->signers);
    retire_operator(signing);
    while ((link = list_take_first(&signing->retired)) != NULL) {
        struct retired *retired = LIST_ITEM(link, struct retired, link);
        free_signer(retired->signer);
        memory_free(retired);
    }
    memory_free(signing);
}

void signing_set_directory(struct signing *signing,
                           const struct directory *directory)
{
    signing->directory = directory;
}
