/* SPDX-License-Identifier: MIT */
/*
 * Models of channels, with plain threads: no item is lost or doubled, nobody waits for
 * ever, and a close parts what was sent from what was refused.
 *
 * Run: once, limit=300, builds=plain asan clang
 */
#include "model_kit.h"

enum { THREADS = 3 };

static struct {
    hk_chan *chan;
    int got[THREADS]; /* by sender */
    int refused;
    int next_thread;
} world;

/* The calling thread's index: they begin in the order in which they first run. */
static int enter_world(void)
{
    int index = world.next_thread++;

    be_thread(index);
    return index;
}

static void begin_chan(size_t capacity)
{
    memset(&world, 0, sizeof(world));
    forget_threads();
    if (hk_chan_new(sizeof(int), capacity, &world.chan) < 0)
        abort();
}

static void begin_chan_0(void *unused)
{
    (void)unused;
    begin_chan(0);
}

static void begin_chan_1(void *unused)
{
    (void)unused;
    begin_chan(1);
}

static void send_one(void *unused)
{
    int index = enter_world();

    (void)unused;
    MODEL_EXPECT(hk_chan_send(world.chan, &index) == 0);
}

static void receive_two(void *unused)
{
    int item;

    (void)unused;
    enter_world();
    for (int i = 0; i < 2; i++) {
        MODEL_EXPECT(hk_chan_recv(world.chan, &item) == 0);
        world.got[item]++;
    }
}

static bool two_have_come(void *unused)
{
    (void)unused;
    hk_chan_free(world.chan);
    world.chan = NULL;
    for (int i = 0; i < THREADS; i++)
        if (world.got[i] > 1)
            return false;
    return world.got[0] + world.got[1] + world.got[2] == 2;
}

static void channel_passes_each_item_once(void **state)
{
    hk_model model = {
        .name = "channel_0",
        .begin = begin_chan_0,
        .end = two_have_come,
        .threads = {receive_two, send_one, send_one},
    };

    (void)state;
    expect_all_runs_pass(model);
    model.name = "channel_1";
    model.begin = begin_chan_1;
    expect_all_runs_pass(model);
}

static void receive_to_the_end(void *unused)
{
    int item;

    (void)unused;
    enter_world();
    while (hk_chan_recv(world.chan, &item) == 0)
        world.got[item]++;
}

static void send_or_be_refused(void *unused)
{
    int index = enter_world();

    (void)unused;
    if (hk_chan_send(world.chan, &index) == -EPIPE)
        world.refused++;
}

static void close_chan(void *unused)
{
    (void)unused;
    enter_world();
    hk_chan_close(world.chan);
}

static bool one_came_or_was_refused(void *unused)
{
    (void)unused;
    hk_chan_free(world.chan);
    world.chan = NULL;
    return world.got[0] + world.got[1] + world.got[2] + world.refused == 1;
}

static void close_parts_sent_from_refused(void **state)
{
    hk_model model = {
        .name = "channel_0_close",
        .begin = begin_chan_0,
        .end = one_came_or_was_refused,
        .threads = {receive_to_the_end, send_or_be_refused, close_chan},
    };

    (void)state;
    expect_all_runs_pass(model);
    model.name = "channel_1_close";
    model.begin = begin_chan_1;
    expect_all_runs_pass(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channel_passes_each_item_once),
        cmocka_unit_test(close_parts_sent_from_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
