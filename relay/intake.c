/* SPDX-License-Identifier: MIT */
/*
 *   on_message ─> inspect ─> may you ─> sender's DNS ─> admission ─>
 * message_store │           │           │             │              │ 5yz 5yz
 * 5yz           5yz     on_stored ─> 250 └─> scheduler_add A client that leaves
 * meanwhile: the row is withdrawn.
 */
#include "relay/intake.h"
#include "relay/content_digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/clock.h"
#include "core/encoding.h"
#include "core/id.h"
#include "core/log.h"
#include "core/map.h"
#include "core/memory.h"
#include "relay/acceptance.h"
#include "relay/admission.h"
#include "relay/authenticator.h"
#include "relay/early_copy.h"
#include "relay/message_policy.h"
#include "relay/notice.h"
#include "relay/policy.h"
#include "relay/quota.h"
#include "relay/refusal_tally.h"
#include "relay/relay_metrics.h"
#include "relay/relay_settings.h"
#include "relay/sender_domain.h"
#include "sql/messages.h"
#include "sql/results.h"
#include "tracking/automatic.h"
#include "tracking/compose.h"
#include "tracking/header.h"

struct intake {
    struct intake_options options;
    const struct directory *directory;
    struct authenticator *authenticator;
    struct sender_domains *sender_domains;
    struct quota *quota;
    struct refusal_tally *refusals;
    struct list submissions; /* being stored */
    struct map *keys; /* submissions by account and idempotency key */
};

/* One session, as we see it. */
struct intake_client {
    struct intake *intake;
    struct smtp_server_session *session;
    const struct smtp_client_facts *facts;
    int64_t account_id; /* 0: nobody yet */
    struct authentication *authentication;
    struct candidate *candidate; /* lawful, its sender's DNS is asked */
    struct submission *submission; /* being stored */
    /* A recipient who may be suppressed, while that is asked. */
    struct suppression_check *recipient_check;
    const struct smtp_transaction *asked_transaction;
    const char *asked_address;
};

/* A message that has passed all checks but the one that takes time. Lies in the
 * transaction's arena. */
struct candidate {
    struct intake_client *client;
    struct smtp_transaction *transaction;
    struct sender_domain_check *check;
    struct admission_check *admission_check;
    struct admission admission; /* while the limits are asked for */
    struct quota_take *quota_take;
    int64_t message_id;
    struct compose_facts composed;
    struct text transcript;
    const char *user_name; /* of AUTH; or NULL */
    const char *group_name; /* NULL: none */
    uint8_t content[SHA256_SIZE]; /* with an idempotency key */
};

/* A message on its way into PostgreSQL. */
struct submission {
    struct list_link link; /* in the intake's submissions */
    struct intake *intake;
    struct intake_client *client; /* NULL: gone, the row is withdrawn */
    struct held_message *message;
    struct new_message row_values;
    struct batch_row row;
    bool is_leased;
    int64_t given_monotonic; /* to PostgreSQL */
};

/* A refused message leaves an event; nobody waits for it. */
struct rejection {
    struct arena *arena;
    struct batch_row row;
    struct new_event event;
};

static const struct directory_account *account_of(
    const struct intake_client *client)
{
    const struct intake *intake = client->intake;
    return intake->directory == NULL
               ? NULL
               : directory_account_by_id(intake->directory, client->account_id);
}

/* The credential of a session with AUTH, if it is still there. */
static const struct directory_credential *credential_of(
    const struct intake_client *client)
{
    return client->facts->auth_user == NULL
               ? NULL
               : directory_credential(client->intake->directory,
                                      client->facts->auth_user);
}

static struct quota_subject subject_of(const struct intake_client *client,
                                       const struct directory_account *account)
{
    const struct directory_credential *credential = credential_of(client);
    return (struct quota_subject){
        .account = account,
        .credential = credential != NULL && credential->account == account
                          ? credential
                          : NULL,
    };
}

/* -- sessions -- */

static void *on_session(void *owner, struct smtp_server_session *session,
                        const struct smtp_client_facts *facts,
                        struct smtp_reply *out_refusal)
{
    struct intake *intake = owner;
    (void)out_refusal; /* everybody may connect; RCPT is where we refuse */
    struct intake_client *client = memory_alloc(sizeof(*client));
    client->intake = intake;
    client->session = session;
    client->facts = facts;
    const struct directory_account *account =
        intake->directory == NULL
            ? NULL
            : directory_account_by_network(intake->directory, &facts->peer);
    client->account_id = account != NULL ? account->account_id : 0;
    return client;
}

static void on_session_end(void *owner)
{
    struct intake_client *client = owner;
    authentication_cancel(&client->authentication);
    suppression_check_cancel(&client->recipient_check);
    if (client->candidate != NULL) {
        sender_domain_check_cancel(&client->candidate->check);
        admission_cancel(&client->candidate->admission_check);
        quota_take_cancel(&client->candidate->quota_take);
    }
    if (client->submission != NULL) {
        struct submission *submission = client->submission;
        submission->client = NULL;
        if (submission->row_values.idempotency_key == NULL) {
            batch_withdraw(&submission->row);
        } /* else: whoever sends it again hears its id */
    }
    memory_free(client);
}

