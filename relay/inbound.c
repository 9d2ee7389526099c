/* SPDX-License-Identifier: MIT */
/*
 *   RCPT ─> find_target ──> 250, 452, 550
 *   data ─> loop? ─┬─> returned_mail_read ─> DKIM ─> inbound_return ────┐
 *                  │   (helper thread)       (of complaints)            │
 *                  └─> inbound_forward ────────────────> the answer <───┘
 */
#include "relay/inbound.h"

#include <string.h>

#include "core/budget.h"
#include "core/clock.h"
#include "core/dns_inquiry.h"
#include "core/log.h"
#include "core/memory.h"
#include "dkim/verifier.h"
#include "relay/acceptance.h"
#include "relay/inbound_forward.h"
#include "relay/inbound_return.h"
#include "relay/relay_metrics.h"
#include "relay/relay_settings.h"
#include "tracking/compose.h"
#include "tracking/return_path.h"
#include "tracking/returned_mail.h"

/* A larger report is not verified. */
#define VERIFIED_BYTES_MAX ((size_t)1024 * 1024)

struct inbound {
    struct inbound_options options;
    const struct directory *directory;
    struct inbound_returns *returns;
    struct inbound_forwards *forwards;
};

/* One session, as we see it. */
struct inbound_client {
    struct inbound *inbound;
    struct smtp_server_session *session;
    const struct smtp_client_facts *facts;
    /* The message at hand is one of these: */
    struct helper_job *reading;
    struct reading *verifying;
    struct inbound_return *coming_back;
    struct inbound_forward *forward;
};

/* A message that is being read by the helper's thread, and whose signatures are
 * verified if it is a complaint. */
struct reading {
    struct arena *arena;
    struct buffer data;
    struct budget_share share;
    struct returned_input input;
    struct returned_mail mail;
    struct dkim_verification *verification; /* or NULL */
    struct dns_inquiry *inquiry; /* for its keys */
    struct inbound_client *client; /* whose, while that goes on */
};

enum target_kind {
    TARGET_NONE, /* of a host that is not ours */
    TARGET_UNKNOWN, /* of one that is */
    TARGET_RETURN_PATH,
    TARGET_FEEDBACK,
    TARGET_ROUTE,
    TARGET_POSTMASTER,
};

/* What a recipient is to us. */
struct target {
    enum target_kind kind;
    struct return_path path;
    const struct directory_inbound_route *route;
};

/* -- sessions -- */

static void *on_session(void *owner, struct smtp_server_session *session,
                        const struct smtp_client_facts *facts,
                        struct smtp_reply *out_refusal)
{
    struct inbound_client *client = memory_alloc(sizeof(*client));
    (void)out_refusal; /* everybody may connect; RCPT is where we refuse */
    client->inbound = owner;
    client->session = session;
    client->facts = facts;
    return client;
}

static void free_reading(struct reading *reading)
{
    struct arena *arena = reading->arena;
    dns_inquiry_free(&reading->inquiry);
    dkim_verification_free(&reading->verification);
    budget_give_back(&reading->share);
    buffer_free(&reading->data);
    arena_free(&arena);
}

/* A report that is not answered is written down all the same: it is once. */
static void on_session_end(void *owner)
{
    struct inbound_client *client = owner;
    helper_cancel(&client->reading);
    if (client->verifying != NULL) {
        free_reading(client->verifying);
    }
    inbound_return_abandon(&client->coming_back);
    inbound_forward_withdraw(&client->forward);
    memory_free(client);
}

/* The listener offers no AUTH, so that this is never asked. */
static void on_authenticate(void *owner, const char *user, const char *password)
{
    const struct inbound_client *client = owner;
    (void)user;
    (void)password;
    smtp_server_authenticated(client->session, AUTH_REFUSED);
}

/* -- envelope -- */

static bool can_store(const struct inbound *inbound)
{
    return inbound->directory != NULL &&
           database_is_up(inbound->options.database) &&
           lease_is_valid(inbound->options.lease);
}

