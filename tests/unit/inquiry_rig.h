/* SPDX-License-Identifier: MIT */
/*
 * A zone, a name server for it, a resolver and one inquiry, for tests of what
 * asks DNS. A function of core/dns_inquiry.h is run until it is done.
 *
 *   struct inquiry_rig rig;
 *   inquiry_rig_open(&rig, zone, ARRAY_LENGTH(zone));
 *   inquiry_rig_run(&rig, evaluate, &case);
 *   inquiry_rig_close(&rig);
 */
#ifndef BATON_TESTS_UNIT_INQUIRY_RIG_H
#define BATON_TESTS_UNIT_INQUIRY_RIG_H

#include "core/dns_inquiry.h"
#include "tests/unit/name_server.h"

struct inquiry_rig {
    struct loop *loop;
    struct name_server server;
    struct dns_resolver *resolver;
    struct dns_inquiry *inquiry;
    struct timer watchdog;
    dns_inquiry_fn *run;
    void *owner;
};

static void rig_is_stuck(void *owner)
{
    (void)owner;
    check_failed(__FILE__, __LINE__, "an inquiry of less than 30 seconds");
}

static void inquiry_rig_open(struct inquiry_rig *rig,
                             const struct zone_row *zone, size_t zone_length)
{
    struct error error;
    memset(rig, 0, sizeof(*rig));
    rig->loop = loop_create();
    name_server_open(&rig->server, rig->loop, zone, zone_length);
    struct dns_options options = { .servers = rig->server.setting,
                                   .timeout_milliseconds = 3000 };
    rig->resolver = dns_resolver_create(rig->loop, &options, &error);
    check(rig->resolver != NULL);
}

static void inquiry_rig_close(struct inquiry_rig *rig)
{
    dns_inquiry_free(&rig->inquiry);
    dns_resolver_free(&rig->resolver);
    name_server_close(&rig->server);
    loop_free(&rig->loop);
}

static bool run_in_rig(void *owner, struct dns_inquiry *inquiry)
{
    struct inquiry_rig *rig = owner;
    bool is_done = rig->run(rig->owner, inquiry);
    if (is_done) {
        loop_stop(rig->loop);
    }
    return is_done;
}

/* The inquiry stays until the next run or the close: answers stay valid. */
static void inquiry_rig_run(struct inquiry_rig *rig, dns_inquiry_fn *run,
                            void *owner)
{
    rig->run = run;
    rig->owner = owner;
    dns_inquiry_free(&rig->inquiry);
    rig->inquiry = dns_inquiry_start(rig->loop, rig->resolver, run_in_rig, rig);
    timer_start(&rig->watchdog, rig->loop, 30000, rig_is_stuck, NULL);
    loop_run(rig->loop);
    timer_stop(&rig->watchdog);
}

#endif