static void on_authenticated(void *owner, enum smtp_auth_verdict verdict,
                             int64_t account_id)
{
    struct intake_client *client = owner;
    client->authentication = NULL;
    if (verdict == AUTH_ACCEPTED) {
        client->account_id = account_id;
    }
    smtp_server_authenticated(client->session, verdict);
}

static void on_authenticate(void *owner, const char *user, const char *password)
{
    struct intake_client *client = owner;
    const struct intake *intake = client->intake;
    client->authentication = authenticator_check(
        intake->authenticator, intake->directory,
        database_is_up(intake->options.database), &client->facts->peer, user,
        password, on_authenticated, client);
}

/* -- envelope -- */

/* A PostgreSQL that hangs is noticed by the lease that nobody renews. */
static bool can_store(const struct intake *intake)
{
    return intake->directory != NULL &&
           database_is_up(intake->options.database) &&
           lease_is_valid(intake->options.lease);
}

static void on_mail(void *owner, const struct smtp_transaction *transaction,
                    struct smtp_reply *out_reply)
{
    struct intake_client *client = owner;
    const struct directory_account *account = account_of(client);
    if (!can_store(client->intake)) {
        acceptance_refuse_for_now(out_reply);
    } else if (account != NULL) {
        struct quota_subject subject = subject_of(client, account);
        policy_check_sender(client->intake->directory, account,
                            transaction->sender_domain, out_reply);
        quota_look(client->intake->quota, &subject);
    }
}

/* -- recording a refusal -- */

static void on_rejection_stored(void *owner, enum database_result result,
                                const struct error *error)
{
    struct rejection *rejection = owner;
    if (result == DATABASE_FAILED) {
        log_warning(NULL, "an event could not be stored", "reason=\"%s\"",
                    log_quote(text_of(error != NULL ? error->text : "")));
    }
    struct arena *arena = rejection->arena;
    arena_free(&arena);
}

/* recipient: the only one; or NULL. */
static void record_rejection(const struct intake_client *client,
                             const char *sender, const char *recipient,
                             size_t recipient_count, int64_t group_id,
                             const char *kind, const struct smtp_reply *reply)
{
    struct arena *arena = arena_create();
    struct rejection *rejection = arena_alloc(arena, sizeof(*rejection));
    struct buffer text = { 0 };
    smtp_reply_print(reply, &text);
    struct buffer detail = { 0 };
    buffer_append_byte(&detail, '{');
    json_append_member(&detail, "kind", kind);
    json_append_member(&detail, "reply", text.data);
    json_append_member(&detail, "sender", sender);
    json_append_name(&detail, "recipients");
    buffer_printf(&detail, "%zu}", recipient_count);
    rejection->arena = arena;
    rejection->event = (struct new_event){
        .account_id = client->account_id,
        .event_id = id_make(),
        .occurred_at = clock_now(),
        .kind = "rejected",
        .group_id = group_id,
        .quantity = (int32_t)recipient_count,
        .recipient =
            recipient != NULL ? arena_copy_string(arena, recipient) : NULL,
        .detail = arena_copy_text(arena, buffer_text(&detail)),
    };
    buffer_free(&detail);
    log_info(smtp_server_session_log(client->session), "message rejected",
             "sender=\"%s\" recipients=%zu reply=\"%s\"",
             log_quote(text_of(sender)), recipient_count,
             log_quote(buffer_text(&text)));
    buffer_free(&text);
    event_store(client->intake->options.database, &rejection->row,
                &rejection->event, on_rejection_stored, rejection);
}

/* -- recipients -- */

static void refuse_recipient(const struct intake_client *client,
                             const struct smtp_transaction *transaction,
                             const char *address,
                             const struct suppression *suppression,
                             struct smtp_reply *out_reply)
{
    smtp_reply_set(out_reply, 550, "5.7.1", "%s",
                   suppression_describe(suppression, transaction->arena));
    record_rejection(client, transaction->sender, address, 1, 0, "suppression",
                     out_reply);
}

static void on_recipient_checked(void *owner, enum database_result result,
                                 const struct suppression *suppressions,
                                 size_t count)
{
    struct intake_client *client = owner;
    struct smtp_reply reply = { 0 };
    client->recipient_check = NULL;
    if (result != DATABASE_DONE) {
        acceptance_refuse_for_now(&reply);
    } else if (count > 0) {
        refuse_recipient(client, client->asked_transaction,
                         client->asked_address, &suppressions[0], &reply);
    }
    smtp_server_answer_recipient(client->session, &reply);
}

/* Its group is not known yet: only what holds for the whole account counts. */
static void check_suppressed(struct intake_client *client,
                             const struct smtp_transaction *transaction,
                             const struct smtp_recipient *recipient,
                             struct smtp_reply *out_reply)
{
    struct suppression_cache *suppressions =
        client->intake->options.suppressions;
    const struct suppression *found = NULL;
    client->asked_transaction = transaction;
    client->asked_address = recipient->address;
    switch (suppression_cache_look(suppressions, client->account_id,
                                   SUPPRESSION_ANY_GROUP, recipient->address,
                                   &found)) {
    case SUPPRESSION_NONE:
        break;
    case SUPPRESSION_FOUND:
        refuse_recipient(client, transaction, recipient->address, found,
                         out_reply);
        break;
    case SUPPRESSION_UNKNOWN:
        out_reply->code = SMTP_REPLY_LATER;
        client->recipient_check = suppression_check_start(
            suppressions, client->account_id, SUPPRESSION_ANY_GROUP,
            &client->asked_address, 1, on_recipient_checked, client);
        break;
    }
}

