/* SPDX-License-Identifier: MIT */
/*
 * Tasks of two workers and two plain threads take random sets of mutexes and rwlocks,
 * from a seed (HOCKET_SEED replays one), with the checks on.
 *
 * In one order: no report, whatever the timing, also while the checks are switched on
 * and off under them. In any order, backing off at -EDEADLK: deadlocks happen all the
 * time, each must be found and ended, and everybody gets its work done; a wrong verdict
 * would show as a failure without a deadlock, a missed one as a hang.
 *
 * Run: full
 */
#include "support/core_test.h"

#include <hocket/check.h>

enum {
    LOCKS_USED = 12,
    TASKS = 12,
    THREADS = 2,
    TOGGLES = 200,
};

struct world {
    hk_mutex mutexes[LOCKS_USED]; /* a number is that of a mutex or of a rwlock */
    hk_rwlock rwlocks[LOCKS_USED];
    long counters[LOCKS_USED]; /* guarded by the lock of the same number */
    bool any_order;
    int rounds;
    int deadlocks; /* atomic */
    int reports;   /* atomic */
    int next_seed; /* atomic */
    int running;   /* atomic */
    uint64_t seed;
};

static struct world world;

static void count_reports(hk_log_level level, const char *line, void *ctx)
{
    (void)ctx;
    if (level < HK_LOG_WARNING)
        return;
    __atomic_add_fetch(&world.reports, 1, __ATOMIC_RELAXED);
    if (!world.any_order)
        printf("# %s\n", line);
}

/* ---- one set of mutexes ---- */

static void choose(uint64_t *random, int *set, int count)
{
    for (int i = 0; i < count; i++) {
        bool again;

        do {
            set[i] = (int)below(random, LOCKS_USED);
            again = false;
            for (int j = 0; j < i; j++)
                again = again || set[j] == set[i];
        } while (again);
    }
    for (int i = 1; i < count && !world.any_order; i++)
        for (int j = i; j > 0 && set[j - 1] > set[j]; j--) {
            int other = set[j];

            set[j] = set[j - 1];
            set[j - 1] = other;
        }
}

static bool is_rwlock(int number)
{
    return number % 3 == 2;
}

static void unlock_all(const int *set, int count)
{
    while (count-- > 0)
        if (is_rwlock(set[count]))
            hk_rwlock_unlock(&world.rwlocks[set[count]]);
        else
            hk_mutex_unlock(&world.mutexes[set[count]]);
}

enum manner { LOCKS, TRIES, SHIELDED };

static enum manner choose_manner(uint64_t *random)
{
    uint64_t draw = below(random, 16);

    if (draw < 2)
        return TRIES;
    return draw == 2 && !world.any_order ? SHIELDED : LOCKS; /* that one cannot fail */
}

static int lock_mutex(hk_mutex *mutex, enum manner manner)
{
    switch (manner) {
    case TRIES: return hk_mutex_try_lock(mutex);
    case SHIELDED: hk_mutex_lock_shielded(mutex); return 0;
    default: return hk_mutex_lock(mutex);
    }
}

static int lock_rwlock(hk_rwlock *lock, enum manner manner, bool to_write)
{
    switch (manner) {
    case TRIES:
        return to_write ? hk_rwlock_try_write_lock(lock)
                        : hk_rwlock_try_read_lock(lock);
    case SHIELDED:
        if (to_write)
            hk_rwlock_write_lock_shielded(lock);
        else
            hk_rwlock_read_lock_shielded(lock);
        return 0;
    default: return to_write ? hk_rwlock_write_lock(lock) : hk_rwlock_read_lock(lock);
    }
}

static int lock_one(uint64_t *random, int number, bool to_write)
{
    enum manner manner = choose_manner(random);

    for (;; manner = LOCKS) {
        int rc = is_rwlock(number)
                     ? lock_rwlock(&world.rwlocks[number], manner, to_write)
                     : lock_mutex(&world.mutexes[number], manner);

        if (rc != -EAGAIN)
            return rc;
    }
}

