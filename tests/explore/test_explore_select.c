/* SPDX-License-Identifier: MIT */
/*
 * Select, and what stands on waiters and operations, under the schedule explorer: no
 * loser of a select consumes, a callback is called once, a stream keeps its bytes.
 * (With both pollers: the scenarios with sockets use one.)
 */
#include "traffic.h"

/* ---- select ---- */

static int receive_from_two(void *arg)
{
    struct traffic *t = arg;
    bool open[2] = {true, true};

    while (open[0] || open[1]) {
        int items[2] = {-1, -1};
        hk_case cases[] = {
            HK_CASE_RECV(open[0] ? t->chan : t->second, &items[0]),
            HK_CASE_RECV(open[1] ? t->second : t->chan, &items[1]),
        };
        int i = hk_select(cases, 2);

        TRY(i);
        EXPECT(items[1 - i] == -1); /* the loser took nothing */
        if (cases[i].result == 0)
            TRY(note_item(t, items[i]));
        else
            open[cases[i].object == t->chan ? 0 : 1] = false;
        TRY(dawdle());
    }
    return 0;
}

static int send_to_two(void *arg)
{
    struct traffic *t = arg;
    int first = (add_to(&t->senders, 1) - 1) * ITEMS;

    for (int item = first; item < first + ITEMS; item++) {
        hk_case cases[] = {
            HK_CASE_SEND(t->second, &item),
            HK_CASE_SEND(t->chan, &item),
        };
        int i = hk_select(cases, 2);

        TRY(i);
        EXPECT(cases[i].result == 0);
        add_to(&t->sent[item], 1);
    }
    return 0;
}

static int run_selects(hk_task_fn *sender, hk_task_fn *receiver)
{
    struct traffic t = {.senders = 0};
    hk_scope all, senders;
    int item;

    TRY(hk_chan_new(sizeof(int), hk_explore_choice(2), &t.chan));
    TRY(hk_chan_new(sizeof(int), hk_explore_choice(2), &t.second));
    hk_scope_open(&all);
    hk_spawn(&all, receiver, &t);
    hk_spawn(&all, receiver, &t);
    hk_scope_open(&senders);
    for (int i = 0; i < SENDERS; i++)
        hk_spawn(&senders, sender, &t);
    EXPECT(hk_scope_join(&senders) == 0);
    hk_chan_close(t.chan);
    hk_chan_close(t.second);
    EXPECT(hk_scope_join(&all) == 0);
    while (hk_chan_try_recv(t.second, &item) == 0)
        TRY(note_item(&t, item));
    hk_chan_free(t.second);
    return judge(&t);
}

static int select_receives_each_item_once(void *arg)
{
    (void)arg;
    return run_selects(send_to_two, receive_from_two);
}

static int receive_from_two_while_somebody_must(void *arg)
{
    int rc = receive_from_two(arg), again;
    hk_scope s;

    hk_scope_open_with(&s, HK_SCOPE_SHIELDED, NULL);
    again = rc == -ECANCELED ? receive_from_two(arg) : 0;
    EXPECT(hk_scope_join(&s) == 0);
    return again < 0 ? again : rc;
}

static int a_cancelled_select_loses_nothing(void *arg)
{
    (void)arg;
    return run_selects(send_to_two, receive_from_two_while_somebody_must);
}

static int receive_for_a_moment(void *arg)
{
    struct traffic *t = arg;

    for (;;) {
        int item;
        hk_case cases[] = {
            HK_CASE_RECV(t->chan, &item),
            HK_CASE_DEADLINE(hk_now() + 1),
        };
        int i = hk_select(cases, 2);

        TRY(i);
        if (i == 0 && cases[0].result == -EPIPE)
            return 0;
        if (i == 0)
            TRY(note_item(t, item));
    }
}

static int send_now_and_then(void *arg)
{
    struct traffic *t = arg;
    int first = (add_to(&t->senders, 1) - 1) * ITEMS;

    for (int item = first; item < first + ITEMS; item++) {
        TRY(hk_sleep(1)); /* the very moment at which receivers give up */
        TRY(hk_chan_send(t->chan, &item));
        add_to(&t->sent[item], 1);
    }
    return 0;
}

static int an_item_meets_a_deadline(void *arg)
{
    (void)arg;
    return run_traffic(hk_explore_choice(2), send_now_and_then, receive_for_a_moment,
                       1);
}

/* Both sides wait in a select, on the same channels in opposite order. */
static int trade(void *arg)
{
    struct traffic *t = arg;
    int mine = 0, theirs = -1;
    hk_case cases[] = {
        HK_CASE_SEND(t->chan, &mine),
        HK_CASE_RECV(t->chan, &theirs),
    };
    int i = hk_select(cases, 2);

    TRY(i);
    add_to(i == 0 ? &t->sent[0] : &t->got[0], 1);
    return 0;
}