static void on_recipient(void *owner,
                         const struct smtp_transaction *transaction,
                         const struct smtp_recipient *recipient,
                         struct smtp_reply *out_reply)
{
    struct intake_client *client = owner;
    const struct directory_account *account = account_of(client);
    policy_check_relaying(account, &client->facts->peer, out_reply);
    if (out_reply->code == 0 &&
        !account->accepts_refused) { /* else mark_recipients records it */
        struct quota_subject subject = subject_of(client, account);
        quota_check(client->intake->quota, &subject,
                    transaction->recipient_count + 1, out_reply);
        if (out_reply->code != 0) {
            refusal_tally_add(client->intake->refusals, client->account_id, 1,
                              out_reply);
        }
    }
    if (out_reply->code == 0 && account->refuses_at_rcpt &&
        !account->accepts_refused) {
        check_suppressed(client, transaction, recipient, out_reply);
    }
}

/* -- refusing a message -- */

/* group_id 0: none, or not known yet. */
static void refuse(struct intake_client *client,
                   const struct smtp_transaction *transaction, int64_t group_id,
                   const char *kind, const struct smtp_reply *reply)
{
    size_t count = transaction->recipient_count;
    metric_add(&relay_metrics[METRIC_REJECTED], 1);
    record_rejection(client, transaction->sender,
                     count == 1 ? transaction->recipients[0].address : NULL,
                     count, group_id, kind, reply);
    smtp_server_finish(client->session, reply);
}

/* -- accepting a message -- */

static const struct directory_domain *author_domain(
    const struct candidate *candidate, const struct directory_account *account)
{
    return policy_author_domain(candidate->client->intake->directory, account,
                                candidate->composed.from_addresses,
                                candidate->composed.from_count);
}

/* The group as the directory knows it; one that was just made is not in it
 * yet and has no settings. */
static void decide_policy(const struct candidate *candidate,
                          const struct directory_account *account,
                          int64_t group_id, struct held_message *message)
{
    const struct directory *directory = candidate->client->intake->directory;
    struct message_policy_input input = {
        .directory = directory,
        .account = account,
        .group =
            directory_group_by_id(directory, account->account_id, group_id),
        .domain = author_domain(candidate, account),
        .control = &candidate->composed.control,
    };
    message_policy_decide(&input, message->arena, message->policy);
    if (message->policy->group_id == 0 && group_id != 0) {
        message->policy->group_id = group_id;
        message->policy->group_name =
            arena_copy_string(message->arena, candidate->group_name);
    }
}

/* Who is not to be told when it fails (T24). */
static void note_automatic(struct text content, struct policy *policy)
{
    struct automatic_signs signs;
    automatic_read(content, &signs);
    policy->is_automatic = signs.is_automatic;
    policy->is_bulk = signs.is_bulk;
}

static struct held_message *make_message(
    const struct candidate *candidate, const struct directory_account *account,
    int64_t group_id, int64_t accepted_at)
{
    const struct intake_client *client = candidate->client;
    const struct smtp_transaction *transaction = candidate->transaction;
    const struct control *control = &candidate->composed.control;
    struct held_message *message = held_message_create();
    struct arena *arena = message->arena;
    decide_policy(candidate, account, group_id, message);
    message->account_id = client->account_id;
    message->message_id = candidate->message_id;
    message->accepted_at = accepted_at;
    message->expires_at =
        (control->send_at > message->accepted_at ? control->send_at
                                                 : message->accepted_at) +
        message->policy->expires_after_milliseconds * CLOCK_MILLISECOND;
    message->sender = arena_copy_string(arena, transaction->sender);
    if (transaction->envelope_id != NULL) {
        message->envelope_id =
            arena_copy_string(arena, transaction->envelope_id);
    }
    message->dsn_return = transaction->dsn_return;
    message->is_smtputf8 = transaction->is_smtputf8;
    message->has_8bit = transaction->has_8bit;
    message->priority = message->policy->priority;
    message->is_sandboxed = control->is_sandboxed;
    message->borrowed_keys = client->intake->options.keys;
    message->policy->bypasses_suppression = control->bypasses_suppression;
    note_automatic(buffer_text(&transaction->data), message->policy);
    message->policy->pass_through |=
        message_policy_passes_through(client->intake->directory, account);
    message->is_loaded = true;
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        const struct smtp_recipient *recipient = &transaction->recipients[i];
        held_message_add_delivery(message, id_make(), recipient->address,
                                  recipient->domain, recipient->notify,
                                  recipient->original_recipient, 0);
    }
    return message;
}

/* Recipients that are not tracked, and those that are taken, but not sent to:
 * suppressed ones beside others, and those that the account may not have, but
 * wants no refusal for. */
