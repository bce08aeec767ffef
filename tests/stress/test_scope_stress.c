/* SPDX-License-Identifier: MIT */
/*
 * Random trees of scopes, tasks, threads, cancels, deadlines, shields, errors and
 * parallel scopes on one to three workers, from a seed (HOCKET_SEED replays one). Shown
 * of each tree: every spawned task and thread ran to its end, every join returned what
 * rule 4 allows and not before the last child, cancelled calls stay cancelled, the
 * ledger is balanced.
 * Then the large: 200,000 parked tasks, a cancel of 100,000 (C17), a chain of 20,000
 * nested scopes.
 *
 * Run: full, limit=240
 */
#include "support/core_test.h"

/* ---- random trees ---- */

struct tree {
    uint64_t seed;
    int spawned, ended; /* atomic */
    int budget;         /* atomic: nodes that may still be made */
    bool threads;       /* the root is a plain thread */
    bool mixed;         /* some nodes are threads */
    bool toggles;       /* shields go up over running children: a cancel may not stay */
};

struct node {
    struct tree *tree;
    uint64_t random;
    hk_scope *scope; /* that it was spawned into */
    int depth;
    int *running; /* atomic: children of that scope that have not ended */
};

static int grow(void *arg);

static void spawn_task(struct node *parent, hk_scope *into, struct node *n)
{
    hk_task_id id;

    CHECK_EQ(hk_spawn_named(into, "node", grow, n, &id), 0);
    if (below(&parent->random, 12) == 0) {
        int rc = hk_task_cancel(id);

        CHECK(rc == 0 || rc == -ESRCH);
    }
}

static void spawn_thread(struct node *parent, hk_scope *into, struct node *n)
{
    hk_thread thread;

    CHECK_EQ(hk_spawn_thread_with(into, NULL, grow, n, &thread), 0);
    if (below(&parent->random, 12) == 0) {
        int rc = hk_thread_cancel(thread);

        CHECK(rc == 0 || rc == -ESRCH);
    }
    if (below(&parent->random, 12) == 0) {
        int rc = hk_thread_join(thread);

        CHECK(rc == 0 || rc == -ECANCELED);
    }
}

static void spawn_node(struct node *parent, hk_scope *into, int *running)
{
    struct node *n;

    if (__atomic_sub_fetch(&parent->tree->budget, 1, __ATOMIC_RELAXED) < 0)
        return;
    n = malloc(sizeof(*n));
    *n = (struct node){
        .tree = parent->tree,
        .random = next_random(&parent->random) | 1,
        .scope = into,
        .depth = parent->depth + 1,
        .running = running,
    };
    __atomic_add_fetch(running, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&n->tree->spawned, 1, __ATOMIC_RELAXED);
    if (n->tree->mixed && below(&parent->random, 3) == 0)
        spawn_thread(parent, into, n);
    else
        spawn_task(parent, into, n);
}

static void some_call(struct node *n)
{
    int before = hk_cancelled(), rc;

    switch (below(&n->random, 5)) {
    case 0: rc = hk_yield(); break;
    case 1: rc = hk_sleep((int64_t)below(&n->random, 200000)); break;
    case 2: {
        hk_event never = HK_EVENT_INIT;
        hk_scope s = HK_SCOPE_INIT;
        int joined;

        hk_scope_open(&s);
        hk_scope_deadline(&s, hk_now() + (int64_t)below(&n->random, 100000));
        CHECK_EQ(hk_event_wait(&never), -ECANCELED);
        joined = hk_scope_join(&s);
        CHECK(joined == -ETIMEDOUT || joined == -ECANCELED);
        rc = joined == -ECANCELED ? hk_cancelled() : before;
        if (joined == -ECANCELED && !n->tree->toggles)
            CHECK_EQ(rc, -ECANCELED);
        break;
    }
    default: rc = hk_cancelled();
    }
    CHECK(rc == 0 || rc == -ECANCELED);
    if (before == -ECANCELED && !n->tree->toggles) /* level-triggered */
        CHECK_EQ(rc, -ECANCELED);
}

