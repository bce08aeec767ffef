/* SPDX-License-Identifier: MIT */
/*
 * Shows what hk_dump_tasks tells: every task with its name, state and what it waits
 * for, scopes with their flags and deadlines, stacks with static functions, several
 * workers and runtimes, plain threads; called by a task, a callback's loop, a plain
 * thread, and when one worker is busy or there is no memory. The dump goes to a memfd,
 * whose text is searched.
 */
#include "base/annotate.h"
#include "child.h"

#include <hocket.h>
#include <hocket/inspect.h>
#include <hocket/lowlevel.h>

#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#define NOINLINE __attribute__((noinline))

/* ---- the dump as a text ---- */

static char text[1 << 20];

static void take_dump(void)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);
    ssize_t len;

    if (fd < 0 || hk_dump_tasks(fd) != 0)
        abort();
    len = pread(fd, text, sizeof(text) - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    (void)close(fd);
}

static const char *find(const char *from, const char *words)
{
    const char *at = strstr(from, words);

    if (!at) {
        printf("# \"%s\" is missing in:\n", words);
        for (const char *line = from; *line;) {
            int len = (int)strcspn(line, "\n");

            printf("# | %.*s\n", len, line);
            line += len + (line[len] == '\n');
        }
        (void)fflush(stdout);
        _exit(1);
    }
    return at;
}

static void expect(const char *words)
{
    (void)find(text, words);
}

/* In this order, each after the one before. */
static void expect_in_order(const char *const *words)
{
    const char *at = text;

    for (; *words; words++)
        at = find(at, *words) + 1;
}

static void expect_not(const char *words)
{
    if (!strstr(text, words))
        return;
    printf("# the dump says \"%s\"\n", words);
    (void)fflush(stdout);
    _exit(1);
}

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
    hk_spawn_named(&s, "unborn", nothing, NULL, NULL);
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
    static const char *const order[] = {"runtime ", "worker 0: ", "task 'main' (id ",
                                        ") runs\n", "scope 'all': 6 children\n",
                                        "task 'waiter' ", "task 'sleeper' ",
                                        "task 'locker' ", "task 'receiver' ",
                                        "task 'reader' ", "task 'unborn' ", NULL};
    const hk_options options = {.check_ledger = true};

    (void)state;
    assert_int_equal(run(app_states, &options), 0);
    expect_in_order(order);
    expect("waits for event (name gate) for ");
    expect("sleeps, 3599.9 s left\n");
    expect("waits for mutex (ledger, held) for ");
    expect("waits for channel receive (capacity 8, 0 items, name jobs) for ");
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

