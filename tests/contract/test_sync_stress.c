/* SPDX-License-Identifier: MIT */
/*
 * Shows that channels conserve their items under everything at once: many senders and
 * receivers in every placing, each call plain, tried or in a select, inside scopes
 * whose deadlines and cancels come at random moments, with a close at the end.
 *
 * Every item has a number. A send that reports success makes its number due, and
 * exactly one receiver must see it; one that reports a cancel must have vanished. Each
 * receiver sees the numbers of each sender in order. HOCKET_SEED repeats a run's
 * choices.
 */
#include "sync_kit.h"

enum { SENDERS = 4, RECEIVERS = 4, EACH = 400 };

struct item {
    uint32_t sender, number;
};

struct market {
    hk_chan *chan;
    hk_event bell;                   /* never set: the other case of a select */
    uint64_t seed;                   /* atomic */
    uint32_t senders, receivers;     /* atomic: that have come */
    uint32_t left;                   /* atomic: senders that are still there */
    uint8_t sent[SENDERS][EACH];     /* each sender its own row */
    uint8_t received[SENDERS][EACH]; /* atomic */
};

static int send_somehow(struct market *m, struct item *item, uint64_t draw)
{
    hk_case cases[] = {HK_CASE_EVENT(&m->bell), HK_CASE_SEND(m->chan, item),
                       HK_CASE_DEADLINE(hk_now() + (int64_t)(draw >> 47))};
    int index;

    switch (draw % 4) {
    case 0: return hk_chan_try_send(m->chan, item);
    case 1:
        index = hk_select(cases, 3);
        return index == 1 ? cases[1].result : index == 2 ? -EAGAIN : index;
    default: return hk_chan_send(m->chan, item);
    }
}

static int receive_somehow(struct market *m, struct item *item, uint64_t draw)
{
    hk_case cases[] = {HK_CASE_RECV(m->chan, item), HK_CASE_EVENT(&m->bell),
                       HK_CASE_DEADLINE(hk_now() + (int64_t)(draw >> 47))};
    int index;

    switch (draw % 4) {
    case 0: return hk_chan_try_recv(m->chan, item);
    case 1:
        index = hk_select(cases, 3);
        return index == 0 ? cases[0].result : index == 2 ? -EAGAIN : index;
    default: return hk_chan_recv(m->chan, item);
    }
}

/* Opens a scope that may end the call at some moment. */
static void open_dangerously(hk_scope *s, uint64_t draw)
{
    *s = (hk_scope)HK_SCOPE_INIT;
    hk_scope_open(s);
    if (draw & 0x100)
        hk_scope_deadline(s, hk_now() + (int64_t)((draw >> 32) & 0xffff));
    if ((draw & 0x7000) == 0)
        hk_scope_cancel(s);
}

static void close_dangerous(hk_scope *s)
{
    int rc = hk_scope_join(s);

    CHECK(rc == 0 || rc == -ETIMEDOUT);
}

static int sell(void *arg)
{
    struct market *m = arg;
    uint64_t chance = __atomic_add_fetch(&m->seed, 1, __ATOMIC_RELAXED) * 1000003;
    uint32_t me = __atomic_fetch_add(&m->senders, 1, __ATOMIC_RELAXED);

    for (uint32_t i = 0; i < EACH; i++) {
        struct item item = {me, i};
        uint64_t draw = dice(&chance);
        hk_scope s;
        int rc;

        open_dangerously(&s, draw);
        rc = send_somehow(m, &item, draw);
        close_dangerous(&s);
        CHECK(rc == 0 || rc == -ECANCELED || rc == -EAGAIN);
        m->sent[me][i] = rc == 0;
        if ((draw & 0xff0000) == 0)
            relax();
    }
    if (__atomic_sub_fetch(&m->left, 1, __ATOMIC_ACQ_REL) == 0)
        hk_chan_close(m->chan);
    return 0;
}

