/* SPDX-License-Identifier: MIT */
/*
 * Shows what hk_dump_tasks tells: every task with its name, state and what it waits
 * for, scopes with their flags and deadlines, stacks with static functions, several
 * workers and runtimes, plain threads; called by a task, a callback's loop, a plain
 * thread, and when one worker is busy or there is no memory. The dump goes to a memfd,
 * whose text is searched.
 */
#include "dump_test.h"

#include <hocket/lowlevel.h>

#define NOINLINE __attribute__((noinline))

static int run(hk_task_fn *fn, const hk_options *options)
{
    return hk_run(fn, NULL, options);
}

/* ---- the states of a task ---- */

static hk_event event = {.name = "gate"};
static hk_mutex mutex = {.name = "ledger"};

static NOINLINE int waits_deep_inside(int depth)
{
    int rc = depth ? waits_deep_inside(depth - 1) : hk_event_wait(&event);

    __asm__ volatile("");
    return rc;
}

static int waits(void *arg)
{
    int rc = waits_deep_inside(3);

    (void)arg;
    __asm__ volatile(""); /* no tail call: this frame stays */
    return rc;
}

static int sleeps(void *arg)
{
    (void)arg;
    return hk_sleep(3600 * HK_SECOND) == -ECANCELED ? 0 : -1;
}

static int locks(void *arg)
{
    int rc = hk_mutex_lock(&mutex);

    (void)arg;
    if (rc == 0)
        hk_mutex_unlock(&mutex);
    return rc;
}

static int receives(void *arg)
{
    int item;

    return hk_chan_recv(arg, &item) == -EPIPE ? 0 : -1;
}

static int reads(void *arg)
{
    hk_fd *fd = arg;
    char byte;

    return (int)hk_read(*fd, &byte, 1) == 1 ? 0 : -1;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

struct world {
    hk_chan *chan;
    hk_fd in, out;
};

static void make_world(struct world *world)
{
    int fds[2];

    if (hk_chan_new(sizeof(int), 8, &world->chan) < 0 || pipe(fds) < 0 ||
        hk_fd_adopt(fds[0], HK_FD_STREAM, &world->in) < 0 ||
        hk_fd_adopt(fds[1], HK_FD_STREAM, &world->out) < 0)
        abort();
    hk_chan_set_name(world->chan, "jobs");
}

static void end_world(struct world *world)
{
    if (hk_write(world->out, "x", 1) != 1)
        abort();
    hk_event_set(&event);
    hk_mutex_unlock(&mutex);
    hk_chan_close(world->chan);
}

static int app_states(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    struct world world;
    int rc;

    (void)arg;
    make_world(&world);
    if (hk_mutex_lock(&mutex) != 0)
        return -1;
    hk_scope_open_with(&s, 0, "all");
    hk_spawn_named(&s, "waiter", waits, NULL, NULL);
    hk_spawn_named(&s, "sleeper", sleeps, NULL, NULL);
    hk_spawn_named(&s, "locker", locks, NULL, NULL);
    hk_spawn_named(&s, "receiver", receives, world.chan, NULL);
    hk_spawn_named(&s, "reader", reads, &world.in, NULL);
    (void)hk_sleep(2 * HK_MILLISECOND);
    hk_spawn(&s, nothing, NULL);
    take_dump();
    end_world(&world);
    (void)hk_yield();
    (void)hk_sleep(2 * HK_MILLISECOND);
    hk_scope_cancel(&s);
    rc = hk_scope_join(&s);
    (void)hk_close(world.in);
    (void)hk_close(world.out);
    hk_chan_free(world.chan);
    return rc;
}

static void every_state_is_named_with_what_is_waited_for(void **state)
{
    static const char *const order[] = {"runtime ",
                                        "worker 0: ",
                                        "task 'main' (id ",
                                        ") runs\n",
                                        "scope 'all': 6 children\n",
                                        "task 'waiter' ",
                                        "task 'sleeper' ",
                                        "task 'locker' ",
                                        "task 'receiver' ",
                                        "task 'reader' ",
                                        "task 'nothing' ", /* its function */
                                        NULL};
    const hk_options options = {.check_ledger = true};

    (void)state;
    assert_int_equal(run(app_states, &options), 0);
    expect_in_order(order);
    expect("waits for event ('gate') for ");
    expect("sleeps, 3599.9 s left\n");
    expect("waits for mutex ('ledger', held) for ");
    expect("waits for channel receive ('jobs', capacity 8, 0 items) for ");
    expect("waits for I/O (");
    expect("descriptor ");
    expect(") has not started\n");
}

static void stacks_have_the_programs_functions_and_not_ours(void **state)
{
    const char *at;

    (void)state;
    at = find(text, "task 'waiter'"); /* of the dump before */
    at = find(at, "waits_deep_inside+0x");
    at = find(at + 1, "waits_deep_inside+0x");
    (void)find(at, "waits+0x");
    expect_not("hk_park");
    expect_not("hki_switch");
    expect_not("task_main");
    expect_not("hki_entry_thunk");
}

/* ---- scopes ---- */

static int inner_scopes(void *arg)
{
    hk_scope shielded = HK_SCOPE_INIT, limited = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open_with(&shielded, HK_SCOPE_SHIELDED | HK_SCOPE_WAIT_ALL, "armour");
    hk_scope_open_with(&limited, HK_SCOPE_FIRST_SUCCESS, "race");
    hk_scope_deadline(&limited, hk_now() + 100 * HK_SECOND);
    (void)hk_event_wait(&event);
    (void)hk_scope_join(&limited);
    return hk_scope_join(&shielded);
}

static int app_scopes(void *arg)
{
    hk_scope s = HK_SCOPE_INIT, late = HK_SCOPE_INIT;
    int rc;

    (void)arg;
    hk_event_clear(&event);
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, "outer");
    hk_spawn_named(&s, "child", inner_scopes, NULL, NULL);
    (void)hk_sleep(2 * HK_MILLISECOND);
    hk_scope_cancel(&s);
    hk_scope_open_with(&late, 0, "late");
    take_dump();
    (void)hk_scope_join(&late);
    hk_event_set(&event);
    rc = hk_scope_join(&s);
    return rc;
}

