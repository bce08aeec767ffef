/* SPDX-License-Identifier: MIT */
/*
 * Random trees of parallel computations, from a seed (HOCKET_SEED replays one): forks,
 * loops of every schedule, scopes, sleeps, locks, jobs, errors and cancels inside one
 * another, by plain threads, by tasks of two workers and by jobs, all at once on one
 * pool. Shown of each tree: all that was begun has ended when the call returns; without
 * errors and cancels every leaf was visited once; else the result is one that a leaf
 * gave, or -ECANCELED.
 *
 * Run: full, limit=240
 */
#include "support/parallel_test.h"

struct tree {
    uint64_t seed;
    bool may_fail;
    hk_mutex mutex;
    int64_t guarded;     /* by mutex: leaves */
    int64_t begun, over; /* atomic: nodes */
    int64_t leaves;      /* atomic */
};

struct node {
    struct tree *tree;
    uint64_t random;
    int depth;
    int64_t leaves; /* below it, when nothing fails */
};

enum { CHILDREN_MAX = 6, DEPTH_MAX = 4 };

static int visit(void *arg);

static int visit_all(int64_t begin, int64_t end, void *ctx)
{
    struct node *children = ctx;
    int rc = 0;

    for (int64_t i = begin; rc == 0 && i < end; i++)
        rc = visit(&children[i]);
    return rc;
}

static int fork_all(struct node *children, size_t count)
{
    hk_forked forked[CHILDREN_MAX];

    for (size_t i = 0; i < count; i++)
        hk_fork(&forked[i], visit, &children[i]);
    return hk_join_all(forked, count);
}

static int loop_over(struct node *children, size_t count, uint64_t *chance)
{
    const hk_parallel_options options = {
        .schedule = (hk_schedule)below(chance, 3),
        .threads_max = (uint32_t)below(chance, 4),
        .grain = (int64_t)below(chance, 3),
    };

    return hk_parallel_for_with(0, (int64_t)count, &options, visit_all, children);
}

static int visit_job(hk_bytes input, hk_result *result)
{
    struct node *child;

    (void)result;
    memcpy(&child, input.data, sizeof(child));
    return visit(child);
}

/* Their errors are -EIDRM when they were cancelled: an echo. */
static int submit_all(struct node *children, size_t count)
{
    hk_future *futures[CHILDREN_MAX];
    hk_scope s;
    int first = 0;

    hk_scope_open(&s);
    for (size_t i = 0; i < count; i++) {
        struct node *child = &children[i];

        futures[i] = hk_submit(hk_threads(), visit_job, &child, sizeof(child));
    }
    (void)hk_scope_join(&s);
    for (size_t i = 0; i < count; i++) {
        int rc = hk_future_try(futures[i], NULL);

        hk_future_free(futures[i]);
        if (first == 0 && rc < 0)
            first = rc == -EIDRM ? -ECANCELED : rc;
    }
    return first;
}

static int leaf(struct tree *tree, uint64_t *chance)
{
    __atomic_add_fetch(&tree->leaves, 1, __ATOMIC_RELAXED);
    hk_mutex_lock_shielded(&tree->mutex);
    tree->guarded++;
    hk_mutex_unlock(&tree->mutex);
    if (below(chance, 30) == 0 && hk_sleep((int64_t)below(chance, 100000)) < 0)
        return -ECANCELED;
    if (below(chance, 20) == 0)
        hk_yield();
    return tree->may_fail && below(chance, 100) == 0 ? -EDOM : 0;
}

static int branch(struct node *node, uint64_t *chance)
{
    struct node children[CHILDREN_MAX];
    size_t count = 1 + (size_t)below(chance, CHILDREN_MAX);
    bool has_scope = below(chance, 5) == 0;
    uint64_t kind = below(chance, 8);
    hk_scope s;
    int rc;

    for (size_t i = 0; i < count; i++)
        children[i] =
            (struct node){node->tree, next_random(chance) | 1, node->depth + 1, 0};
    if (has_scope) {
        hk_scope_open(&s);
        if (node->tree->may_fail && below(chance, 2))
            hk_scope_deadline(&s, hk_now() + (int64_t)below(chance, 500000));
    }
    rc = kind < 3   ? fork_all(children, count)
         : kind < 7 ? loop_over(children, count, chance)
                    : submit_all(children, count);
    if (has_scope)
        (void)hk_scope_join(&s);
    for (size_t i = 0; i < count; i++)
        node->leaves += children[i].leaves;
    return rc;
}