static int buy(void *arg)
{
    struct market *m = arg;
    uint64_t chance = __atomic_add_fetch(&m->seed, 1, __ATOMIC_RELAXED) * 1000003;
    int64_t last[SENDERS];

    for (int i = 0; i < SENDERS; i++)
        last[i] = -1;
    for (int rc = 0; rc != -EPIPE;) {
        struct item item = {UINT32_MAX, 0};
        uint64_t draw = dice(&chance);
        hk_scope s;

        open_dangerously(&s, draw);
        rc = receive_somehow(m, &item, draw);
        close_dangerous(&s);
        if (rc == 0) {
            CHECK(item.sender < SENDERS && item.number < EACH);
            CHECK((int64_t)item.number > last[item.sender]);
            last[item.sender] = item.number;
            CHECK_EQ(__atomic_add_fetch(&m->received[item.sender][item.number], 1,
                                        __ATOMIC_RELAXED),
                     1);
        } else {
            CHECK(rc == -ECANCELED || rc == -EAGAIN || rc == -EPIPE);
            CHECK_EQ(item.sender, UINT32_MAX);
            if (rc == -EAGAIN)
                relax();
        }
    }
    return 0;
}

static void hold_a_market(enum placing placing, size_t capacity, uint64_t seed)
{
    struct market *m = calloc(1, sizeof(*m));
    struct ensemble e = {.placing = placing};

    m->seed = seed;
    m->left = SENDERS;
    CHECK_EQ(hk_chan_new(sizeof(struct item), capacity, &m->chan), 0);
    /* Two and two, so that both kinds come to both sides of a placing. */
    for (int i = 0; i < SENDERS + RECEIVERS; i++)
        add_party(&e, i / 2 % 2 ? buy : sell, m);
    run_ensemble(&e, NULL);
    for (int s = 0; s < SENDERS; s++)
        for (int i = 0; i < EACH; i++)
            assert_int_equal(m->received[s][i], m->sent[s][i]);
    assert_int_equal(hk_chan_count(m->chan), 0);
    assert_int_equal(event_waiters(&m->bell), 0);
    hk_chan_free(m->chan); /* panics when somebody is queued */
    free(m);
}

static void no_item_is_lost_or_doubled(void **state)
{
    static const size_t capacities[] = {0, 1, 5, 64};
    uint64_t seed = kit_seed();

    (void)state;
    for (int round = 0; round < 3; round++)
        for (size_t c = 0; c < sizeof(capacities) / sizeof(*capacities); c++)
            for (enum placing placing = 0; placing < PLACINGS; placing++) {
                check_doing = placing_name[placing];
                hold_a_market(placing, capacities[c], seed++);
            }
    check_doing = "";
}

/* ---- everything at once ---- */

enum { STATIONS = 3, WALKERS = 9, ROUNDS = 200 };

struct circuit {
    hk_mutex mutex;
    uint64_t guarded; /* by the mutex */
    hk_sem sem;
    hk_chan *chan;
    hk_event start;
    uint64_t passed; /* atomic */
};

static int walk(void *arg)
{
    struct circuit *c = arg;
    uint32_t token;

    CHECK_EQ(hk_event_wait(&c->start), 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        CHECK_EQ(hk_sem_acquire(&c->sem), 0);
        CHECK_EQ(hk_mutex_lock(&c->mutex), 0);
        c->guarded++;
        hk_mutex_unlock(&c->mutex);
        CHECK_EQ(hk_chan_send(c->chan, &i), 0);
        CHECK_EQ(hk_chan_recv(c->chan, &token), 0);
        hk_sem_release(&c->sem, 1);
        __atomic_add_fetch(&c->passed, 1, __ATOMIC_RELAXED);
    }
    return 0;
}

static int walk_and_start(void *arg)
{
    struct circuit *c = arg;

    while (event_waiters(&c->start) < WALKERS)
        relax();
    hk_event_set(&c->start);
    return 0;
}

static void everything_at_once_comes_to_an_end(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct circuit c = {.sem = HK_SEM_INIT(STATIONS)};
        struct ensemble e = {.placing = placing};

        check_doing = placing_name[placing];
        CHECK_EQ(hk_chan_new(sizeof(uint32_t), STATIONS, &c.chan), 0);
        for (int i = 0; i < WALKERS; i++)
            add_party(&e, walk, &c);
        add_party(&e, walk_and_start, &c);
        run_ensemble(&e, NULL);
        assert_int_equal(c.guarded, (uint64_t)WALKERS * ROUNDS);
        assert_int_equal(c.passed, (uint64_t)WALKERS * ROUNDS);
        assert_int_equal(hk_sem_available(&c.sem), STATIONS);
        assert_int_equal(hk_chan_count(c.chan), 0);
        hk_chan_free(c.chan);
    }
    check_doing = "";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_item_is_lost_or_doubled),
        cmocka_unit_test(everything_at_once_comes_to_an_end),
    };

    return cmocka_run_group_tests_name("sync stress", tests, NULL, NULL);
}
