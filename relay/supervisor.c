/* SPDX-License-Identifier: MIT */
#include "relay/supervisor.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/listener.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metrics.h"
#include "http/server.h"
#include "relay/relay_metrics.h"
#include "relay/relay_settings.h"
#include "relay/signing.h"
#include "relay/worker.h"
#include "smtp/client.h"
#include "smtp/server.h"
#include "sql/admin.h"
#include "sql/database.h"

#define BACKOFF_FIRST_MILLISECONDS 100
#define BACKOFF_MAX_MILLISECONDS 10000
/* What a worker gets beyond its drain time-out before it is killed. */
#define KILL_GRACE_MILLISECONDS 10000
/* A worker that lived this long starts the back-off anew. */
#define STABLE_MILLISECONDS 30000
/* How long the start waits for a port in use. Workers whose supervisor was
 * killed let go of theirs as soon as they hear of it; who is started again at
 * once may still be faster. */
#define PORT_PATIENCE_MILLISECONDS 5000
#define PORT_RETRY_MILLISECONDS 50
/* Files of a worker besides sessions and outgoing connections: listeners,
 * PostgreSQL, DNS, HTTP, epoll, log. */
#define OTHER_FILES 200

struct child {
    pid_t pid; /* 0: not running */
    int64_t started_monotonic;
    int64_t restart_monotonic; /* when it may be started */
    int64_t backoff_milliseconds;
};

struct supervisor {
    struct config *config;
    const char *config_path;
    struct relay_listener listeners[RELAY_LISTENERS_MAX];
    size_t listener_count;
    struct worker_slot *slots;
    struct child *children;
    size_t worker_count;
    sigset_t signals;
    bool is_stopping;
    int64_t kill_monotonic; /* when those who do not stop are killed */
};

/* Real time, whatever the clock's rate: this is about processes. */
static int64_t now_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int open_port(const struct network_address *address, struct error *error)
{
    const struct timespec pause = { .tv_nsec =
                                        PORT_RETRY_MILLISECONDS * 1000000 };
    int64_t give_up = now_milliseconds() + PORT_PATIENCE_MILLISECONDS;
    bool is_told = false;
    int descriptor;
    while ((descriptor = listener_open(address, error)) < 0 &&
           errno == EADDRINUSE && now_milliseconds() < give_up) {
        if (!is_told) {
            log_warning(NULL, "a port is in use: waiting for it",
                        "seconds=%d reason=\"%s\"",
                        PORT_PATIENCE_MILLISECONDS / 1000,
                        log_quote(text_of(error->text)));
            is_told = true;
        }
        nanosleep(&pause, NULL);
    }
    return descriptor;
}

static bool open_listeners(struct supervisor *supervisor, struct error *error)
{
    if (!relay_settings_listeners(supervisor->listeners,
                                  &supervisor->listener_count, error)) {
        return false;
    }
    if (supervisor->listener_count == 0) {
        return error_set(error, "no listener is configured: add for example "
                                "\"submission = 127.0.0.1:2525\" to the "
                                "section [listen]");
    }
    for (size_t i = 0; i < supervisor->listener_count; i++) {
        struct relay_listener *listener = &supervisor->listeners[i];
        bool needs_certificate =
            listener->policy.tls >= SMTP_TLS_REQUIRED && !listener->is_http;
        if (needs_certificate && relay_settings_now()->certificate[0] == '\0') {
            return error_set(error,
                             "[listen] %s needs TLS: set certificate and key "
                             "in the section [tls]",
                             listener->policy.name);
        }
        listener->descriptor = open_port(&listener->address, error);
        if (listener->descriptor < 0) {
            return false;
        }
    }
    return true;
}

/* Before privileges go: root may also raise what is otherwise the most. */
static void raise_file_limit(void)
{
    rlim_t wanted = (rlim_t)(smtp_session_limit() +
                             relay_settings_now()->connections + OTHER_FILES);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    struct rlimit raised = { wanted, limit.rlim_max };
    if (raised.rlim_max < wanted) {
        raised.rlim_max = wanted;
    }
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
        return;
    }
    raised = (struct rlimit){ limit.rlim_max, limit.rlim_max };
    (void)setrlimit(RLIMIT_NOFILE, &raised);
    log_warning(NULL, "too few open files are allowed",
                "allowed=%llu needed=%llu advice=\"%s\"",
                (unsigned long long)limit.rlim_max, (unsigned long long)wanted,
                "raise the limit (LimitNOFILE= of systemd, ulimit -n), or "
                "lower [limits] sessions_per_worker and [delivery] "
                "connections");
}

