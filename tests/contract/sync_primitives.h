/* SPDX-License-Identifier: MIT */
/*
 * All that one can wait for in sync/, as rows of functions with one shape: so that
 * every promise is tested over every row. Items of channels carry numbers, by which a
 * row notices what was lost or came twice.
 */
#ifndef TESTS_CONTRACT_SYNC_PRIMITIVES_H
#define TESTS_CONTRACT_SYNC_PRIMITIVES_H

#include "sync_kit.h"

#include "sync/chan.h"

/* ---- what is waited for ---- */

struct object {
    hk_mutex mutex;
    hk_event event;
    hk_event never;
    hk_sem sem;
    hk_chan *chan;
    /* Numbers of the last items; of a send only one party at a time may wait for. */
    uint64_t sent, received; /* atomic */
    bool is_numbered;
};

struct primitive {
    const char *name;
    int capacity; /* of its channel; -1: it has none */
    /* Between two parties that must be there at the same time. */
    bool is_meeting;
    void (*block)(struct object *o);     /* by the granter: from now on wait waits */
    int (*wait)(struct object *o);       /* what is tested */
    void (*give_back)(struct object *o); /* by the waiter, who got it */
    void (*grant)(struct object *o);     /* by the granter: one wait succeeds */
    size_t (*waiters)(struct object *o);
};

static void nothing(struct object *o)
{
    (void)o;
}

static void mutex_block(struct object *o)
{
    CHECK_EQ(hk_mutex_lock(&o->mutex), 0);
}

static int mutex_wait(struct object *o)
{
    return hk_mutex_lock(&o->mutex);
}

static void mutex_unlock(struct object *o)
{
    CHECK(hk_mutex_is_held(&o->mutex));
    hk_mutex_unlock(&o->mutex);
}

static size_t mutex_count(struct object *o)
{
    return mutex_waiters(&o->mutex);
}

static void event_block(struct object *o)
{
    hk_event_clear(&o->event);
}

static int event_wait(struct object *o)
{
    return hk_event_wait(&o->event);
}

static int event_select(struct object *o)
{
    hk_case cases[] = {HK_CASE_EVENT(&o->never), HK_CASE_EVENT(&o->event)};
    int rc = hk_select(cases, 2);

    CHECK(rc < 0 || (rc == 1 && cases[1].result == 0));
    return rc < 0 ? rc : 0;
}

static void event_grant(struct object *o)
{
    hk_event_set(&o->event);
}

static size_t event_count(struct object *o)
{
    return event_waiters(&o->event);
}

static int sem_wait_one(struct object *o)
{
    return hk_sem_acquire(&o->sem);
}

static int sem_select(struct object *o)
{
    hk_case cases[] = {HK_CASE_SEM(&o->sem), HK_CASE_EVENT(&o->never),
                       HK_CASE_DEADLINE(hk_now() + 1000 * HK_SECOND)};
    int rc = hk_select(cases, 3);

    CHECK(rc <= 0 && (rc < 0 || cases[0].result == 0));
    return rc;
}

static void sem_grant(struct object *o)
{
    hk_sem_release(&o->sem, 1);
}

static size_t sem_count(struct object *o)
{
    return sem_waiters(&o->sem);
}

static uint64_t read_number(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_ACQUIRE);
}

static void write_number(uint64_t *number, uint64_t value)
{
    __atomic_store_n(number, value, __ATOMIC_RELEASE);
}

/* Each item carries the next number. */
static void check_number(struct object *o, uint64_t item)
{
    if (o->is_numbered)
        CHECK_EQ(item, read_number(&o->received) + 1);
    write_number(&o->received, item);
}

static int take(struct object *o, int rc, uint64_t item)
{
    if (rc == 0)
        check_number(o, item);
    else
        CHECK_EQ(item, UINT64_MAX); /* untouched */
    return rc;
}

static int recv_wait(struct object *o)
{
    uint64_t item = UINT64_MAX;
    int rc = hk_chan_recv(o->chan, &item);

    return take(o, rc, item);
}

static int recv_select(struct object *o)
{
    uint64_t item = UINT64_MAX;
    hk_case cases[] = {HK_CASE_EVENT(&o->never), HK_CASE_RECV(o->chan, &item)};
    int rc = hk_select(cases, 2);

    CHECK(rc < 0 || (rc == 1 && cases[1].result == 0));
    return take(o, rc < 0 ? rc : 0, item);
}

