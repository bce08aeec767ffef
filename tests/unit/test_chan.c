/* SPDX-License-Identifier: MIT */
/*
 * Shows what is particular to channels, beyond the contract suite: every size of item
 * and every capacity keeps order and content; close drains; and whoever takes the last
 * item may free the channel. Its bias has a test of its own, test_bias.c.
 */
#include "contract/sync_kit.h"

#include "sync/chan.h"

static hk_chan *new_chan(size_t item_size, size_t capacity)
{
    hk_chan *chan = NULL;

    CHECK_EQ(hk_chan_new(item_size, capacity, &chan), 0);
    return chan;
}

/* ---- making one ---- */

static void a_channel_that_cannot_be_is_refused(void **state)
{
    hk_chan *chan = (hk_chan *)(void *)&state;
    hk_chan *before = chan;

    (void)state;
    assert_int_equal(hk_chan_new(((size_t)1 << 20) + 1, 1, &chan), -EINVAL);
    assert_int_equal(hk_chan_new((size_t)1 << 20, SIZE_MAX / 2, &chan), -ENOMEM);
    assert_int_equal(hk_chan_new(8, SIZE_MAX / 8, &chan), -ENOMEM);
    assert_int_equal(hk_chan_new(0, SIZE_MAX, &chan), -ENOMEM);
    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    assert_int_equal(hk_chan_new(8, 8, &chan), -ENOMEM);
    hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
    assert_ptr_equal(chan, before); /* untouched */
    hk_chan_free(NULL);
}

static void its_numbers_are_told(void **state)
{
    hk_chan *chan = new_chan(4, 3);
    int item = 7;

    (void)state;
    hk_chan_set_name(chan, "jobs");
    assert_int_equal(hk_chan_capacity(chan), 3);
    assert_int_equal(hk_chan_count(chan), 0);
    assert_int_equal(hk_chan_send(chan, &item), 0);
    assert_int_equal(hk_chan_try_send(chan, &item), 0);
    assert_int_equal(hk_chan_count(chan), 2);
    assert_false(hk_chan_is_closed(chan));
    hk_chan_close(chan);
    assert_true(hk_chan_is_closed(chan));
    assert_int_equal(hk_chan_count(chan), 2);
    hk_chan_free(chan); /* with what is left in it */
}

static void a_dump_says_what_is_waited_for(void **state)
{
    hk_chan *chan = new_chan(4, 3);
    char text[100];

    (void)state;
    hki_chan_recv_kind.describe(chan, text, sizeof(text));
    assert_string_equal(text, "capacity 3, 0 items");
    hk_chan_set_name(chan, "jobs");
    hki_chan_recv_kind.describe(chan, text, sizeof(text));
    assert_string_equal(text, "'jobs', capacity 3, 0 items");
    assert_string_equal(hki_chan_recv_kind.name, "channel receive");
    assert_string_equal(hki_chan_send_kind.name, "channel send");
    hk_chan_free(chan);
}

/* ---- content and order, for every size and capacity ---- */

static const size_t sizes[] = {0, 1, 3, 4, 8, 12, 16, 100, 5000};
static const size_t capacities[] = {0, 1, 2, 3, 7, 64};

enum { ITEMS = 200 };

static void fill(unsigned char *item, size_t size, unsigned number)
{
    for (size_t i = 0; i < size; i++)
        item[i] = (unsigned char)(number * 31 + i * 7 + (i >> 8));
}

static int send_patterns(void *arg)
{
    hk_chan *chan = arg;
    unsigned char item[5000];

    for (unsigned i = 0; i < ITEMS; i++) {
        fill(item, chan->item_size, i);
        CHECK_EQ(hk_chan_send(chan, item), 0);
        memset(item, 0xee, sizeof(item)); /* it was copied */
    }
    hk_chan_close(chan);
    return 0;
}

static int receive_patterns(void *arg)
{
    hk_chan *chan = arg;
    unsigned char item[5001], want[5000];

    for (unsigned i = 0; i < ITEMS; i++) {
        memset(item, 0xaa, sizeof(item));
        CHECK_EQ(hk_chan_recv(chan, item), 0);
        fill(want, chan->item_size, i);
        CHECK_EQ(memcmp(item, want, chan->item_size), 0);
        CHECK_EQ(item[chan->item_size], 0xaa);
    }
    CHECK_EQ(hk_chan_recv(chan, item), -EPIPE);
    CHECK_EQ(hk_chan_try_recv(chan, item), -EPIPE);
    return 0;
}

static void every_size_and_capacity_keeps_order_and_content(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++)
        for (size_t c = 0; c < sizeof(capacities) / sizeof(*capacities); c++)
            for (enum placing placing = 0; placing < PLACINGS; placing++) {
                hk_chan *chan = new_chan(sizes[s], capacities[c]);

                check_doing = placing_name[placing];
                run_pair(placing, send_patterns, receive_patterns, chan);
                hk_chan_free(chan);
            }
}

