/* SPDX-License-Identifier: MIT */
/*
 * Shows that the bias of a channel (sync/bias.h) comes after some calls of one worker,
 * goes for ever with the first call from elsewhere, and that nothing is lost, doubled,
 * torn or out of order when it is taken away in the middle of its owner's work: at
 * moments drawn by lot, so the failure of one run need not be that of another.
 */
#include "contract/sync_kit.h"

#include "sync/chan.h"
#include "base/fence.h"

static hk_chan *new_chan(size_t item_size, size_t capacity)
{
    hk_chan *chan = NULL;

    CHECK_EQ(hk_chan_new(item_size, capacity, &chan), 0);
    return chan;
}

static bool is_biased(const hk_chan *chan)
{
    return chan->bias.owner != HKI_BIAS_OPEN && chan->bias.owner != HKI_BIAS_NONE;
}

static int pass_items_alone(void *arg)
{
    hk_chan *chan = arg;
    uint64_t item = 0;

    for (int i = 0; i < HKI_BIAS_VISITS; i++) {
        CHECK_EQ(hk_chan_send(chan, &item), 0);
        CHECK_EQ(hk_chan_recv(chan, &item), 0);
    }
    return 0;
}

static void the_first_worker_owns_the_channel_until_another_comes(void **state)
{
    hk_chan *chan = new_chan(sizeof(uint64_t), 4);
    uint64_t item = 5;

    (void)state;
    assert_int_equal(hk_run(pass_items_alone, chan, NULL), 0);
    hki_fence_prepare();
    if (!hki_fence_is_available()) {
        assert_true(hki_bias_is_over(&chan->bias));
        hk_chan_free(chan);
        skip(); /* no membarrier(2) here */
    }
    assert_true(is_biased(chan));
    assert_int_equal(hk_chan_send(chan, &item), 0);
    assert_true(hki_bias_is_over(&chan->bias));
    assert_int_equal(hk_run(pass_items_alone, chan, NULL), 0);
    assert_true(hki_bias_is_over(&chan->bias)); /* for ever */
    hk_chan_free(chan);

    chan = new_chan(sizeof(uint64_t), 4);
    assert_int_equal(hk_chan_send(chan, &item), 0); /* by a plain thread: never any */
    assert_true(hki_bias_is_over(&chan->bias));
    hk_chan_free(chan);
}

/*
 * Two tasks of one worker pass numbers through a channel, which soon is theirs. Then a
 * thread joins in, at a moment that differs from round to round, and takes some of the
 * numbers out. Between them, the receivers see every number once, and each in order.
 */
enum { ROUNDS = 300, NUMBERS = 3000 };

struct takeover {
    hk_chan *chan;
    uint64_t passed; /* atomic: how far the sender is */
    uint64_t moment; /* when the thread joins in, */
    uint64_t delay;  /* and that many turns later */
    uint64_t counts[2];
    uint64_t sums[2];
};

static int count_up_to_the_end(void *arg)
{
    struct takeover *t = arg;

    for (uint64_t i = 1; i <= NUMBERS; i++) {
        __atomic_store_n(&t->passed, i, __ATOMIC_RELAXED);
        CHECK_EQ(hk_chan_send(t->chan, &i), 0);
    }
    hk_chan_close(t->chan);
    return 0;
}