static int selects_find_each_other(void *arg)
{
    struct traffic t = {.senders = 0};
    hk_scope s;

    (void)arg;
    TRY(hk_chan_new(sizeof(int), 0, &t.chan));
    hk_scope_open(&s);
    for (int i = 0; i < 4; i++)
        hk_spawn(&s, trade, &t);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(t.sent[0] == 2 && t.got[0] == 2);
    hk_chan_free(t.chan);
    return 0;
}

/* ---- callbacks, streams ---- */

struct bell {
    hk_lock lock;
    hk_waiter_queue waiters; /* guarded by lock */
    int rung;
};

static const hk_wait_kind bell_kind = {.name = "bell"};

static void heard(hk_waiter *w)
{
    __atomic_add_fetch((int *)w->data, 1, __ATOMIC_RELEASE);
}

static int ring_all(void *arg)
{
    struct bell *bell = arg;
    hk_waiter *w;

    for (int i = 0; i < 3; i++) {
        hk_lock_acquire(&bell->lock);
        w = hk_waiter_pop(&bell->waiters);
        hk_lock_release(&bell->lock);
        hk_wake(w, 0);
        hk_explore_point();
    }
    return 0;
}

static int a_callback_is_called_once(void *arg)
{
    struct bell bell = {.rung = 0};
    hk_waiter waiters[3];
    int calls[3] = {0};
    hk_scope s;

    (void)arg;
    for (int i = 0; i < 3; i++) {
        TRY(hk_waiter_init_callback(&waiters[i], &bell_kind, &bell, heard));
        waiters[i].data = &calls[i];
        hk_waiter_push(&bell.waiters, &waiters[i]);
    }
    hk_scope_open(&s);
    hk_spawn(&s, ring_all, &bell);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(hk_test_wait_all_blocked() == 0);
    for (int i = 0; i < 3; i++)
        EXPECT(peek(&calls[i]) == 1);
    return 0;
}

static const char message[] = "one melody, several voices";

static int write_message(void *arg)
{
    hk_fd *pair = arg;
    size_t done;

    for (size_t at = 0; at < sizeof(message);) {
        size_t len = 1 + hk_explore_choice(9);

        if (len > sizeof(message) - at)
            len = sizeof(message) - at;
        TRY(hk_write_all(pair[0], message + at, len, &done));
        at += len;
        TRY(dawdle());
    }
    return 0;
}

static int read_message(void *arg)
{
    hk_fd *pair = arg;
    char text[sizeof(message)];
    size_t used = 0;

    while (used < sizeof(text)) {
        ssize_t n = hk_read(pair[1], text + used, sizeof(text) - used);

        TRY(n);
        EXPECT(n > 0);
        EXPECT(memcmp(text + used, message + used, (size_t)n) == 0);
        used += (size_t)n;
    }
    return 0;
}

static int a_stream_keeps_its_bytes(void *arg)
{
    hk_fd pair[2];
    hk_scope s;

    (void)arg;
    TRY(hk_socket_pair(pair));
    hk_scope_open(&s);
    hk_spawn(&s, read_message, pair);
    hk_spawn(&s, write_message, pair);
    EXPECT(hk_scope_join(&s) == 0);
    TRY(hk_close(pair[0]));
    TRY(hk_close(pair[1]));
    return 0;
}

static int read_until_cancelled(void *arg)
{
    hk_fd *pair = arg;
    char byte;
    ssize_t n = hk_read(pair[1], &byte, 1);

    EXPECT(n == -ECANCELED || n == -EBADF);
    return n == -EBADF ? 0 : (int)n;
}

static int close_it(void *arg)
{
    hk_fd *pair = arg;
    int rc = dawdle();

    EXPECT(hk_close(pair[1]) == 0);
    return rc;
}

static int a_close_ends_a_read(void *arg)
{
    hk_fd pair[2];
    hk_scope s;

    (void)arg;
    TRY(hk_socket_pair(pair));
    hk_scope_open(&s);
    hk_spawn(&s, read_until_cancelled, pair);
    hk_spawn(&s, close_it, pair);
    EXPECT(hk_scope_join(&s) == 0);
    return hk_close(pair[0]);
}

static const struct scenario scenarios[] = {
    {"select_receives_each_item_once", select_receives_each_item_once, 0, false},
    {"a_cancelled_select_loses_nothing", a_cancelled_select_loses_nothing, 3, false},
    {"an_item_meets_a_deadline", an_item_meets_a_deadline, 0, false},
    {"selects_find_each_other", selects_find_each_other, 0, false},
    {"a_callback_is_called_once", a_callback_is_called_once, 0, true},
    {"a_stream_keeps_its_bytes", a_stream_keeps_its_bytes, 0, false},
    {"a_close_ends_a_read", a_close_ends_a_read, 1, false},
};

int main(void)
{
    return explore_all(scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