/* One scope with children, opened inside `n`. */
static void branch(struct node *n)
{
    static const unsigned policies[] = {0, 0, HK_SCOPE_WAIT_ALL,
                                        HK_SCOPE_FIRST_SUCCESS};
    unsigned flags = policies[below(&n->random, 4)];
    hk_scope s = HK_SCOPE_INIT;
    int running = 0, children, rc;
    bool own_deadline = false, failed = false;

    if (!n->tree->threads && below(&n->random, 3) == 0)
        flags |= HK_SCOPE_PARALLEL;
    if (below(&n->random, 6) == 0)
        flags |= HK_SCOPE_SHIELDED;
    hk_scope_open_with(&s, flags, "branch");
    if (below(&n->random, 4) == 0) {
        own_deadline = true;
        hk_scope_deadline(&s, hk_now() + (int64_t)below(&n->random, 500000));
    }
    children = (int)below(&n->random, 6);
    for (int i = 0; i < children; i++) {
        spawn_node(n, &s, &running);
        if (below(&n->random, 4) == 0)
            some_call(n);
    }
    if (n->scope && below(&n->random, 6) == 0)
        spawn_node(n, n->scope, n->running); /* a sibling, from below */
    if (below(&n->random, 8) == 0)
        hk_scope_cancel(&s);
    if (below(&n->random, 16) == 0) {
        hk_scope_fail(&s, -EXDEV);
        failed = true;
    }
    if (n->tree->toggles && below(&n->random, 8) == 0) {
        hk_scope_shield(&s, true);
        some_call(n);
        hk_scope_shield(&s, (flags & HK_SCOPE_SHIELDED) != 0);
    }
    if (n->scope && below(&n->random, 30) == 0)
        hk_scope_cancel(n->scope); /* its siblings and itself */
    some_call(n);
    rc = hk_scope_join(&s);
    CHECK_EQ(__atomic_load_n(&running, __ATOMIC_ACQUIRE), 0); /* rule 3 */
    CHECK(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT || rc == -EIO ||
          rc == -EXDEV);
    if (rc == -ETIMEDOUT)
        CHECK(own_deadline);
    if (failed && !(flags & HK_SCOPE_FIRST_SUCCESS))
        CHECK(rc == -EXDEV || rc == -EIO || rc == -ECANCELED);
    if (rc == 0 && (hk_scope_reason(&s) == HK_BY_FAILURE))
        CHECK(flags & HK_SCOPE_FIRST_SUCCESS || failed);
}

static int grow(void *arg)
{
    struct node *n = arg;
    int *running = n->running;
    struct tree *tree = n->tree;
    int result = 0;

    for (int i = (int)below(&n->random, 3); i >= 0; i--)
        some_call(n);
    if (n->depth < 6 && below(&n->random, 2) == 0)
        branch(n);
    switch (below(&n->random, 10)) {
    case 0: result = -EIO; break;
    case 1:
    case 2: result = hk_cancelled(); break;
    default: break;
    }
    free(n);
    __atomic_add_fetch(&tree->ended, 1, __ATOMIC_RELAXED);
    __atomic_sub_fetch(running, 1, __ATOMIC_RELEASE);
    return result;
}

static int plant(void *arg)
{
    struct tree *tree = arg;
    struct node root = {.tree = tree, .random = tree->seed | 1};

    branch(&root);
    CHECK_EQ(hk_cancelled(), 0);
    CHECK_EQ(__atomic_load_n(&tree->spawned, __ATOMIC_RELAXED),
             __atomic_load_n(&tree->ended, __ATOMIC_RELAXED));
    return 0;
}

static void run_trees(uint32_t workers, bool virtual_clock, int count, uint64_t seed)
{
    for (int i = 0; i < count; i++) {
        struct tree tree = {
            .seed = seed + (uint64_t)i * 7919, .budget = 300, .toggles = i % 2};
        hk_options options = {
            .workers = workers, .virtual_clock = virtual_clock, .check_ledger = true};

        CHECK_EQ(hk_run(plant, &tree, &options), 0);
    }
}

static void random_trees_on_one_worker_and_the_virtual_clock(void **state)
{
    (void)state;
    run_trees(1, true, is_long_run() ? 100000 : scaled(3000, 300), seed_of_run(0x711));
}

static void random_trees_on_two_workers(void **state)
{
    (void)state;
    run_trees(2, false, is_long_run() ? 50000 : scaled(1000, 100), seed_of_run(0x722));
}

static void random_trees_on_three_workers(void **state)
{
    (void)state;
    run_trees(3, false, is_long_run() ? 50000 : scaled(1000, 100), seed_of_run(0x733));
}

static void random_trees_with_threads_on_two_workers(void **state)
{
    uint64_t seed = seed_of_run(0x755);

    (void)state;
    for (int i = 0; i < (is_long_run() ? 20000 : scaled(300, 50)); i++) {
        struct tree tree = {.seed = seed + (uint64_t)i * 7919,
                            .budget = 100,
                            .mixed = true,
                            .toggles = i % 2};

        CHECK_EQ(run_workers(2, plant, &tree), 0);
    }
}