static void mark_recipients(const struct admission *admission,
                            const struct quota_taken *taken,
                            struct held_message *message)
{
    bool has_all = taken->over.code == 0 || taken->mode == USAGE_FORCED;
    int32_t count = 0;
    size_t i = 0;
    for (struct list_link *link = message->deliveries.first; link != NULL;
         link = link->next, i++) {
        struct delivery *delivery =
            LIST_ITEM(link, struct delivery, of_message);
        delivery->is_untracked =
            admission->untracked != NULL && admission->untracked[i];
        if (admission->refusals != NULL && admission->refusals[i] != NULL) {
            delivery->refusal =
                arena_copy_string(message->arena, admission->refusals[i]);
            delivery->is_suppressed = true;
            continue;
        }
        if (has_all || count < taken->claim.recipients) {
            count++;
            continue;
        }
        struct buffer text = { 0 };
        smtp_reply_print(&taken->over, &text);
        delivery->refusal = arena_copy_text(message->arena, buffer_text(&text));
        buffer_free(&text);
    }
}

/* Once they are stored there is nothing more to do for them. */
static void drop_refused(struct held_message *message)
{
    struct list_link *next = NULL;
    for (struct list_link *link = message->deliveries.first; link != NULL;
         link = next) {
        next = link->next;
        if (LIST_ITEM(link, struct delivery, of_message)->refusal != NULL) {
            list_remove(link);
        }
    }
}

static const char *describe_suppression(struct arena *arena,
                                        const char *evidence)
{
    struct buffer detail = { 0 };
    buffer_append_byte(&detail, '{');
    json_append_member(&detail, "kind", "suppression");
    json_append_member(&detail, "evidence", evidence);
    buffer_append_byte(&detail, '}');
    char *copy = arena_copy_text(arena, buffer_text(&detail));
    buffer_free(&detail);
    return copy;
}

static const struct new_delivery *delivery_rows(
    const struct held_message *message, const struct directory_account *account)
{
    struct new_delivery *rows =
        arena_alloc(message->arena, message->deliveries.count * sizeof(*rows));
    size_t i = 0;
    for (struct list_link *link = message->deliveries.first; link != NULL;
         link = link->next) {
        const struct delivery *delivery =
            LIST_ITEM(link, struct delivery, of_message);
        rows[i++] = (struct new_delivery){
            .delivery_id = delivery->delivery_id,
            .recipient = delivery->recipient,
            .domain = delivery->domain,
            .notify = delivery->notify,
            .original_recipient = delivery->original_recipient,
            .is_untracked = delivery->is_untracked,
            .refusal = delivery->refusal,
            .refusal_state = delivery->is_suppressed ? "suppressed" : NULL,
            .refusal_detail =
                delivery->is_suppressed
                    ? describe_suppression(message->arena, delivery->refusal)
                    : NULL,
            .refusal_event_id = delivery->refusal != NULL ? id_make() : 0,
            .refusal_notice =
                delivery->refusal != NULL
                    ? notice_of_refusal(message->arena, account, delivery,
                                        delivery->is_suppressed ? "suppressed"
                                                                : "over_limit",
                                        delivery->refusal)
                    : NULL,
        };
    }
    return rows;
}

static const char *const *copy_strings(struct arena *arena,
                                       const char *const *strings, size_t count)
{
    const char **copies = arena_alloc(arena, (count + 1) * sizeof(*copies));
    for (size_t i = 0; i < count; i++) {
        copies[i] = arena_copy_string(arena, strings[i]);
    }
    return copies;
}

/* Everything that is stored, as it was at this moment: the session may change
 * or end before the commit. */
static void fill_row(struct submission *submission,
                     const struct candidate *candidate)
{
    const struct compose_facts *composed = &candidate->composed;
    const struct control *control = &composed->control;
    struct text transcript = candidate->transcript;
    struct text content = { (const char *)candidate->content,
                            sizeof(candidate->content) };
    const struct smtp_client_facts *facts = submission->client->facts;
    const struct held_message *message = submission->message;
    struct arena *arena = message->arena;
    char peer[NETWORK_TEXT_SIZE];
    submission->row_values = (struct new_message){
        .account_id = message->account_id,
        .message_id = message->message_id,
        .accepted_at = message->accepted_at,
        .expires_at = message->expires_at,
        .sender = message->sender,
        .from_address = arena_copy_string(
            arena, composed->from_count > 0 ? composed->from_addresses[0] : ""),
        .subject = arena_copy_string(arena, composed->subject),
        .internet_message_id =
            arena_copy_string(arena, composed->internet_message_id),
        .is_smtputf8 = message->is_smtputf8,
        .has_8bit = message->has_8bit,
        .dsn_return = (int)message->dsn_return,
        .envelope_id = message->envelope_id,
        .priority = message->priority,
        .client_address =
            arena_copy_string(arena, network_address_text(&facts->peer, peer)),
        .client_name = arena_copy_string(arena, facts->helo_name),
        .protocol = arena_copy_string(arena, facts->protocol),
        .tls = acceptance_tls(facts, arena),
        .user_name = facts->auth_user != NULL
                         ? arena_copy_string(arena, facts->auth_user)
                         : NULL,
        .trace = buffer_text(&message->trace),
        .transcript = { arena_copy_text(arena, transcript), transcript.length },
        .data = buffer_text(&message->data),
        .deliveries = delivery_rows(message, account_of(submission->client)),
        .delivery_count = message->deliveries.count,
        .worker_id = submission->is_leased
                         ? lease_worker_id(submission->intake->options.lease)
                         : 0,
        .event_id = id_make(),
        .group_id = message->policy->group_id,
        .policy = policy_to_json(message->policy, arena),
        .tags = copy_strings(arena, control->tags, control->tag_count),
        .tag_count = control->tag_count,
        .metadata = control->metadata != NULL
                        ? arena_copy_string(arena, control->metadata)
                        : "{}",
        .is_sandboxed = message->is_sandboxed,
        .due_at = control->send_at,
        .idempotency_key =
            control->idempotency_key != NULL
                ? arena_copy_string(arena, control->idempotency_key)
                : NULL,
        .content_digest = { arena_copy_text(arena, content), content.length },
    };
}