static void scopes_tell_their_flags_and_deadlines(void **state)
{
    static const char *const order[] = {
        "task 'main' (id ",
        ") runs, cancelled\n",
        "scope 'outer': 1 children, parallel, cancelled\n",
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

/* ---- who asks ---- */

static uint32_t dumped; /* atomic */

static void *dumper(void *arg)
{
    take_dump();
    __atomic_store_n(&dumped, 1, __ATOMIC_RELEASE);
    return arg;
}

static int app_thread_asks(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    pthread_t thread;

    (void)arg;
    dumped = 0;
    hk_scope_open(&s);
    hk_spawn_named(&s, "sleeper", sleeps, NULL, NULL);
    if (pthread_create(&thread, NULL, dumper, NULL) != 0)
        return -1;
    while (!__atomic_load_n(&dumped, __ATOMIC_ACQUIRE))
        (void)hk_sleep(HK_MILLISECOND);
    (void)pthread_join(thread, NULL);
    hk_scope_cancel(&s);
    return hk_scope_join(&s);
}

static void a_plain_thread_may_ask(void **state)
{
    (void)state;
    assert_int_equal(run(app_thread_asks, NULL), 0);
    expect("task 'main' (id ");
    expect("sleeps, ");
    expect_not("busy");
}

static void dumping_timer(hk_timer *timer)
{
    (void)timer;
    take_dump();
}

static int app_loop_asks(void *arg)
{
    hk_timer timer = {.hki_link = NULL};

    (void)arg;
    hk_timer_set(&timer, hk_now() + HK_MILLISECOND, dumping_timer);
    return hk_sleep(2 * HK_MILLISECOND);
}

static void a_callback_may_ask(void **state)
{
    (void)state;
    text[0] = '\0';
    assert_int_equal(run(app_loop_asks, NULL), 0);
    expect("task 'main' (id ");
    expect("sleeps, ");
}

static void without_a_runtime_there_is_nothing_to_tell(void **state)
{
    (void)state;
    take_dump();
    expect_not("runtime ");
    assert_int_equal(hk_dump_tasks(-1), 0); /* not even a write that fails */
}

static int app_bad_descriptor(void *arg)
{
    (void)arg;
    return hk_dump_tasks(1000000) == -EBADF ? 0 : -1;
}

static void an_error_of_the_write_is_returned(void **state)
{
    (void)state;
    assert_int_equal(run(app_bad_descriptor, NULL), 0);
}

/* ---- several workers and runtimes ---- */

static volatile int spins;
static uint32_t spinning; /* atomic */

static NOINLINE void spins_until_dumped(void)
{
    __atomic_store_n(&spinning, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&dumped, __ATOMIC_ACQUIRE)) {
        spins = spins + 1;
#ifdef HKI_TSAN
        (void)poll(NULL, 0, 0);
#endif
    }
}

static int busy(void *arg)
{
    (void)arg;
    spins_until_dumped();
    return 0;
}

/* The task that shares the worker with the busy one cannot be shown. */
static int app_busy(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    dumped = spinning = 0;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, "both");
    hk_spawn_named(&s, "sleeper 1", sleeps, NULL, NULL);
    hk_spawn_named(&s, "sleeper 2", sleeps, NULL, NULL);
    (void)hk_sleep(HK_MILLISECOND);
    hk_spawn_named(&s, "busy", busy, NULL, NULL);
    while (!__atomic_load_n(&spinning, __ATOMIC_ACQUIRE))
        ; /* this worker is taken: the other one will come */
    take_dump();
    __atomic_store_n(&dumped, 1, __ATOMIC_RELEASE);
    hk_scope_cancel(&s);
    return hk_scope_join(&s);
}

static void a_busy_worker_is_named_with_its_task(void **state)
{
    const hk_options options = {.workers = 2, .stall_ns = -1};

    (void)state;
    assert_int_equal(run(app_busy, &options), 0);
    expect("worker 1 is busy with task 'busy'; its tasks cannot be shown\n");
    expect("scope 'both': 3 children, parallel\n");
    expect("task 'busy' (id ");
    expect(") belongs to a busy worker\n");
#ifndef HKI_TSAN
    expect("spins_until_dumped+0x");
#endif
}

static uint32_t second_runs; /* atomic */

static int app_second(void *arg)
{
    hk_task_rename("the other main");
    __atomic_store_n(&second_runs, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&dumped, __ATOMIC_ACQUIRE))
        (void)hk_sleep(HK_MILLISECOND);
    return arg != NULL;
}

static void *second_runtime(void *arg)
{
    return hk_run(app_second, NULL, NULL) == 0 ? arg : &second_runs;
}

static int app_two_runtimes(void *arg)
{
    pthread_t thread;
    void *result;

    (void)arg;
    dumped = second_runs = 0;
    if (pthread_create(&thread, NULL, second_runtime, NULL) != 0)
        return -1;
    while (!__atomic_load_n(&second_runs, __ATOMIC_ACQUIRE))
        (void)hk_sleep(HK_MILLISECOND);
    take_dump();
    __atomic_store_n(&dumped, 1, __ATOMIC_RELEASE);
    (void)pthread_join(thread, &result);
    return result ? -1 : 0;
}