static void recv_grant(struct object *o)
{
    uint64_t item = read_number(&o->sent) + 1;

    write_number(&o->sent, item);
    CHECK_EQ(hk_chan_send(o->chan, &item), 0);
}

/* Sending: a send that did not happen gives its number to the next. */
static int send_wait(struct object *o)
{
    uint64_t item = read_number(&o->sent) + 1;
    int rc = hk_chan_send(o->chan, &item);

    if (rc == 0)
        write_number(&o->sent, item);
    return rc;
}

static int send_select(struct object *o)
{
    uint64_t item = read_number(&o->sent) + 1;
    hk_case cases[] = {HK_CASE_SEND(o->chan, &item), HK_CASE_EVENT(&o->never)};
    int rc = hk_select(cases, 2);

    CHECK(rc <= 0 && (rc < 0 || cases[0].result == 0));
    if (rc == 0)
        write_number(&o->sent, item);
    return rc;
}

static void send_grant(struct object *o)
{
    uint64_t item;

    CHECK_EQ(hk_chan_recv(o->chan, &item), 0);
    check_number(o, item);
}

/* A full channel; its filling is numbered like all items. */
static void full_block(struct object *o)
{
    uint64_t item = read_number(&o->sent) + 1;

    if (hk_chan_try_send(o->chan, &item) == 0)
        write_number(&o->sent, item);
}

/* Takes the waiter's own item out, once the granter has taken those before it. */
static void full_give_back(struct object *o)
{
    while (o->is_numbered && read_number(&o->received) + 1 != read_number(&o->sent))
        relax();
    send_grant(o);
}

static size_t count_in(const hk_waiter_queue *queue)
{
    size_t n = 0;

    for (const hk_waiter *w = queue->head; w; w = w->next)
        n++;
    return n;
}

static size_t chan_count(struct object *o)
{
    enum hki_hold hold = hki_chan_hold(o->chan, hki_self());
    size_t n = count_in(&o->chan->receivers) + count_in(&o->chan->senders);

    hki_chan_drop(o->chan, hold);
    return n;
}

static const struct primitive primitives[] = {
    {"mutex", -1, false, mutex_block, mutex_wait, mutex_unlock, mutex_unlock,
     mutex_count},
    {"event", -1, false, event_block, event_wait, nothing, event_grant, event_count},
    {"event_in_select", -1, false, event_block, event_select, nothing, event_grant,
     event_count},
    {"semaphore", -1, false, nothing, sem_wait_one, nothing, sem_grant, sem_count},
    {"semaphore_in_select", -1, false, nothing, sem_select, nothing, sem_grant,
     sem_count},
    {"receive_unbuffered", 0, true, nothing, recv_wait, nothing, recv_grant,
     chan_count},
    {"receive_buffered", 3, false, nothing, recv_wait, nothing, recv_grant, chan_count},
    {"receive_in_select", 1, false, nothing, recv_select, nothing, recv_grant,
     chan_count},
    {"meet_in_select", 0, true, nothing, recv_select, nothing, recv_grant, chan_count},
    {"send_unbuffered", 0, true, nothing, send_wait, nothing, send_grant, chan_count},
    {"send_full", 1, false, full_block, send_wait, full_give_back, send_grant,
     chan_count},
    {"send_in_select", 0, true, nothing, send_select, nothing, send_grant, chan_count},
};

enum { PRIMITIVES = sizeof(primitives) / sizeof(*primitives) };

static inline void object_init(struct object *o, const struct primitive *p)
{
    memset(o, 0, sizeof(*o));
    o->is_numbered = true;
    if (p->capacity >= 0)
        CHECK_EQ(hk_chan_new(sizeof(uint64_t), (size_t)p->capacity, &o->chan), 0);
}

/* Nobody may be left waiting. */
static inline void object_fini(struct object *o)
{
    CHECK_EQ(mutex_waiters(&o->mutex), 0);
    CHECK_EQ(event_waiters(&o->event), 0);
    CHECK_EQ(event_waiters(&o->never), 0);
    CHECK_EQ(sem_waiters(&o->sem), 0);
    hk_chan_free(o->chan); /* panics when somebody is queued */
}

#endif