/* Two of one key in one transaction would undo it for all who are in it. */
static struct text key_name(int64_t account_id, const char *key,
                            struct buffer *out_name)
{
    buffer_printf(out_name, "%" PRId64 " %s", account_id, key);
    return buffer_text(out_name);
}

static void note_key(struct submission *submission, bool is_stored)
{
    const struct new_message *row = &submission->row_values;
    struct map *keys = submission->intake->keys;
    struct buffer name = { 0 };
    if (row->idempotency_key == NULL) {
        return;
    }
    struct text key = key_name(row->account_id, row->idempotency_key, &name);
    if (is_stored) {
        map_remove(keys, key);
    } else {
        map_set(keys, key, submission);
    }
    buffer_free(&name);
}

static bool is_key_in_flight(const struct candidate *candidate)
{
    const struct intake_client *client = candidate->client;
    const char *key = candidate->composed.control.idempotency_key;
    struct buffer name = { 0 };
    bool is_known = key != NULL &&
                    map_get(client->intake->keys,
                            key_name(client->account_id, key, &name)) != NULL;
    buffer_free(&name);
    return is_known;
}

static void refuse_for_now(struct smtp_reply *out_reply)
{
    smtp_reply_set(out_reply, 451, "4.3.0",
                   "Idempotency-Key: another message was stored under this key "
                   "just now: try again to hear its id");
}

static void answer(struct submission *submission, enum database_result result,
                   bool is_key_conflict)
{
    struct intake_client *client = submission->client;
    const struct held_message *message = submission->message;
    struct smtp_reply reply;
    if (client == NULL) {
        return;
    }
    client->submission = NULL;
    if (result == DATABASE_DONE) {
        smtp_reply_set(&reply, 250, "2.0.0", ACCEPTANCE_FORMAT,
                       message->message_id);
    } else if (result == DATABASE_UNAVAILABLE) {
        smtp_reply_set(&reply, 451, "4.3.0",
                       "The message could not be stored in time: try again "
                       "later");
    } else if (is_key_conflict) {
        refuse_for_now(&reply);
    } else {
        smtp_reply_set(&reply, 554, "5.3.0",
                       "The message cannot be stored; its data were refused");
    }
    smtp_server_finish(client->session, &reply);
}

static void on_stored(void *owner, enum database_result result,
                      const struct error *error)
{
    struct submission *submission = owner;
    struct intake *intake = submission->intake;
    struct held_message *message = submission->message;
    /* baton.require_keys: another worker had it first. */
    bool is_key_conflict = result == DATABASE_FAILED && error != NULL &&
                           strstr(error->text, "idempotency key") != NULL;
    list_remove(&submission->link);
    note_key(submission, true);
    if (result == DATABASE_DONE) {
        quota_stored(intake->quota, message->account_id,
                     &submission->row_values.usage);
        drop_refused(message);
        metric_add(&relay_metrics[METRIC_ACCEPTED], 1);
        metric_add(&relay_metrics[METRIC_ACCEPTED_BYTES], message->size_bytes);
        scheduler_note_fresh(intake->options.scheduler,
                             clock_monotonic() - submission->given_monotonic);
    } else {
        quota_give_back(intake->quota, message->account_id,
                        &submission->row_values.usage);
    }
    if (result == DATABASE_FAILED && !is_key_conflict) {
        log_error(NULL, "a message could not be stored",
                  "message=%" PRId64 " reason=\"%s\"", message->message_id,
                  log_quote(text_of(error != NULL ? error->text : "")));
    }
    answer(submission, result, is_key_conflict);
    if (result == DATABASE_DONE && submission->is_leased &&
        message->deliveries.count > 0) {
        scheduler_add(intake->options.scheduler, message);
    } else {
        held_message_free(&message);
    }
    memory_free(submission);
}

/* What is to be sent later waits in the queue, not in a worker's hand. */
static bool can_lease(const struct candidate *candidate)
{
    const struct intake_client *client = candidate->client;
    const struct smtp_transaction *transaction = candidate->transaction;
    return candidate->composed.control.send_at == 0 &&
           scheduler_has_room(client->intake->options.scheduler,
                              client->account_id, transaction->recipient_count,
                              transaction->data.length);
}