static void on_mail(void *owner, const struct smtp_transaction *transaction,
                    struct smtp_reply *out_reply)
{
    const struct inbound_client *client = owner;
    (void)transaction;
    if (!can_store(client->inbound)) {
        acceptance_refuse_for_now(out_reply);
    }
}

/* Whether tokens are ours under this (normalised) domain. */
static bool is_our_host(const struct directory *directory, const char *domain)
{
    const char *host = relay_settings_return_host();
    return (host[0] != '\0' && strcmp(domain, host) == 0) ||
           (directory != NULL && directory_is_return_host(directory, domain));
}

static bool is_postmaster(const char *local)
{
    struct text name = text_of(local);
    return relay_settings_now()->postmaster[0] != '\0' &&
           (text_is_ignoring_case(name, "postmaster") ||
            text_is_ignoring_case(name, "abuse"));
}

static struct target find_target(const struct inbound *inbound,
                                 const struct smtp_recipient *recipient)
{
    struct text local = text_of(recipient->local);
    struct target target = { .kind = TARGET_NONE };
    bool is_ours = is_our_host(inbound->directory, recipient->domain);
    bool is_hostname = text_is_ignoring_case(text_of(recipient->domain),
                                             relay_settings_now()->hostname);
    if (is_ours &&
        return_path_read(inbound->options.keys, local, &target.path)) {
        target.kind = TARGET_RETURN_PATH;
    } else if (is_ours && text_is_ignoring_case(local, "feedback")) {
        target.kind = TARGET_FEEDBACK;
    } else if ((is_ours || is_hostname) && is_postmaster(recipient->local)) {
        target.kind = TARGET_POSTMASTER;
    } else {
        target.route = directory_inbound_route(
            inbound->directory, recipient->local, recipient->domain);
        target.kind = target.route != NULL     ? TARGET_ROUTE
                      : is_ours || is_hostname ? TARGET_UNKNOWN
                                               : TARGET_NONE;
    }
    return target;
}

/* One message to several of ours would have several ends: only recipients of
 * one account's routes share one. */
static bool goes_with(const struct target *first, const struct target *next)
{
    return first->kind == TARGET_ROUTE && next->kind == TARGET_ROUTE &&
           first->route->account_id == next->route->account_id;
}

static void on_recipient(void *owner,
                         const struct smtp_transaction *transaction,
                         const struct smtp_recipient *recipient,
                         struct smtp_reply *out_reply)
{
    const struct inbound_client *client = owner;
    const struct inbound *inbound = client->inbound;
    if (!can_store(inbound)) {
        acceptance_refuse_for_now(out_reply);
        return;
    }
    struct target target = find_target(inbound, recipient);
    if (target.kind == TARGET_NONE) {
        smtp_reply_set(out_reply, 550, "5.7.1",
                       "Relaying denied: this address is not served here");
    } else if (target.kind == TARGET_UNKNOWN) {
        smtp_reply_set(out_reply, 550, "5.1.1", "There is no such address");
    } else if (transaction->recipient_count > 0) {
        struct target first = find_target(inbound, &transaction->recipients[0]);
        if (!goes_with(&first, &target)) {
            smtp_reply_set(out_reply, 452, "4.5.3",
                           "This recipient needs a message of its own: send it "
                           "again for it");
        }
    }
}

/* -- the message -- */

static void on_return_answer(void *owner, const struct smtp_reply *reply)
{
    struct inbound_client *client = owner;
    client->coming_back = NULL;
    smtp_server_finish(client->session, reply);
}

static void on_forward_answer(void *owner, const struct smtp_reply *reply)
{
    struct inbound_client *client = owner;
    client->forward = NULL;
    smtp_server_finish(client->session, reply);
}