static void an_item_of_a_mebibyte_passes(void **state)
{
    size_t size = (size_t)1 << 20;
    unsigned char *in = malloc(size), *out = malloc(size);
    hk_chan *chan = new_chan(size, 1);

    (void)state;
    fill(in, size, 1);
    assert_int_equal(hk_chan_send(chan, in), 0);
    assert_int_equal(hk_chan_recv(chan, out), 0);
    assert_memory_equal(in, out, size);
    hk_chan_free(chan);
    free(in);
    free(out);
}

/* ---- without waiting ---- */

static void try_forms_say_again_when_full_or_empty(void **state)
{
    hk_chan *chan = new_chan(sizeof(int), 2), *meeting = new_chan(sizeof(int), 0);
    int item = 1;

    (void)state;
    assert_int_equal(hk_chan_try_recv(chan, &item), -EAGAIN);
    for (int i = 0; i < 2; i++)
        assert_int_equal(hk_chan_try_send(chan, &i), 0);
    assert_int_equal(hk_chan_try_send(chan, &item), -EAGAIN);
    assert_int_equal(item, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hk_chan_try_recv(chan, &item), 0);
        assert_int_equal(item, i);
    }
    assert_int_equal(hk_chan_try_recv(chan, &item), -EAGAIN);
    assert_int_equal(hk_chan_try_send(meeting, &item), -EAGAIN);
    assert_int_equal(hk_chan_try_recv(meeting, &item), -EAGAIN);
    hk_chan_free(meeting);
    hk_chan_free(chan);
}

static int receive_one(void *arg)
{
    int item = 0;

    CHECK_EQ(hk_chan_recv(arg, &item), 0);
    CHECK_EQ(item, 42);
    return 0;
}

static int send_one(void *arg)
{
    int item = 42;

    return hk_chan_send(arg, &item);
}

static int try_with_a_partner(void *arg)
{
    hk_chan *chan = arg;
    hk_scope s = HK_SCOPE_INIT;
    int item = 42;

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, receive_one, chan), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_chan_try_send(chan, &item), 0);
    CHECK_EQ(hk_chan_try_send(chan, &item), -EAGAIN);
    CHECK_EQ(hk_spawn(&s, send_one, chan), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    item = 0;
    CHECK_EQ(hk_chan_try_recv(chan, &item), 0);
    CHECK_EQ(item, 42);
    CHECK_EQ(hk_chan_try_recv(chan, &item), -EAGAIN);
    return hk_scope_join(&s);
}

static void try_forms_meet_who_waits(void **state)
{
    hk_chan *chan = new_chan(sizeof(int), 0);

    (void)state;
    assert_int_equal(hk_run(try_with_a_partner, chan, NULL), 0);
    hk_chan_free(chan);
}

/* ---- close ---- */

static int expect_a_broken_pipe(void *arg)
{
    int item = 42;

    CHECK_EQ(hk_chan_send(arg, &item), -EPIPE);
    return 0;
}

static int expect_the_end(void *arg)
{
    int item = 42;

    CHECK_EQ(hk_chan_recv(arg, &item), -EPIPE);
    CHECK_EQ(item, 42); /* untouched */
    return 0;
}

static int close_with_senders_waiting(void *arg)
{
    hk_chan *chan = arg;
    hk_scope s = HK_SCOPE_INIT;
    int item = 0;

    for (size_t i = 0; i < hk_chan_capacity(chan); i++)
        CHECK_EQ(hk_chan_send(chan, &item), 0);
    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(hk_spawn(&s, expect_a_broken_pipe, chan), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_chan_close(chan);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_chan_send(chan, &item), -EPIPE);
    CHECK_EQ(hk_chan_try_send(chan, &item), -EPIPE);
    for (size_t i = 0; i < hk_chan_capacity(chan); i++)
        CHECK_EQ(hk_chan_recv(chan, &item), 0); /* what was sent before is drained */
    CHECK_EQ(hk_chan_recv(chan, &item), -EPIPE);
    return 0;
}

static int close_with_receivers_waiting(void *arg)
{
    hk_chan *chan = arg;
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(hk_spawn(&s, expect_the_end, chan), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_chan_close(chan);
    return hk_scope_join(&s);
}

static void close_ends_every_wait_and_leaves_the_items(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity < 4; capacity++) {
        hk_chan *chan = new_chan(sizeof(int), capacity);

        assert_int_equal(hk_run(close_with_senders_waiting, chan, NULL), 0);
        hk_chan_free(chan);
        chan = new_chan(sizeof(int), capacity);
        assert_int_equal(hk_run(close_with_receivers_waiting, chan, NULL), 0);
        hk_chan_free(chan);
    }
}

static int close_when_cancelled(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_cancel(&s);
    hk_chan_close(arg);
    return hk_scope_join(&s);
}

static void close_is_no_cancel_point(void **state)
{
    hk_chan *chan = new_chan(sizeof(int), 1);

    (void)state;
    assert_int_equal(close_when_cancelled(chan), 0);
    assert_true(hk_chan_is_closed(chan));
    hk_chan_free(chan);
}