/* What it is counted as, and by which limit it is recorded. */
static void fill_usage(struct submission *submission,
                       const struct quota_taken *taken)
{
    struct new_message *row = &submission->row_values;
    struct arena *arena = submission->message->arena;
    struct buffer detail = { 0 };
    row->usage = taken->claim;
    if (taken->claim.recipients > 0) {
        row->usage.user_name = arena_copy_string(arena, taken->claim.user_name);
    }
    if (taken->over.code == 0 || taken->mode != USAGE_FORCED) {
        return;
    }
    buffer_append_byte(&detail, '{');
    json_append_member(&detail, "over_limit", taken->over.text);
    buffer_append_byte(&detail, '}');
    row->accepted_detail = arena_copy_text(arena, buffer_text(&detail));
    buffer_free(&detail);
    metric_add(&relay_metrics[METRIC_OVER_LIMIT], 1);
    log_info(smtp_server_session_log(submission->client->session),
             "message over a limit", "message=%" PRId64 " reason=\"%s\"",
             row->message_id, log_quote(text_of(taken->over.text)));
}

static void store(struct candidate *candidate,
                  const struct directory_account *account,
                  const struct quota_taken *taken)
{
    const struct admission *admission = &candidate->admission;
    struct intake_client *client = candidate->client;
    struct intake *intake = client->intake;
    struct smtp_transaction *transaction = candidate->transaction;
    struct submission *submission = memory_alloc(sizeof(*submission));
    struct held_message *message = make_message(
        candidate, account, admission->group_id,
        taken->claim.recipients > 0 ? taken->claim.counted_at : clock_now());
    mark_recipients(admission, taken, message);
    submission->intake = intake;
    submission->client = client;
    submission->message = message;
    submission->is_leased = can_lease(candidate);
    acceptance_write_received(client->facts, message->message_id,
                              message->accepted_at, &message->trace);
    buffer_append_string(&message->trace, candidate->composed.added_fields);
    message->data = transaction->data; /* taken: nothing is copied */
    transaction->data = (struct buffer){ 0 };
    budget_move(&transaction->share, &message->share);
    message->size_bytes = (int64_t)message->data.length;
    fill_row(submission, candidate);
    fill_usage(submission, taken);
    submission->given_monotonic = clock_monotonic();
    client->submission = submission;
    list_append(&intake->submissions, &submission->link);
    note_key(submission, false);
    message_store(intake->options.database, &submission->row,
                  &submission->row_values, on_stored, submission);
    if (submission->is_leased) {
        early_copy_start(message, intake->options.signing);
    }
}

/* -- before it is stored -- */

static void answer_repetition(struct candidate *candidate,
                              const struct admission *admission)
{
    struct intake_client *client = candidate->client;
    struct text content = { (const char *)candidate->content,
                            sizeof(candidate->content) };
    struct smtp_reply reply;
    if (text_equal(admission->earlier_content, content)) {
        smtp_reply_set(&reply, 250, "2.0.0", ACCEPTANCE_FORMAT,
                       admission->earlier_message_id);
        smtp_server_finish(client->session, &reply);
        return;
    }
    smtp_reply_set(&reply, 550, "5.7.0",
                   "Idempotency-Key: another message was accepted under this "
                   "key within 24 hours, as %" PRId64,
                   admission->earlier_message_id);
    refuse(client, candidate->transaction, admission->group_id, "policy",
           &reply);
}

/* The first of those that are suppressed, with the evidence. */
static void refuse_suppressed(struct candidate *candidate,
                              const struct admission *admission)
{
    struct smtp_reply reply;
    smtp_reply_set(&reply, 550, "5.7.1", "%s", admission->refusals[0]);
    refuse(candidate->client, candidate->transaction, admission->group_id,
           "suppression", &reply);
}

/* -- limits -- */

static void refuse_over_limit(struct candidate *candidate,
                              const struct smtp_reply *reply)
{
    struct intake_client *client = candidate->client;
    struct buffer text = { 0 };
    smtp_reply_print(reply, &text);
    log_info(smtp_server_session_log(client->session), "message over a limit",
             "recipients=%zu reply=\"%s\"",
             candidate->transaction->recipient_count,
             log_quote(buffer_text(&text)));
    buffer_free(&text);
    refusal_tally_add(client->intake->refusals, client->account_id,
                      candidate->transaction->recipient_count, reply);
    smtp_server_finish(client->session, reply);
}

/* What may have happened while the limits were asked for. */
static void check_again(const struct candidate *candidate,
                        const struct directory_account *account,
                        const struct quota_taken *taken,
                        struct smtp_reply *out_reply)
{
    policy_check_relaying(account, &candidate->client->facts->peer, out_reply);
    if (out_reply->code == 0 && taken->result != DATABASE_DONE) {
        acceptance_refuse_for_now(out_reply);
    } else if (out_reply->code == 0 && is_key_in_flight(candidate)) {
        refuse_for_now(out_reply);
    }
}

static void on_quota(void *owner, const struct quota_taken *taken)
{
    struct candidate *candidate = owner;
    struct intake_client *client = candidate->client;
    const struct directory_account *account = account_of(client);
    struct smtp_reply reply = { 0 };
    client->candidate = NULL;
    candidate->quota_take = NULL;
    check_again(candidate, account, taken, &reply);
    if (reply.code != 0) {
        quota_give_back(client->intake->quota, client->account_id,
                        &taken->claim);
        smtp_server_finish(client->session, &reply);
    } else if (taken->over.code != 0 && taken->mode == USAGE_WHOLE) {
        refuse_over_limit(candidate, &taken->over);
    } else {
        store(candidate, account, taken);
    }
}