/* Nothing follows from it. */
static void ignore(struct inbound_client *client,
                   const struct returned_mail *mail)
{
    struct smtp_reply reply;
    metric_add(&relay_metrics[METRIC_RETURNED_IGNORED], 1);
    log_info(smtp_server_session_log(client->session), "mail came back",
             "meaning=%s result=ignored", returned_meaning_name(mail->meaning));
    smtp_reply_set(&reply, 250, "2.0.0", "Ok: nothing follows from it");
    smtp_server_finish(client->session, &reply);
}

static void refuse_foreign(struct inbound_client *client)
{
    struct smtp_reply reply;
    smtp_reply_set(&reply, 550, "5.7.1",
                   "This address takes reports about mail only; nobody reads "
                   "it");
    smtp_server_finish(client->session, &reply);
}

static void follow(struct inbound_client *client, struct returned_mail *mail)
{
    const struct inbound *inbound = client->inbound;
    char peer[NETWORK_TEXT_SIZE];
    returned_mail_find_path(mail, inbound->options.keys);
    if (mail->meaning == RETURNED_FOREIGN) {
        refuse_foreign(client);
    } else if (mail->meaning == RETURNED_NOTHING || !mail->has_path) {
        ignore(client, mail);
    } else {
        client->coming_back = inbound_return_start(
            inbound->returns, mail,
            network_address_text(&client->facts->peer, peer), on_return_answer,
            client);
    }
}

static void read_mail(void *argument)
{
    struct reading *reading = argument;
    returned_mail_read(&reading->input, reading->arena, &reading->mail);
    if (reading->mail.feedback_type[0] != '\0' &&
        reading->input.message.length <= VERIFIED_BYTES_MAX) {
        reading->verification =
            dkim_verification_open(reading->input.message, clock_now());
    }
}

/* What the report's own signatures say: the first that is right, else the first
 * of all. */
static const char *summarise(const struct reading *reading)
{
    const struct dkim_verification *verification = reading->verification;
    const struct dkim_verdict *told = NULL;
    for (size_t i = 0; i < dkim_verification_count(verification); i++) {
        const struct dkim_verdict *verdict =
            dkim_verification_verdict(verification, i);
        if (told == NULL ||
            (told->result != DKIM_PASS && verdict->result == DKIM_PASS)) {
            told = verdict;
        }
    }
    return told == NULL
               ? "none"
               : arena_printf(reading->arena, "%s d=%s",
                              dkim_result_text(told->result), told->domain);
}

static bool verify(void *owner, struct dns_inquiry *inquiry)
{
    struct reading *reading = owner;
    struct inbound_client *client = reading->client;
    if (!dkim_verification_run(reading->verification, inquiry)) {
        return false;
    }
    reading->mail.dkim = summarise(reading);
    client->verifying = NULL;
    follow(client, &reading->mail);
    free_reading(reading);
    return true;
}

static void on_read(void *owner, void *argument)
{
    struct inbound_client *client = owner;
    struct reading *reading = argument;
    client->reading = NULL;
    if (reading->verification == NULL) {
        follow(client, &reading->mail);
        return;
    }
    reading->client = client;
    client->verifying = reading;
    reading->inquiry =
        dns_inquiry_start(client->inbound->options.loop,
                          client->inbound->options.resolver, verify, reading);
}

/* The thread is through with it. */
static void let_go(void *argument)
{
    struct reading *reading = argument;
    if (reading->client == NULL) { /* else it is being verified */
        free_reading(reading);
    }
}

static void take_back(struct inbound_client *client,
                      struct smtp_transaction *transaction,
                      const struct target *target)
{
    struct arena *arena = arena_create();
    struct reading *reading = arena_alloc(arena, sizeof(*reading));
    reading->arena = arena;
    reading->data = transaction->data; /* taken: the client may leave */
    transaction->data = (struct buffer){ 0 };
    budget_move(&transaction->share, &reading->share);
    reading->input = (struct returned_input){
        .message = buffer_text(&reading->data),
        .has_path = target->kind == TARGET_RETURN_PATH,
        .path = target->path,
        .is_null_sender = transaction->sender[0] == '\0',
    };
    client->reading = helper_submit(client->inbound->options.helper, read_mail,
                                    reading, let_go, on_read, client);
    if (client->reading == NULL) {
        struct smtp_reply reply;
        free_reading(reading);
        smtp_reply_set(&reply, 451, "4.3.2",
                       "Too much comes back at once: try again later");
        smtp_server_finish(client->session, &reply);
    }
}

