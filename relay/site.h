/* SPDX-License-Identifier: MIT */
/*
 * A site: all domains that share a set of mail exchangers (or a route), with
 * one pool of connections, one set of limits and one back-off. Deliveries wait
 * here in one queue an account, served in turn, so that nobody waits behind
 * somebody else; high priority goes first.
 */
#ifndef BATON_RELAY_SITE_H
#define BATON_RELAY_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/list.h"
#include "core/loop.h"
#include "relay/attempt.h"
#include "relay/held_message.h"
#include "relay/signing.h"
#include "smtp/client.h"

enum site_kind {
    SITE_SMTP,
    SITE_SANDBOX, /* kept in the local mailbox */
    SITE_DISCARD, /* taken and forgotten */
};

struct site_options {
    enum site_kind kind;
    const char *key; /* copied, as are user and password */
    enum smtp_client_tls tls;
    const char *user; /* or NULL */
    const char *password;
    const char *hostname; /* said in EHLO; borrowed */
    struct signing *signing; /* borrowed */
    const struct tls_context *tls_any;
    const struct tls_context *tls_verified;
    size_t connections_max; /* this worker's part */
    double messages_per_second; /* this worker's part; 0: no limit */
};

/* What a site asks of the scheduler. */
struct site_handler {
    /* A try of a delivery has ended; the delivery is in no queue and it is the
     * callee's to put it somewhere. */
    void (*on_attempt)(void *owner, struct delivery *delivery,
                       const struct attempt_facts *facts,
                       const struct smtp_outcome *outcome);
    /* Is this delivery, which was just taken out of its queue, to be sent? If
     * not, it is the callee's to put it somewhere. */
    bool (*is_wanted)(void *owner, struct delivery *delivery);
    /* Is it still, after it waited, ready to be sent? If that is not sure it
     * goes back to its queue, and is asked about as above. */
    bool (*is_still_wanted)(void *owner, const struct delivery *delivery);
    /* May work be sent now (the lease holds, we are not draining)? */
    bool (*may_send)(void *owner);
    /* May what is on the wire get its final dot (the lease holds)? */
    bool (*may_finish)(void *owner);
    /* May one more connection be made? is_first: the site has none. */
    bool (*may_connect)(void *owner, bool is_first);
    /* May one more transaction of this account begin? If not, site_wake when
     * it may. Then: it begins, it has ended. */
    bool (*may_begin)(void *owner, int64_t account_id);
    void (*on_begin)(void *owner, int64_t account_id);
    void (*on_end)(void *owner, int64_t account_id);
    void (*on_connection_closed)(void *owner);
};

struct site *site_create(struct loop *loop, const struct site_options *options,
                         const struct site_handler *handler, void *owner);
/* Close its connections; its queues must be empty or given up by the caller. */
void site_free(struct site **site);
void site_set_hosts(struct site *site, const struct smtp_host *hosts,
                    size_t host_count);

/* This worker's part has changed; what is too many closes after its message. */
void site_set_limits(struct site *site, size_t connections_max,
                     double messages_per_second);

/* Queue a delivery; in front, if it goes on at another host. */
void site_add(struct site *site, struct delivery *delivery, bool in_front);
/* What has its signature, or is being signed, and has no connection yet waits
 * again like the others. */
void site_recall(struct site *site);
/* Take a waiting delivery out of its queue. */
void site_remove(struct delivery *delivery);
/* There may be something to do: connections, capacity or the lease are back. */
void site_wake(struct site *site);
/* An operator wants a try now: forget back-off and penalties. */
void site_forgive(struct site *site);
/* Take the next waiting delivery of any account out (to give it back). */
struct delivery *site_take_waiting(struct site *site);

const char *site_key(const struct site *site);
size_t site_waiting_count(const struct site *site);
size_t site_busy_count(const struct site *site);
/* Memory of the messages that wait or are on the wire. */
size_t site_held_bytes(const struct site *site);
size_t site_connection_count(const struct site *site);
/* Why its deliveries wait, for people; "" if none wait. */
const char *site_why(const struct site *site);
/* Nothing waits, nothing is open: it may be freed. */
bool site_is_idle(const struct site *site);

#endif