static void ask_quota(struct candidate *candidate,
                      const struct directory_account *account)
{
    struct intake_client *client = candidate->client;
    struct quota *quota = client->intake->quota;
    struct quota_subject subject = subject_of(client, account);
    struct arena *arena = candidate->transaction->arena;
    size_t count = candidate->transaction->recipient_count -
                   candidate->admission.refusal_count;
    struct quota_taken taken = { .result = DATABASE_DONE };
    if (quota_take_at_once(quota, &subject, count, arena, &taken.claim)) {
        store(candidate, account, &taken);
        return;
    }
    client->candidate = candidate;
    candidate->quota_take =
        quota_take(quota, &subject, count, arena, on_quota, candidate);
}

static void on_admission(void *owner, const struct admission *admission)
{
    struct candidate *candidate = owner;
    struct intake_client *client = candidate->client;
    const struct directory_account *account = account_of(client);
    struct smtp_reply reply = { 0 };
    client->candidate = NULL;
    candidate->admission_check = NULL;
    policy_check_relaying(account, &client->facts->peer, &reply);
    if (reply.code == 0 && admission->result != DATABASE_DONE) {
        acceptance_refuse_for_now(&reply);
    }
    if (reply.code != 0) { /* the account went while we asked */
        smtp_server_finish(client->session, &reply);
    } else if (admission->earlier_message_id != 0) {
        answer_repetition(candidate, admission);
    } else if (is_key_in_flight(candidate)) {
        refuse_for_now(&reply);
        smtp_server_finish(client->session, &reply);
    } else if (admission->refusals != NULL &&
               admission->refusal_count ==
                   candidate->transaction->recipient_count &&
               !account->accepts_refused) {
        refuse_suppressed(candidate, admission);
    } else {
        candidate->admission = *admission;
        ask_quota(candidate, account);
    }
}

/* The control field's group, else the Subject's, else the credential's. */
static const char *choose_group(const struct candidate *candidate)
{
    const struct intake_client *client = candidate->client;
    const struct compose_facts *composed = &candidate->composed;
    if (composed->control.group != NULL) {
        return composed->control.group;
    }
    if (composed->subject_group != NULL) {
        return composed->subject_group;
    }
    const struct directory_credential *credential = credential_of(client);
    return credential != NULL && credential->group_name[0] != '\0'
               ? credential->group_name
               : NULL;
}

static const char *const *recipients_of(
    const struct smtp_transaction *transaction)
{
    const char **addresses = arena_alloc(
        transaction->arena, transaction->recipient_count * sizeof(*addresses));
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        addresses[i] = transaction->recipients[i].address;
    }
    return addresses;
}

/* The memory that has to be asked; NULL: it knows already that nobody is
 * suppressed. A group that is made now has no suppressions of its own. */
static struct suppression_cache *asked_suppressions(
    const struct candidate *candidate, int64_t group_id)
{
    const struct intake_client *client = candidate->client;
    const struct smtp_transaction *transaction = candidate->transaction;
    struct suppression_cache *suppressions =
        client->intake->options.suppressions;
    const struct suppression *found = NULL;
    if (candidate->composed.control.bypasses_suppression) {
        return NULL;
    }
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        if (suppression_cache_look(suppressions, client->account_id, group_id,
                                   transaction->recipients[i].address,
                                   &found) != SUPPRESSION_NONE) {
            return suppressions;
        }
    }
    return NULL;
}

static void ask_admission(struct candidate *candidate,
                          const struct directory_account *account)
{
    struct intake_client *client = candidate->client;
    const struct intake *intake = client->intake;
    const struct smtp_transaction *transaction = candidate->transaction;
    const struct control *control = &candidate->composed.control;
    candidate->group_name = choose_group(candidate);
    const struct directory_group *group =
        candidate->group_name == NULL
            ? NULL
            : directory_group(intake->directory, account->account_id,
                              candidate->group_name);
    struct admission_request request = {
        .database = intake->options.database,
        .account_id = account->account_id,
        .group_id = group != NULL ? group->group_id : 0,
        .new_group = group == NULL ? candidate->group_name : NULL,
        .suppressions =
            asked_suppressions(candidate, group != NULL ? group->group_id : 0),
        .checks_objections = account->has_untracked,
        .recipients = recipients_of(transaction),
        .recipient_count = transaction->recipient_count,
        .idempotency_key = control->idempotency_key,
        .arena = transaction->arena,
    };
    client->candidate = candidate;
    if (control->idempotency_key != NULL) {
        content_digest(transaction->sender, request.recipients,
                       transaction->recipient_count,
                       buffer_text(&transaction->data), candidate->content);
    }
    if (admission_is_free(&request)) {
        struct admission admission = { .result = DATABASE_DONE,
                                       .group_id = request.group_id };
        on_admission(candidate, &admission);
        return;
    }
    candidate->admission_check =
        admission_start(&request, on_admission, candidate);
}

