/* SPDX-License-Identifier: MIT */
/*
 * Channels as rows of sync_primitives.h. Their items carry numbers, by which a row
 * notices what was lost or came twice.
 */
#ifndef TESTS_CONTRACT_SYNC_ROWS_CHAN_H
#define TESTS_CONTRACT_SYNC_ROWS_CHAN_H

#include "sync_rows.h"

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

static void chan_stats(struct object *o, hk_sync_stats *out_stats)
{
    hk_chan_status status;

    hk_chan_stats(o->chan, &status);
    *out_stats = (hk_sync_stats){.waiters = status.senders + status.receivers,
                                 .contended = status.contended};
}

#endif
