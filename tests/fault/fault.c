/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD: makes the n-th allocation, libpq call or socket call of a
 * worker fail. What fails stands in a file that FAULT_CONTROL names and that
 * the test maps too (tests/system/faults.py), so that one running Baton is
 * armed again and again. Calls count in children of the process that loaded
 * this only: the supervisor is what has to survive, and stays out of it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { KIND_NONE, KIND_MEMORY, KIND_LIBPQ, KIND_WRITE, KIND_READ };

enum mode {
    MODE_FAIL, /* memory, libpq */
    MODE_BAD_RESULT, /* libpq: PQgetResult gives an error of libpq's own */
    MODE_RESET, /* sockets; the connection is gone for the peer too */
    MODE_PIPE, /* sockets; nothing can be written any more */
    MODE_SHORT,
    MODE_INTERRUPTED,
    MODE_AGAIN,
};

struct control {
    _Atomic uint32_t kind;
    _Atomic uint32_t mode;
    _Atomic int64_t countdown; /* to the first call that fails */
    _Atomic int64_t length; /* how many fail from there on */
    _Atomic uint64_t calls;
    _Atomic uint64_t fired;
    char where[32];
};

static struct control *control;
static bool is_worker;

/* Exported by glibc and, if it is there, by AddressSanitizer; to look for the
 * next malloc with dlsym would itself allocate. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
__attribute__((weak)) void *__interceptor_malloc(size_t size);
__attribute__((weak)) void *__interceptor_calloc(size_t count, size_t size);
__attribute__((weak)) void *__interceptor_realloc(void *block, size_t size);

static void enter_child(void)
{
    is_worker = true;
}

__attribute__((constructor)) static void open_control(void)
{
    const char *path = getenv("FAULT_CONTROL");
    int descriptor = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (descriptor < 0) {
        return;
    }
    void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE,
                     MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (map != MAP_FAILED) {
        control = map;
        pthread_atfork(NULL, NULL, enter_child);
    }
}

static bool is_armed(enum kind kind)
{
    return is_worker && control->kind == kind;
}

static bool fires(enum kind kind, const char *where)
{
    if (!is_armed(kind)) {
        return false;
    }
    control->calls++;
    int64_t left = control->countdown--;
    if (left > 1 || left <= 1 - control->length) {
        return false;
    }
    if (control->fired++ == 0) {
        size_t length = strlen(where);
        size_t room = sizeof(control->where) - 1;
        memcpy(control->where, where, length < room ? length : room);
    }
    return true;
}

/* -- memory -- */

static void *refuse_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