static int await_signals(void *arg)
{
    return hk_signals_wait(arg);
}

static int app_signals(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_signals *signals;
    int rc;

    (void)arg;
    rc = hk_signals_new((int[]){SIGUSR1, SIGTERM}, 2, &signals);
    if (rc < 0)
        return rc;
    hk_scope_open(&s);
    hk_spawn(&s, await_signals, signals);
    (void)hk_sleep(2 * HK_MILLISECOND);
    take_dump();
    hk_scope_cancel(&s);
    rc = hk_scope_join(&s);
    hk_signals_free(signals);
    return rc;
}

static void a_wait_for_signals_names_them(void **state)
{
    (void)state;
    assert_int_equal(run(app_signals, NULL), 0);
    expect("task 'await_signals' (id ");
    expect("waits for signal (SIGUSR1 or SIGTERM) for ");
}

static void scopes_tell_their_flags_and_deadlines(void **state)
{
    static const char *const order[] = {
        "task 'main' (id ",
        ") runs, cancelled\n",
        "scope 'outer': 1 child, parallel, cancelled\n",
        "task 'child' ",
        "waits for event",
        "scope 'armour': 0 children, wait-all, shielded\n",
        "scope 'race': 0 children, first-success, deadline in 99.9 s\n",
        "scope 'late': 0 children, cancelled from outside\n",
        NULL};

    (void)state;
    assert_int_equal(run(app_scopes, NULL), 0);
    expect_in_order(order);
}

static int app_virtual(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn_named(&s, "sleeper", sleeps, NULL, NULL);
    (void)hk_sleep(600 * HK_SECOND);
    take_dump();
    hk_scope_cancel(&s);
    rc = hk_scope_join(&s);
    return rc;
}

static void times_are_those_of_the_virtual_clock(void **state)
{
    const hk_options options = {.virtual_clock = true};

    (void)state;
    assert_int_equal(run(app_virtual, &options), 0);
    expect("sleeps, 3000.0 s left\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_is_named_with_what_is_waited_for),
        cmocka_unit_test(stacks_have_the_programs_functions_and_not_ours),
        cmocka_unit_test(scopes_tell_their_flags_and_deadlines),
        cmocka_unit_test(a_wait_for_signals_names_them),
        cmocka_unit_test(times_are_those_of_the_virtual_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