/* ---- in order of arrival ---- */

enum { QUEUED = 8 };

struct line {
    hk_chan *chan;
    int next;
};

static int send_my_number(void *arg)
{
    struct line *line = arg;
    int number = line->next++;

    return hk_chan_send(line->chan, &number);
}

static int receive_my_number(void *arg)
{
    struct line *line = arg;
    int number = line->next++, item;

    CHECK_EQ(hk_chan_recv(line->chan, &item), 0);
    CHECK_EQ(item, number);
    return 0;
}

static int senders_in_line(void *arg)
{
    struct line *line = arg;
    hk_scope s = HK_SCOPE_INIT;
    int item;

    hk_scope_open(&s);
    for (int i = 0; i < QUEUED; i++)
        CHECK_EQ(hk_spawn(&s, send_my_number, line), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    for (int i = 0; i < QUEUED; i++) {
        CHECK_EQ(hk_chan_recv(line->chan, &item), 0);
        CHECK_EQ(item, i);
    }
    return hk_scope_join(&s);
}

static int receivers_in_line(void *arg)
{
    struct line *line = arg;
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < QUEUED; i++)
        CHECK_EQ(hk_spawn(&s, receive_my_number, line), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    for (int i = 0; i < QUEUED; i++)
        CHECK_EQ(hk_chan_send(line->chan, &i), 0);
    return hk_scope_join(&s);
}

static void who_waits_is_served_in_order_of_arrival(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity < 3; capacity++) {
        struct line line = {.chan = new_chan(sizeof(int), capacity)};

        assert_int_equal(hk_run(senders_in_line, &line, NULL), 0);
        line.next = 0;
        assert_int_equal(hk_run(receivers_in_line, &line, NULL), 0);
        hk_chan_free(line.chan);
    }
}

/* ---- the last item's receiver frees the channel ---- */

enum { LIVES = 1000 };

static hk_chan *offered; /* atomic */

static int answer(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < LIVES; i++) {
        hk_chan *chan;

        while (!(chan = __atomic_exchange_n(&offered, NULL, __ATOMIC_ACQ_REL)))
            relax();
        CHECK_EQ(hk_chan_send(chan, &i), 0);
    }
    return 0;
}

static int ask(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < LIVES; i++) {
        hk_chan *chan = new_chan(sizeof(i), i % 3);
        uint64_t item;

        __atomic_store_n(&offered, chan, __ATOMIC_RELEASE);
        if (i % 2)
            while (hk_chan_try_recv(chan, &item) == -EAGAIN)
                relax();
        else
            CHECK_EQ(hk_chan_recv(chan, &item), 0);
        CHECK_EQ(item, i);
        hk_chan_free(chan);
    }
    return 0;
}

static void whoever_takes_the_last_item_may_free_the_channel(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++)
        run_pair(placing, answer, ask, NULL);
}

/* The same, made certain: a sender stands still before it releases its side's lock. */
static void *free_in_a_thread(void *arg)
{
    hk_chan_free(arg);
    __atomic_store_n(&offered, NULL, __ATOMIC_RELEASE);
    return NULL;
}

static void a_free_outlasts_the_sender(void **state)
{
    hk_chan *chan = new_chan(sizeof(uint64_t), 1);
    uint64_t item = 1;
    pthread_t thread;

    (void)state;
    assert_int_equal(hk_chan_send(chan, &item), 0); /* so there is no bias */
    hki_spin_acquire(&chan->send_lock);
    __atomic_store_n(&offered, chan, __ATOMIC_RELEASE);
    assert_int_equal(pthread_create(&thread, NULL, free_in_a_thread, chan), 0);
    while (!__atomic_load_n(&chan->recv_lock.word, __ATOMIC_RELAXED)) {
        assert_non_null(__atomic_load_n(&offered, __ATOMIC_ACQUIRE));
        (void)sched_yield();
    }
    for (int i = 0; i < 100; i++) /* it has one side and must wait for ours */
        (void)sched_yield();
    assert_non_null(__atomic_load_n(&offered, __ATOMIC_ACQUIRE));
    hki_spin_release(&chan->send_lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_null(offered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_channel_that_cannot_be_is_refused),
        cmocka_unit_test(its_numbers_are_told),
        cmocka_unit_test(a_dump_says_what_is_waited_for),
        cmocka_unit_test(every_size_and_capacity_keeps_order_and_content),
        cmocka_unit_test(an_item_of_a_mebibyte_passes),
        cmocka_unit_test(try_forms_say_again_when_full_or_empty),
        cmocka_unit_test(try_forms_meet_who_waits),
        cmocka_unit_test(close_ends_every_wait_and_leaves_the_items),
        cmocka_unit_test(close_is_no_cancel_point),
        cmocka_unit_test(who_waits_is_served_in_order_of_arrival),
        cmocka_unit_test(whoever_takes_the_last_item_may_free_the_channel),
        cmocka_unit_test(a_free_outlasts_the_sender),
    };

    return cmocka_run_group_tests_name("chan", tests, NULL, NULL);
}
