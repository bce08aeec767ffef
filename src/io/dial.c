/* SPDX-License-Identifier: MIT */
/*
 * Happy eyeballs (RFC 8305): a race of connection attempts. Each attempt is a task that
 * waits until the one before it has failed, but for 250 ms at most, then lets the next
 * one wait for it, and connects. The first success ends the scope and so the others.
 *
 * On a plain thread the tasks run on the background runtime, as all that it spawns.
 */
#include "io/address.h"

#include <hocket/event.h>
#include <hocket/scope.h>
#include <hocket/task.h>

enum { DIAL_ADDRESSES_MAX = 16 };

/* "Connection Attempt Delay", RFC 8305 section 5. */
#define DIAL_HEAD_START_NS (250 * HK_MILLISECOND)

struct attempt {
    struct race *race;
    const hk_addr *addr;
    hk_event failed;
};

struct race {
    hk_scope scope;
    struct attempt attempts[DIAL_ADDRESSES_MAX];
    size_t count;
    hk_fd winner;   /* written by who set `won` */
    int won;        /* atomic: someone has connected */
    int last_error; /* atomic: of the attempt that failed last */
};

/* 0: it is our turn. */
static int await_turn(struct attempt *before)
{
    hk_scope limit = HK_SCOPE_INIT;
    int rc, joined;

    hk_scope_open_with(&limit, 0, "head start of the attempt before");
    hk_scope_deadline(&limit, hk_now() + DIAL_HEAD_START_NS);
    rc = hk_event_wait(&before->failed);
    joined = hk_scope_join(&limit);
    return joined == -ETIMEDOUT ? 0 : rc;
}

static int attempt_connect(struct attempt *attempt)
{
    struct race *race = attempt->race;
    hk_fd fd;
    int rc = hk_connect(attempt->addr, &fd);

    if (rc < 0)
        return rc;
    if (__atomic_exchange_n(&race->won, 1, __ATOMIC_ACQ_REL))
        (void)hk_close(fd); /* second best: nothing was sent on it */
    else
        race->winner = fd;
    return 0;
}

static int attempt_run(void *arg)
{
    struct attempt *attempt = arg;
    struct race *race = attempt->race;
    size_t index = (size_t)(attempt - race->attempts);
    int rc = index > 0 ? await_turn(attempt - 1) : 0;

    if (rc < 0)
        return rc;
    if (index + 1 < race->count)
        (void)hk_spawn_named(&race->scope, "connection attempt", attempt_run,
                             attempt + 1, NULL); /* a failure fails the race */
    rc = attempt_connect(attempt);
    if (rc < 0) {
        if (rc != -ECANCELED)
            __atomic_store_n(&race->last_error, rc, __ATOMIC_RELAXED);
        hk_event_set(&attempt->failed);
    }
    return rc;
}

static int race_run(struct race *race, hk_fd *out)
{
    int rc;

    hk_scope_open_with(&race->scope, HK_SCOPE_FIRST_SUCCESS, "dial");
    (void)hk_spawn_named(&race->scope, "connection attempt", attempt_run,
                         &race->attempts[0], NULL); /* a failure fails the race */
    rc = hk_scope_join(&race->scope);
    if (race->won) {
        *out = race->winner;
        return 0;
    }
    if (hk_cancelled() < 0)
        return -ECANCELED;
    return race->last_error < 0 ? race->last_error : rc;
}

/* Takes turns between the two families, beginning with the preferred one, and else
 * keeps the order (RFC 8305 section 4). */
static void race_init(struct race *race, const hk_addr *addrs, size_t count)
{
    size_t next[2] = {0, 0}; /* the first not yet taken, of the first family and not */
    bool other = false;

    *race = (struct race){.count = count};
    for (size_t i = 0; i < count; other = !other) {
        size_t *at = &next[other];

        while (*at < count &&
               (hki_addr_family(&addrs[*at]) != hki_addr_family(&addrs[0])) != other)
            ++*at;
        if (*at == count)
            continue;
        race->attempts[i].race = race;
        race->attempts[i].addr = &addrs[(*at)++];
        i++;
    }
}

int hk_dial(const char *host, uint16_t port, hk_fd *out)
{
    hk_addr addrs[DIAL_ADDRESSES_MAX];
    struct race race;
    int count = hk_resolve(host, port, addrs, DIAL_ADDRESSES_MAX);

    if (count < 0)
        return count;
    if (count == 1)
        return hk_connect(&addrs[0], out);
    race_init(&race, addrs, (size_t)count);
    return race_run(&race, out);
}