static void await_moment(const struct takeover *t)
{
    while (__atomic_load_n(&t->passed, __ATOMIC_RELAXED) < t->moment)
        ;
    for (uint64_t i = 0; i < t->delay; i++)
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void receive_all(struct takeover *t, int who)
{
    uint64_t item, last = 0;

    while (hk_chan_recv(t->chan, &item) == 0) {
        CHECK(item > last);
        last = item;
        t->counts[who]++;
        t->sums[who] += item;
    }
}

static int receive_on_the_worker(void *arg)
{
    receive_all(arg, 0);
    return 0;
}

static int join_in(void *arg)
{
    struct takeover *t = arg;

    await_moment(t);
    receive_all(t, 1);
    return 0;
}

static void nothing_is_lost_when_the_bias_is_taken_away(void **state)
{
    uint64_t chance = kit_seed();

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct takeover t = {.chan = new_chan(sizeof(uint64_t), dice(&chance) % 4 * 3),
                             .moment = dice(&chance) % (NUMBERS / 4),
                             .delay = dice(&chance) % 200};
        struct ensemble e = {.placing = TASK_THREAD};

        add_party(&e, count_up_to_the_end, &t);
        add_party(&e, join_in, &t);
        add_party(&e, receive_on_the_worker, &t);
        run_ensemble(&e, NULL);
        assert_int_equal(t.counts[0] + t.counts[1], NUMBERS);
        assert_int_equal(t.sums[0] + t.sums[1], (uint64_t)NUMBERS * (NUMBERS + 1) / 2);
        assert_true(hki_bias_is_over(&t.chan->bias));
        hk_chan_free(t.chan);
    }
}

/*
 * The same with items so large that the owner is mostly in the middle of copying one.
 * An item is full of its number: nobody may see half of one and half of another.
 */
enum { LARGE_WORDS = 4096, LARGE_NUMBERS = 400, LARGE_ROUNDS = 30 };

static int send_large(void *arg)
{
    struct takeover *t = arg;
    uint64_t *item = malloc(LARGE_WORDS * sizeof(*item));

    for (uint64_t i = 1; i <= LARGE_NUMBERS; i++) {
        __atomic_store_n(&t->passed, i, __ATOMIC_RELAXED);
        for (int w = 0; w < LARGE_WORDS; w++)
            item[w] = i;
        CHECK_EQ(hk_chan_send(t->chan, item), 0);
    }
    hk_chan_close(t->chan);
    free(item);
    return 0;
}

static void receive_large(struct takeover *t, int who)
{
    uint64_t *item = malloc(LARGE_WORDS * sizeof(*item));

    while (hk_chan_recv(t->chan, item) == 0) {
        for (int w = 1; w < LARGE_WORDS; w++)
            CHECK_EQ(item[w], item[0]);
        t->counts[who]++;
        t->sums[who] += item[0];
    }
    free(item);
}

static int receive_large_on_the_worker(void *arg)
{
    receive_large(arg, 0);
    return 0;
}

static int join_in_large(void *arg)
{
    struct takeover *t = arg;

    await_moment(t);
    receive_large(t, 1);
    return 0;
}

static void no_item_is_torn_when_the_bias_is_taken_away(void **state)
{
    uint64_t chance = kit_seed();

    (void)state;
    for (int round = 0; round < LARGE_ROUNDS; round++) {
        struct takeover t = {
            .chan = new_chan(LARGE_WORDS * sizeof(uint64_t), 1 + dice(&chance) % 3),
            .moment = HKI_BIAS_VISITS + dice(&chance) % (LARGE_NUMBERS / 2),
            .delay = dice(&chance) % 30000};
        struct ensemble e = {.placing = TASK_THREAD};

        add_party(&e, send_large, &t);
        add_party(&e, join_in_large, &t);
        add_party(&e, receive_large_on_the_worker, &t);
        run_ensemble(&e, NULL);
        assert_int_equal(t.counts[0] + t.counts[1], LARGE_NUMBERS);
        assert_int_equal(t.sums[0] + t.sums[1],
                         (uint64_t)LARGE_NUMBERS * (LARGE_NUMBERS + 1) / 2);
        hk_chan_free(t.chan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_worker_owns_the_channel_until_another_comes),
        cmocka_unit_test(nothing_is_lost_when_the_bias_is_taken_away),
        cmocka_unit_test(no_item_is_torn_when_the_bias_is_taken_away),
    };

    return cmocka_run_group_tests_name("bias", tests, NULL, NULL);
}