#define GIVE_MEMORY(name, ...)                                          \
    (fires(KIND_MEMORY, #name)      ? refuse_memory()                   \
     : __interceptor_##name != NULL ? __interceptor_##name(__VA_ARGS__) \
                                    : __libc_##name(__VA_ARGS__))

void *malloc(size_t size)
{
    return GIVE_MEMORY(malloc, size);
}

void *calloc(size_t count, size_t size)
{
    return GIVE_MEMORY(calloc, count, size);
}

void *realloc(void *block, size_t size)
{
    return GIVE_MEMORY(realloc, block, size);
}

/* -- libpq -- */

/* The function that this one stands before. */
#define NEXT(name) ((__typeof__(&name))(void *)dlsym(RTLD_NEXT, #name))

static bool fails(const char *where)
{
    return is_armed(KIND_LIBPQ) && control->mode == MODE_FAIL &&
           fires(KIND_LIBPQ, where);
}

#define REPLACE(type, failure, name, declared, given)       \
    type name declared                                      \
    {                                                       \
        return fails(#name) ? (failure) : NEXT(name) given; \
    }

REPLACE(PGconn *, NULL, PQconnectStartParams,
        (const char *const *names, const char *const *values, int expand),
        (names, values, expand))
REPLACE(PostgresPollingStatusType, PGRES_POLLING_FAILED, PQconnectPoll,
        (PGconn * link), (link))
REPLACE(int, -1, PQsocket, (const PGconn *link), (link))
REPLACE(int, -1, PQsetnonblocking, (PGconn * link, int on), (link, on))
REPLACE(int, 0, PQenterPipelineMode, (PGconn * link), (link))
REPLACE(int, 0, PQsendQueryParams,
        (PGconn * link, const char *text, int count, const Oid *types,
         const char *const *values, const int *lengths, const int *formats,
         int format),
        (link, text, count, types, values, lengths, formats, format))
REPLACE(int, 0, PQsendPrepare,
        (PGconn * link, const char *name, const char *text, int count,
         const Oid *types),
        (link, name, text, count, types))
REPLACE(int, 0, PQsendQueryPrepared,
        (PGconn * link, const char *name, int count, const char *const *values,
         const int *lengths, const int *formats, int format),
        (link, name, count, values, lengths, formats, format))
REPLACE(int, 0, PQpipelineSync, (PGconn * link), (link))
REPLACE(int, -1, PQflush, (PGconn * link), (link))
REPLACE(int, 0, PQconsumeInput, (PGconn * link), (link))
REPLACE(PGnotify *, NULL, PQnotifies, (PGconn * link), (link))

/* MODE_BAD_RESULT: the answer came and libpq had no memory for it. */
PGresult *PQgetResult(PGconn *link)
{
    if (fails("PQgetResult")) {
        return NULL;
    }
    PGresult *result = NEXT(PQgetResult)(link);
    if (result == NULL || !is_armed(KIND_LIBPQ) ||
        control->mode != MODE_BAD_RESULT ||
        PQresultStatus(result) == PGRES_PIPELINE_SYNC ||
        !fires(KIND_LIBPQ, "PQgetResult")) {
        return result;
    }
    PQclear(result);
    return PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);
}

/* -- sockets -- */

static bool is_socket(int descriptor)
{
    struct stat status;
    return fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
}

static bool hits(enum kind kind, int descriptor, const char *where)
{
    return is_armed(kind) && is_socket(descriptor) && fires(kind, where);
}

/* What a call that was hit returns; 1: how much it may move. */
static ssize_t fault_of(int descriptor)
{
    static const int numbers[] = {
        [MODE_RESET] = ECONNRESET,  [MODE_PIPE] = EPIPE,
        [MODE_INTERRUPTED] = EINTR, [MODE_AGAIN] = EAGAIN,
        [MODE_SHORT] = 0,
    };
    uint32_t mode = control->mode;
    if (mode == MODE_RESET || mode == MODE_PIPE) {
        shutdown(descriptor, mode == MODE_RESET ? SHUT_RDWR : SHUT_WR);
    }
    errno = numbers[mode];
    return mode == MODE_SHORT ? 1 : -1;
}

#define REPLACE_SOCKET(kind, name, type, declared, length, given) \
    ssize_t name declared                                         \
    {                                                             \
        if (hits(kind, descriptor, #name)) {                      \
            if (fault_of(descriptor) < 0) {                       \
                return -1;                                        \
            }                                                     \
            length = length > 0 ? 1 : 0;                          \
        }                                                         \
        return NEXT(name) given;                                  \
    }

REPLACE_SOCKET(KIND_WRITE, write, const void *,
               (int descriptor, const void *bytes, size_t length), length,
               (descriptor, bytes, length))
REPLACE_SOCKET(KIND_WRITE, send, const void *,
               (int descriptor, const void *bytes, size_t length, int flags),
               length, (descriptor, bytes, length, flags))
REPLACE_SOCKET(KIND_READ, read, void *,
               (int descriptor, void *bytes, size_t length), length,
               (descriptor, bytes, length))
REPLACE_SOCKET(KIND_READ, recv, void *,
               (int descriptor, void *bytes, size_t length, int flags), length,
               (descriptor, bytes, length, flags))

/* A datagram is whole or not there: the short mode leaves it alone. */
ssize_t sendto(int descriptor, const void *bytes, size_t length, int flags,
               const struct sockaddr *address, socklen_t address_length)
{
    if (hits(KIND_WRITE, descriptor, "sendto") && fault_of(descriptor) < 0) {
        return -1;
    }
    return NEXT(sendto)(descriptor, bytes, length, flags, address,
                        address_length);
}

ssize_t writev(int descriptor, const struct iovec *pieces, int count)
{
    if (hits(KIND_WRITE, descriptor, "writev")) {
        if (fault_of(descriptor) < 0) {
            return -1;
        }
        return NEXT(write)(descriptor, pieces[0].iov_base,
                           pieces[0].iov_len > 0 ? 1 : 0);
    }
    return NEXT(writev)(descriptor, pieces, count);
}