static int visit(void *arg)
{
    struct node *node = arg;
    uint64_t chance = node->random;
    int rc;

    __atomic_add_fetch(&node->tree->begun, 1, __ATOMIC_RELAXED);
    if (node->depth == DEPTH_MAX || below(&chance, 4) == 0) {
        node->leaves = 1;
        rc = leaf(node->tree, &chance);
    } else {
        rc = branch(node, &chance);
    }
    __atomic_add_fetch(&node->tree->over, 1, __ATOMIC_RELAXED);
    return rc;
}

static void try_tree(uint64_t seed, bool may_fail)
{
    struct tree tree = {.seed = seed, .may_fail = may_fail, .mutex = HK_MUTEX_INIT};
    struct node root = {&tree, seed, 0, 0};
    int rc = below(&seed, 2) ? hk_parallel_run(visit, &root) : visit(&root);

    if (!may_fail) {
        CHECK_EQ(rc, 0);
        CHECK_EQ(tree.leaves, root.leaves);
    }
    CHECK(rc == 0 || rc == -EDOM || rc == -ECANCELED);
    CHECK_EQ(__atomic_load_n(&tree.begun, __ATOMIC_RELAXED),
             __atomic_load_n(&tree.over, __ATOMIC_RELAXED));
    CHECK_EQ(tree.guarded, tree.leaves);
}

/* ---- from everywhere at once ---- */

static int64_t until_ns; /* immutable while trees grow */
static uint64_t trees;   /* atomic: numbers them */
static uint64_t first_seed;

static int grow_trees(void *unused)
{
    (void)unused;
    while (real_time_ns() < until_ns) {
        uint64_t n = __atomic_add_fetch(&trees, 1, __ATOMIC_RELAXED);
        uint64_t seed = first_seed + n * UINT64_C(0x9e3779b97f4a7c15);

        try_tree(seed | 1, n % 2);
    }
    return 0;
}

static void *grow_on_thread(void *unused)
{
    (void)grow_trees(unused);
    return NULL;
}

static int grow_in_tasks(void *unused)
{
    hk_scope s;

    (void)unused;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 4; i++)
        hk_spawn(&s, grow_trees, NULL);
    return hk_scope_join(&s);
}

static void *grow_in_a_runtime(void *unused)
{
    hk_options options = {.workers = 2}; /* the ledger is everybody's */

    CHECK_EQ(hk_run(grow_in_tasks, unused, &options), 0);
    return NULL;
}

static void random_trees_of_parallel_computations(void **state)
{
    enum { THREADS = 3, JOBS = 3 };
    pthread_t threads[THREADS + 1];
    const struct anywhere job = {grow_trees, NULL};
    hk_future *jobs[JOBS];

    (void)state;
    first_seed = seed_of_run((uint64_t)real_time_ns());
    until_ns = real_time_ns() + (is_long_run() ? 120 : 5) * HK_SECOND;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, grow_on_thread, NULL), 0);
    assert_int_equal(pthread_create(&threads[THREADS], NULL, grow_in_a_runtime, NULL),
                     0);
    for (int i = 0; i < JOBS; i++)
        jobs[i] =
            hk_submit(i % 2 ? crowd() : hk_threads(), in_the_pool, &job, sizeof(job));
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(hk_future_await(jobs[i], NULL), 0);
        hk_future_free(jobs[i]);
    }
    for (int i = 0; i <= THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    printf("# %llu trees\n", (unsigned long long)trees);
    assert_true(trees > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_trees_of_parallel_computations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