/* True: it has them all. False: it has none, since it was told to back off. */
static bool lock_all(uint64_t *random, const int *set, int count, bool to_write)
{
    for (int i = 0; i < count; i++) {
        int rc = lock_one(random, set[i], to_write);

        if (rc == -EDEADLK) {
            __atomic_add_fetch(&world.deadlocks, 1, __ATOMIC_RELAXED);
            unlock_all(set, i);
            return false;
        }
        CHECK_EQ(rc, 0);
        if (below(random, 4) == 0)
            CHECK_EQ(hk_yield(), 0);
    }
    return true;
}

static int works(void *arg)
{
    uint64_t number =
        (uint64_t)__atomic_add_fetch(&world.next_seed, 1, __ATOMIC_RELAXED);
    uint64_t random = (world.seed + number) * UINT64_C(0x9E3779B97F4A7C15) | 1;

    (void)arg;
    for (int round = 0; round < world.rounds; round++) {
        int set[4], count = 1 + (int)below(&random, 4);
        bool to_write;

        choose(&random, set, count);
        to_write = below(&random, 3) == 0;
        while (!lock_all(&random, set, count, to_write))
            CHECK_EQ(hk_yield(), 0);
        for (int i = 0; i < count; i++)
            if (to_write || !is_rwlock(set[i]))
                world.counters[set[i]]++;
        unlock_all(set, count);
    }
    __atomic_sub_fetch(&world.running, 1, __ATOMIC_RELAXED);
    return 0;
}

static void *works_as_thread(void *arg)
{
    (void)works(NULL);
    return arg;
}

/* ---- all of them ---- */

static const hk_check_options no_limit = {.hold_limit_ns = -1};

static int toggles(void *arg)
{
    (void)arg;
    for (int i = 0; i < TOGGLES && __atomic_load_n(&world.running, __ATOMIC_RELAXED);
         i++) {
        CHECK_EQ(hk_check(i & 1 ? HK_CHECK_LOCKS : 0, &no_limit), 0);
        CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    }
    return 0;
}

static int everybody(void *arg)
{
    bool with_toggles = *(const bool *)arg;
    pthread_t threads[THREADS];
    hk_scope s = HK_SCOPE_INIT;

    world.running = TASKS + THREADS;
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, works_as_thread, NULL), 0);
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < TASKS; i++)
        CHECK_EQ(hk_spawn(&s, works, NULL), 0);
    if (with_toggles)
        CHECK_EQ(hk_spawn(&s, toggles, NULL), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    return 0;
}

static void run_world(bool any_order, bool with_toggles, int rounds)
{
    const hk_options two = {.workers = 2, .stall_ns = -1};

    world = (struct world){
        .any_order = any_order,
        .rounds = is_long_run() ? 20 * rounds : rounds,
        .seed = seed_of_run(0xc4ec),
    };
    hk_log_to(count_reports, NULL);
    CHECK_EQ(hk_check(HK_CHECK_LOCKS, &no_limit), 0);
    CHECK_EQ(hk_run(everybody, &with_toggles, &two), 0);
    CHECK_EQ(hk_check(0, NULL), 0);
    hk_log_to(NULL, NULL);
}

static void one_order_gives_no_report(void **state)
{
    (void)state;
    run_world(false, false, 2000);
    assert_int_equal(world.deadlocks, 0);
    assert_int_equal(world.reports, 0);
}

static void switching_them_on_and_off_gives_no_report(void **state)
{
    (void)state;
    run_world(false, true, 2000);
    assert_int_equal(world.deadlocks, 0);
    assert_int_equal(world.reports, 0);
}

static void every_deadlock_is_found_and_ended(void **state)
{
    (void)state;
    run_world(true, false, 300);
    printf("# %d deadlocks\n", world.deadlocks);
    assert_true(world.deadlocks > 0);
    assert_true(world.reports > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_order_gives_no_report),
        cmocka_unit_test(switching_them_on_and_off_gives_no_report),
        cmocka_unit_test(every_deadlock_is_found_and_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