static void hand_on(struct inbound_client *client,
                    struct smtp_transaction *transaction,
                    const struct transcript *transcript,
                    const struct target *target)
{
    bool is_route = target->kind == TARGET_ROUTE;
    struct inbound_forward_request request = {
        .transaction = transaction,
        .transcript = transcript,
        .facts = client->facts,
        .account_id = is_route ? target->route->account_id : 0,
        .recipient = is_route ? NULL : relay_settings_now()->postmaster,
    };
    client->forward = inbound_forward_start(client->inbound->forwards, &request,
                                            on_forward_answer, client);
}

/* Since RCPT the route may have gone. False: it has been answered. */
static bool check_message(struct inbound_client *client,
                          const struct smtp_transaction *transaction,
                          const struct target *target)
{
    struct text message = buffer_text(&transaction->data);
    struct compose_refusal refusal = { 0 };
    struct smtp_reply reply = { 0 };
    bool is_handed_on =
        target->kind == TARGET_ROUTE || target->kind == TARGET_POSTMASTER;
    if (target->kind == TARGET_NONE || target->kind == TARGET_UNKNOWN) {
        smtp_reply_set(&reply, 451, "4.3.0",
                       "The address was just removed: try again");
    } else if (!can_store(client->inbound)) {
        acceptance_refuse_for_now(&reply);
    } else if (!compose_check_loop(message, &refusal) ||
               (is_handed_on && !compose_check_header(message, &refusal))) {
        smtp_reply_set(&reply, refusal.code, refusal.enhanced, "%s",
                       refusal.reason.text);
    }
    if (reply.code != 0) {
        smtp_server_finish(client->session, &reply);
    }
    return reply.code == 0;
}

static void on_message(void *owner, struct smtp_transaction *transaction,
                       const struct transcript *transcript)
{
    struct inbound_client *client = owner;
    struct target target =
        client->inbound->directory == NULL
            ? (struct target){ .kind = TARGET_NONE }
            : find_target(client->inbound, &transaction->recipients[0]);
    if (!check_message(client, transaction, &target)) {
        return;
    }
    if (target.kind == TARGET_ROUTE || target.kind == TARGET_POSTMASTER) {
        hand_on(client, transaction, transcript, &target);
    } else {
        take_back(client, transaction, &target);
    }
}

const struct smtp_server_handler inbound_smtp_handler = {
    .on_session = on_session,
    .on_session_end = on_session_end,
    .on_authenticate = on_authenticate,
    .on_mail = on_mail,
    .on_recipient = on_recipient,
    .on_message = on_message,
};

struct inbound *inbound_create(const struct inbound_options *options)
{
    struct inbound *inbound = memory_alloc(sizeof(*inbound));
    inbound->options = *options;
    inbound->returns = inbound_returns_create(options->database);
    inbound->forwards = inbound_forwards_create(options->database);
    return inbound;
}

void inbound_stop(struct inbound *inbound)
{
    inbound_returns_stop(inbound->returns);
}

void inbound_free(struct inbound **inbound)
{
    if (*inbound != NULL) {
        inbound_returns_free(&(*inbound)->returns);
        inbound_forwards_free(&(*inbound)->forwards);
        memory_free(*inbound);
        *inbound = NULL;
    }
}

void inbound_set_directory(struct inbound *inbound,
                           const struct directory *directory)
{
    inbound->directory = directory;
    inbound_returns_set_directory(inbound->returns, directory);
}
