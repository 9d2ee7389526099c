/* SPDX-License-Identifier: MIT */
/*
 * A worker: one process, one loop, everything of it in start order. The
 * supervisor forks it with the listeners open.
 */
#ifndef BATON_RELAY_WORKER_H
#define BATON_RELAY_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/config.h"
#include "relay/pace.h"
#include "relay/relay_settings.h"

/* What all processes see of a worker; lies in shared memory. */
struct worker_slot {
    int64_t worker_id; /* of its lease: the successor retires it */
    int64_t session_count;
    bool is_accepting; /* its listeners are open */
    bool knows_tokens; /* clicks and opens are answered, not only probes */
    struct pace_signal pace;
};

struct worker_setup {
    struct config *config; /* loaded; loaded again on SIGHUP */
    const char *config_path; /* or NULL */
    const struct relay_listener *listeners; /* with open descriptors */
    size_t listener_count;
    struct worker_slot *slots; /* of all workers */
    size_t worker_count;
    size_t worker_index;
    pid_t supervisor_pid; /* another parent: ours was killed */
};

/* Run until SIGTERM or SIGINT, drained; returns the exit status. */
int worker_run(const struct worker_setup *setup);

#endif