static void on_sender_domain(void *owner, bool accepts_mail)
{
    struct candidate *candidate = owner;
    struct intake_client *client = candidate->client;
    const struct directory_account *account = account_of(client);
    struct smtp_reply reply = { 0 };
    client->candidate = NULL;
    candidate->check = NULL;
    if (!accepts_mail) {
        smtp_reply_set(&reply, 550, "5.7.27",
                       "The sender's domain accepts no mail (null MX): nobody "
                       "could answer");
        refuse(client, candidate->transaction, 0, "policy", &reply);
        return;
    }
    policy_check_relaying(account, &client->facts->peer, &reply);
    if (reply.code != 0) { /* the account went while we asked */
        smtp_server_finish(client->session, &reply);
        return;
    }
    ask_admission(candidate, account);
}

/* The domain of the first From address: whose null MX would matter. */
static void check_sender_domain(struct candidate *candidate)
{
    struct intake_client *client = candidate->client;
    struct sender_domains *domains = client->intake->sender_domains;
    struct address from;
    struct error error;
    char domain[DOMAIN_TEXT_MAX + 1] = "";
    bool accepts_mail = true;
    client->candidate = candidate;
    if (candidate->composed.from_count == 0 ||
        !address_parse(text_of(candidate->composed.from_addresses[0]), true,
                       &from, &error) ||
        !domain_normalize(from.domain, domain, &error) ||
        sender_domains_known(domains, domain, &accepts_mail)) {
        on_sender_domain(candidate, accepts_mail);
        return;
    }
    candidate->check =
        sender_domain_check_start(domains, domain, on_sender_domain, candidate);
}

/* Is the message lawful and ours to send? False: it has been answered. */
static bool inspect(struct intake_client *client,
                    const struct directory_account *account,
                    struct candidate *candidate)
{
    struct smtp_transaction *transaction = candidate->transaction;
    struct smtp_reply reply = { 0 };
    struct compose_refusal refusal = { 0 };
    struct compose_input input = {
        .message = buffer_text(&transaction->data),
        .is_smtputf8 = transaction->is_smtputf8,
        .received_at = transaction->received_at,
        .message_id = candidate->message_id,
        .hostname = relay_settings_now()->hostname,
    };
    if (!compose_inspect(&input, transaction->arena, &candidate->composed,
                         &refusal)) {
        smtp_reply_set(&reply, refusal.code, refusal.enhanced, "%s",
                       refusal.reason.text);
        refuse(client, transaction, 0, "parse", &reply);
        return false;
    }
    policy_check_header_addresses(client->intake->directory, account,
                                  candidate->composed.from_addresses,
                                  candidate->composed.from_count, &reply);
    if (reply.code == 0) {
        policy_check_verified(account, author_domain(candidate, account),
                              &reply);
    }
    if (reply.code != 0) {
        refuse(client, transaction, 0, "policy", &reply);
        return false;
    }
    return true;
}

static void on_message(void *owner, struct smtp_transaction *transaction,
                       const struct transcript *transcript)
{
    struct intake_client *client = owner;
    const struct directory_account *account = account_of(client);
    struct smtp_reply reply = { 0 };
    policy_check_relaying(account, &client->facts->peer, &reply);
    if (reply.code == 0 && !can_store(client->intake)) {
        acceptance_refuse_for_now(&reply);
    }
    if (reply.code != 0) {
        smtp_server_finish(client->session, &reply);
        return;
    }
    struct candidate *candidate =
        arena_alloc(transaction->arena, sizeof(*candidate));
    candidate->client = client;
    candidate->transaction = transaction;
    candidate->message_id = id_make();
    candidate->transcript = acceptance_transcript(
        transaction->arena, transcript, candidate->message_id);
    if (inspect(client, account, candidate)) {
        check_sender_domain(candidate);
    }
}

const struct smtp_server_handler intake_smtp_handler = {
    .on_session = on_session,
    .on_session_end = on_session_end,
    .on_authenticate = on_authenticate,
    .on_mail = on_mail,
    .on_recipient = on_recipient,
    .on_message = on_message,
};

struct intake *intake_create(const struct intake_options *options)
{
    struct intake *intake = memory_alloc(sizeof(*intake));
    intake->options = *options;
    intake->authenticator =
        authenticator_create(options->loop, options->helper);
    intake->sender_domains =
        sender_domains_create(options->loop, options->resolver);
    intake->quota =
        quota_create(options->loop, options->database, options->lease);
    intake->refusals = refusal_tally_create(options->loop, options->database);
    intake->keys = map_create();
    return intake;
}

void intake_free(struct intake **intake)
{
    if (*intake != NULL) {
        struct list_link *link;
        while ((link = list_take_first(&(*intake)->submissions)) != NULL) {
            struct submission *submission =
                LIST_ITEM(link, struct submission, link);
            held_message_free(&submission->message);
            memory_free(submission);
        }
        authenticator_free(&(*intake)->authenticator);
        sender_domains_free(&(*intake)->sender_domains);
        quota_free(&(*intake)->quota);
        refusal_tally_free(&(*intake)->refusals);
        map_free(&(*intake)->keys);
        memory_free(*intake);
        *intake = NULL;
    }
}

void intake_set_directory(struct intake *intake,
                          const struct directory *directory)
{
    intake->directory = directory;
    quota_tidy(intake->quota);
}