/* A plain thread as the root: its children live on the background runtime. */
static void random_trees_of_a_plain_thread(void **state)
{
    uint64_t seed = seed_of_run(0x744);

    (void)state;
    for (int i = 0; i < scaled(500, 50); i++) {
        struct tree tree = {.seed = seed + (uint64_t)i * 7919,
                            .budget = 300,
                            .threads = true,
                            .mixed = i % 2};

        CHECK_EQ(plant(&tree), 0);
    }
}

/* ---- many ---- */

static int expect_cancelled_sleep(void *arg)
{
    CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
    __atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
    return -ECANCELED;
}

/* How long a cancel and its join take, in ns of processor time, with `tasks`
 * children. */
static int64_t time_a_cancel(int tasks)
{
    hk_scope s = HK_SCOPE_INIT;
    int cancelled = 0;
    int64_t begin;

    hk_scope_open(&s);
    for (int i = 0; i < tasks; i++)
        CHECK_EQ(hk_spawn(&s, expect_cancelled_sleep, &cancelled), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    begin = cpu_time_ns();
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(__atomic_load_n(&cancelled, __ATOMIC_RELAXED), tasks);
    return cpu_time_ns() - begin;
}

static int cancel_100000(void *arg)
{
    int many = UNDER_TSAN ? 2000 : UNDER_ASAN ? 20000 : 100000;
    int64_t few_ns, many_ns;

    (void)arg;
    (void)time_a_cancel(many); /* stacks are made */
    few_ns = time_a_cancel(many / 10);
    many_ns = time_a_cancel(many);
    printf("# cancel and join of %d tasks: %lld us; of a tenth: %lld us\n", many,
           (long long)(many_ns / 1000), (long long)(few_ns / 1000));
    CHECK(many_ns < 100 * few_ns + 100 * HK_MILLISECOND); /* no quadratic step */
    CHECK(many_ns < 10 * HK_SECOND);
    return 0;
}

static void c17_cancel_of_a_scope_with_100000_tasks_takes_bounded_time(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(cancel_100000, NULL), 0);
}

static int nest(void *arg)
{
    int *depth = arg, rc;
    hk_scope s = HK_SCOPE_INIT;

    if (--*depth == 0)
        return hk_sleep(HK_NEVER) == -ECANCELED ? 0 : -EIO;
    hk_scope_open(&s);
    hk_spawn(&s, nest, arg);
    rc = hk_scope_join(&s);
    CHECK_EQ(rc, -ECANCELED);
    return rc;
}

static int cancel_a_chain(void *arg)
{
    int depth = UNDER_TSAN ? 1000 : UNDER_ASAN ? 5000 : 20000;
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, nest, &depth);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

/* A recursive walk would overflow the canceller's stack. */
static void c17_cancel_of_a_deep_chain_of_scopes_needs_no_recursion(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(cancel_a_chain, NULL), 0);
}

static int wait_at_gate(void *arg)
{
    return hk_event_wait(arg);
}

static int park_200000(void *arg)
{
    int many = UNDER_TSAN ? 3000 : UNDER_ASAN ? 20000 : 200000;
    hk_scope s = HK_SCOPE_INIT;
    hk_event gate = HK_EVENT_INIT;
    hk_stats stats;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < many; i++)
        CHECK_EQ(hk_spawn(&s, wait_at_gate, &gate), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_stats_read(&stats);
    CHECK_EQ(stats.tasks_alive, (uint64_t)many + 1);
    hk_event_set(&gate);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static void many_tasks_parked_at_once_all_wake(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(park_200000, NULL), 0);
}

static int spawn_a_million(void *arg)
{
    int many = UNDER_TSAN || UNDER_ASAN ? 50000 : 1000000, count = 0;
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < many; i++)
        CHECK_EQ(hk_spawn(&s, count_me, &count), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(count, many);
    return 0;
}

static void a_million_tasks_that_never_wait_share_one_stack(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(spawn_a_million, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_trees_on_one_worker_and_the_virtual_clock),
        cmocka_unit_test(random_trees_on_two_workers),
        cmocka_unit_test(random_trees_on_three_workers),
        cmocka_unit_test(random_trees_with_threads_on_two_workers),
        cmocka_unit_test(random_trees_of_a_plain_thread),
        cmocka_unit_test(c17_cancel_of_a_scope_with_100000_tasks_takes_bounded_time),
        cmocka_unit_test(c17_cancel_of_a_deep_chain_of_scopes_needs_no_recursion),
        cmocka_unit_test(many_tasks_parked_at_once_all_wake),
        cmocka_unit_test(a_million_tasks_that_never_wait_share_one_stack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