static bool drop_privileges(struct error *error)
{
    const char *name = relay_settings_now()->user;
    if (geteuid() != 0) {
        return true;
    }
    const struct passwd *user = getpwnam(name);
    if (user == NULL) {
        return error_set(error,
                         "started as root, but there is no user \"%s\": create "
                         "it (useradd --system %s) or set [server] user",
                         name, name);
    }
    if (user->pw_uid == 0) {
        return error_set(error, "[server] user must not be root");
    }
    if (initgroups(name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0) {
        return error_set(error, "cannot become the user \"%s\": %s", name,
                         strerror(errno));
    }
    return true;
}

/* The key is read again on SIGHUP, as the user we are now. */
static bool check_certificate(struct error *error)
{
    const struct relay_settings_values *settings = relay_settings_now();
    if (settings->certificate[0] == '\0') {
        return true;
    }
    struct tls_context *context =
        tls_server_context_create(settings->certificate, settings->key, error);
    if (context == NULL) {
        return false;
    }
    tls_context_free(&context);
    return true;
}

/* A wrong schema or an unsafe PostgreSQL stops the start. A PostgreSQL that is
 * away does not: the workers answer 451 until it is there. Asked as the user
 * that the workers run as. */
static bool check_database(struct error *error)
{
    struct error reason;
    struct admin *admin = admin_connect(&reason);
    if (admin == NULL) {
        log_warning(NULL, "PostgreSQL cannot be reached yet", "reason=\"%s\"",
                    log_quote(text_of(reason.text)));
        return true;
    }
    bool is_good = admin_check(admin, error);
    admin_free(&admin);
    return is_good;
}

static void start_worker(struct supervisor *supervisor, size_t index)
{
    struct child *child = &supervisor->children[index];
    pid_t supervisor_pid = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        log_error(NULL, "a worker could not be started", "reason=\"%s\"",
                  strerror(errno));
        child->restart_monotonic =
            now_milliseconds() + BACKOFF_MAX_MILLISECONDS;
        return;
    }
    if (pid == 0) {
        /* If the supervisor is killed, its workers drain and go. */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != supervisor_pid) {
            _exit(0);
        }
        sigprocmask(SIG_UNBLOCK, &supervisor->signals, NULL);
        struct worker_setup setup = {
            .config = supervisor->config,
            .config_path = supervisor->config_path,
            .listeners = supervisor->listeners,
            .listener_count = supervisor->listener_count,
            .slots = supervisor->slots,
            .worker_count = supervisor->worker_count,
            .worker_index = index,
            .supervisor_pid = supervisor_pid,
        };
        int status = worker_run(&setup);
        memory_free(supervisor->children);
        config_free(&supervisor->config);
        exit(status);
    }
    child->pid = pid;
    child->started_monotonic = now_milliseconds();
    log_info(NULL, "worker started", "index=%zu pid=%d", index, (int)pid);
}

static void schedule_restart(struct supervisor *supervisor, size_t index)
{
    struct child *child = &supervisor->children[index];
    int64_t now = now_milliseconds();
    if (now - child->started_monotonic > STABLE_MILLISECONDS) {
        child->backoff_milliseconds = 0;
    }
    child->restart_monotonic = now + child->backoff_milliseconds;
    child->backoff_milliseconds = child->backoff_milliseconds == 0
                                      ? BACKOFF_FIRST_MILLISECONDS
                                      : child->backoff_milliseconds * 2;
    if (child->backoff_milliseconds > BACKOFF_MAX_MILLISECONDS) {
        child->backoff_milliseconds = BACKOFF_MAX_MILLISECONDS;
    }
}

static void reap(struct supervisor *supervisor)
{
    int status = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < supervisor->worker_count; i++) {
            if (supervisor->children[i].pid != pid) {
                continue;
            }
            supervisor->children[i].pid = 0;
            supervisor->slots[i].session_count = 0;
            supervisor->slots[i].is_accepting = false;
            supervisor->slots[i].knows_tokens = false;
            if (supervisor->is_stopping) {
                continue;
            }
            log_error(NULL, "a worker died and is replaced",
                      "index=%zu pid=%d signal=%d status=%d", i, (int)pid,
                      WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                      WIFEXITED(status) ? WEXITSTATUS(status) : 0);
            schedule_restart(supervisor, i);
        }
    }
}

static void start_due_workers(struct supervisor *supervisor)
{
    int64_t now = now_milliseconds();
    for (size_t i = 0; i < supervisor->worker_count; i++) {
        const struct child *child = &supervisor->children[i];
        if (child->pid == 0 && now >= child->restart_monotonic) {
            start_worker(supervisor, i);
        }
    }
}

static void signal_workers(const struct supervisor *supervisor, int signal)
{
    for (size_t i = 0; i < supervisor->worker_count; i++) {
        if (supervisor->children[i].pid > 0) {
            kill(supervisor->children[i].pid, signal);
        }
    }
}