static void every_runtime_is_shown(void **state)
{
    const hk_options options = {.workers = 2};

    (void)state;
    assert_int_equal(run(app_two_runtimes, &options), 0);
    expect(": 2 workers on ");
    expect(": 1 worker on ");
    expect("task 'main' (id ");
    expect("task 'the other main' (id ");
}

/* ---- plain threads ---- */

static void *thread_waits(void *arg)
{
    (void)pthread_setname_np(pthread_self(), "bystander");
    (void)hk_event_wait(arg);
    return NULL;
}

static int app_threads(void *arg)
{
    hk_event gate = HK_EVENT_INIT;
    pthread_t thread;

    (void)arg;
    if (pthread_create(&thread, NULL, thread_waits, &gate) != 0)
        return -1;
    do {
        (void)hk_sleep(HK_MILLISECOND);
        take_dump();
    } while (!strstr(text, "thread 'bystander'") ||
             !strstr(text, "waits for event for"));
    hk_event_set(&gate);
    return -pthread_join(thread, NULL);
}

static void plain_threads_tell_what_they_wait_for(void **state)
{
    (void)state;
    assert_int_equal(run(app_threads, NULL), 0);
    expect("threads\n");
}

static int background_child(void *arg)
{
    return hk_event_wait(arg);
}

/* Leaves a background runtime behind: in a child. */
static int body_background(void)
{
    hk_event gate = HK_EVENT_INIT;
    hk_scope s = HK_SCOPE_INIT;

    (void)pthread_setname_np(pthread_self(), "boss");
    hk_scope_open_with(&s, 0, "work");
    hk_spawn_named(&s, "helper", background_child, &gate, NULL);
    do {
        take_dump();
    } while (!strstr(text, "waits for event"));
    expect("background runtime ");
    expect("in scope 'work' of thread 'boss':\n");
    expect("task 'helper' (id ");
    hk_event_set(&gate);
    return hk_scope_join(&s);
}

static void tasks_of_plain_threads_are_shown(void **state)
{
    struct child child = run_child(body_background);

    (void)state;
    expect_exit(&child, 0);
}

/* ---- no memory ---- */

static int dumps_without_memory(void *arg)
{
    struct rlimit limit;
    int rc;

    (void)arg;
    (void)getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = 1; /* no new mapping: neither for the text nor for symbols */
    (void)setrlimit(RLIMIT_AS, &limit);
    rc = hk_dump_tasks(STDERR_FILENO);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_AS, &limit);
    return rc;
}

static int app_no_memory(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    (void)arg;
    hk_event_clear(&event);
    hk_scope_open(&s);
    hk_spawn_named(&s, "waiter", waits, NULL, NULL);
    (void)hk_yield();
    rc = dumps_without_memory(NULL);
    hk_event_set(&event);
    return rc == 0 ? hk_scope_join(&s) : rc;
}

static int body_no_memory(void)
{
    return run(app_no_memory, NULL) == 0 ? 0 : 1;
}

static void without_memory_it_is_shorter_but_whole(void **state)
{
    struct child child = run_child(body_no_memory);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "runtime ");
    expect_words(&child, "task 'main'");
    expect_words(&child, "task 'waiter'");
    expect_words(&child, "waits for event (name gate)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_of_plain_threads_are_shown),
        cmocka_unit_test(without_memory_it_is_shorter_but_whole),
        cmocka_unit_test(every_state_is_named_with_what_is_waited_for),
        cmocka_unit_test(stacks_have_the_programs_functions_and_not_ours),
        cmocka_unit_test(scopes_tell_their_flags_and_deadlines),
        cmocka_unit_test(times_are_those_of_the_virtual_clock),
        cmocka_unit_test(a_plain_thread_may_ask),
        cmocka_unit_test(a_callback_may_ask),
        cmocka_unit_test(without_a_runtime_there_is_nothing_to_tell),
        cmocka_unit_test(an_error_of_the_write_is_returned),
        cmocka_unit_test(a_busy_worker_is_named_with_its_task),
        cmocka_unit_test(every_runtime_is_shown),
        cmocka_unit_test(plain_threads_tell_what_they_wait_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