static size_t running_count(const struct supervisor *supervisor)
{
    size_t count = 0;
    for (size_t i = 0; i < supervisor->worker_count; i++) {
        count += supervisor->children[i].pid > 0;
    }
    return count;
}

static void reload(struct supervisor *supervisor)
{
    struct error error;
    if (!config_load(supervisor->config, supervisor->config_path, &error)) {
        log_error(NULL, "configuration kept as it was", "reason=\"%s\"",
                  log_quote(text_of(error.text)));
        return;
    }
    relay_settings_configure_log();
    signal_workers(supervisor, SIGHUP);
}

static void on_signal(struct supervisor *supervisor, int signal)
{
    if (signal == SIGHUP) {
        reload(supervisor);
    } else if (signal == SIGTERM || signal == SIGINT) {
        supervisor->is_stopping = true;
        supervisor->kill_monotonic = now_milliseconds() +
                                     relay_settings_now()->drain_timeout +
                                     KILL_GRACE_MILLISECONDS;
        signal_workers(supervisor, SIGTERM);
    }
}

static void kill_stuck_workers(struct supervisor *supervisor)
{
    if (now_milliseconds() >= supervisor->kill_monotonic) {
        log_error(NULL, "workers did not stop and are killed", "count=%zu",
                  running_count(supervisor));
        signal_workers(supervisor, SIGKILL);
    }
}

/* How long to wait for a signal at most. */
static int64_t next_wait(const struct supervisor *supervisor)
{
    int64_t now = now_milliseconds();
    int64_t wait = supervisor->is_stopping ? BACKOFF_FIRST_MILLISECONDS
                                           : BACKOFF_MAX_MILLISECONDS;
    for (size_t i = 0; i < supervisor->worker_count; i++) {
        const struct child *child = &supervisor->children[i];
        int64_t left = child->restart_monotonic - now;
        if (child->pid == 0 && left < wait && !supervisor->is_stopping) {
            wait = left > 0 ? left : 0;
        }
    }
    return wait;
}

static void supervise(struct supervisor *supervisor)
{
    for (;;) {
        if (!supervisor->is_stopping) {
            start_due_workers(supervisor);
        } else if (running_count(supervisor) == 0) {
            return;
        } else {
            kill_stuck_workers(supervisor);
        }
        int64_t wait = next_wait(supervisor);
        struct timespec timeout = { .tv_sec = wait / 1000,
                                    .tv_nsec = (wait % 1000) * 1000000 };
        int signal = sigtimedwait(&supervisor->signals, NULL, &timeout);
        if (signal > 0) {
            on_signal(supervisor, signal);
        }
        reap(supervisor);
    }
}

static size_t count_workers(void)
{
    int64_t wanted = relay_settings_now()->workers;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return wanted > 0 ? (size_t)wanted : cores > 0 ? (size_t)cores : 1;
}

static void block_signals(struct supervisor *supervisor)
{
    sigemptyset(&supervisor->signals);
    sigaddset(&supervisor->signals, SIGHUP);
    sigaddset(&supervisor->signals, SIGTERM);
    sigaddset(&supervisor->signals, SIGINT);
    sigaddset(&supervisor->signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &supervisor->signals, NULL);
}

static void open_metrics(size_t worker_count)
{
    metrics_register(relay_metrics, RELAY_METRIC_COUNT);
    smtp_metrics_register();
    smtp_client_metrics_register();
    sql_metrics_register();
    http_metrics_register();
    metrics_open(worker_count);
}

int supervisor_run(struct config *config, const char *config_path)
{
    struct supervisor supervisor = { .config = config,
                                     .config_path = config_path };
    struct error error;
    relay_settings_configure_log();
    if (relay_settings_now()->clock_rate > 1) {
        clock_set_rate((int)relay_settings_now()->clock_rate);
    }
    raise_file_limit();
    if (!open_listeners(&supervisor, &error) || !drop_privileges(&error) ||
        !check_certificate(&error) || !signing_check_operator(&error) ||
        !check_database(&error)) {
        fprintf(stderr, "baton: %s\n", error.text);
        return 1;
    }
    supervisor.worker_count = count_workers();
    supervisor.children = memory_alloc_array(supervisor.worker_count,
                                             sizeof(*supervisor.children));
    supervisor.slots =
        mmap(NULL, supervisor.worker_count * sizeof(*supervisor.slots),
             PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (supervisor.slots == MAP_FAILED) {
        fprintf(stderr, "baton: no shared memory: %s\n", strerror(errno));
        return 1;
    }
    open_metrics(supervisor.worker_count);
    block_signals(&supervisor);
    log_info(NULL, "baton serves", "workers=%zu listeners=%zu hostname=%s",
             supervisor.worker_count, supervisor.listener_count,
             relay_settings_now()->hostname);
    supervise(&supervisor);
    memory_free(supervisor.children);
    log_info(NULL, "baton stopped", "");
    return 0;
}
