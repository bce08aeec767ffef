/* SPDX-License-Identifier: MIT */
/*
 * Pools of processes with everything at once, at random: jobs that end, die, exit, run
 * for ever, and ask for jobs of their own, from threads and tasks, in scopes with
 * deadlines; that are cancelled in each way, wherever they are; in pools with small
 * queues, workers that are replaced, and a time to end when asked, which are terminated
 * or not. Each job has one outcome and was started no more often than it may, each join
 * comes back, and the numbers of the pool add up. A job that is forgotten is a test
 * that hangs.
 *
 * Run: limit=400
 */
#include "support/core_test.h"

#include <errno.h>

enum { JOBS_MAX = 2048, BATCH_MAX = 20, BATCHES = 6, SUBMITTERS = 2 };

/* ---- what runs in workers ---- */

enum kind { END, TAKE_TIME, WAIT, DIE, EXIT, ASK, ASK_LARGE, ASK_AND_GO, RUN_FOR_EVER };

HK_FN(hk_bytes, give_back, (hk_bytes, bytes))
{
    char *copy = malloc(bytes.size + 1);

    memcpy(copy, bytes.data, bytes.size);
    return (hk_bytes){copy, bytes.size};
}

/* Several jobs of its own, of which one is cancelled, and one forgotten. */
static int ask(size_t size)
{
    enum { COUNT = 5, CANCELLED = 2, FORGOTTEN = 3 };
    hk_future *futures[COUNT];
    char bytes[4096] = "";
    int rc = 0;

    for (int i = 0; i < COUNT; i++)
        futures[i] = give_back_on(hk_processes(), (hk_bytes){bytes, size});
    (void)hk_future_cancel(futures[CANCELLED], HK_CANCEL);
    for (int i = 0; i < COUNT; i++) {
        int one = i == FORGOTTEN ? 0 : hk_future_await(futures[i], NULL);

        if (one < 0 && i != CANCELLED)
            rc = one;
        hk_future_free(futures[i]);
    }
    return rc;
}

HK_FN(hk_rc, act, (hk_shared, board), (uint32_t, number), (int, kind), (uint32_t, us))
{
    uint32_t *runs = hk_shared_data(board);

    __atomic_add_fetch(&runs[number], 1, __ATOMIC_RELAXED);
    switch ((enum kind)kind) {
    case END: return 0;
    case TAKE_TIME: (void)usleep(us); return 0;
    case WAIT: return hk_sleep(us * HK_MICROSECOND);
    case DIE: return raise(SIGKILL);
    case EXIT: exit(3);
    case ASK: return ask(8);
    case ASK_LARGE: return ask(4096);
    case ASK_AND_GO:
        hk_future_free(give_back_on(hk_processes(), (hk_bytes){"x", 1}));
        return us % 2 ? raise(SIGKILL) : 0;
    case RUN_FOR_EVER:
        for (;;)
            (void)pause();
    }
    return -EINVAL;
}

/* ---- one batch of jobs ---- */

struct round {
    hk_executor *pool;
    hk_shared board;  /* how often each job was started */
    uint32_t numbers; /* atomic: given out so far */
    bool may_hold;    /* a job that runs for ever does not keep a submit waiting */
};

struct job {
    hk_future *future;
    uint32_t number, attempts_max;
};

struct submitter {
    struct round *round;
    uint64_t random;
};

/* True: it never ends by itself. */
static bool submit(struct submitter *submitter, struct job *job)
{
    struct round *round = submitter->round;
    uint64_t *random = &submitter->random;
    const hk_job_options options = {
        .priority = (int32_t)below(random, 3),
        .attempts_max = 1 + (uint32_t)below(random, 3),
        .nowait = below(random, 4) == 0,
    };
    int kind = (int)below(random, round->may_hold ? RUN_FOR_EVER + 1 : RUN_FOR_EVER);
    hk_executor_view view;

    job->attempts_max = options.attempts_max;
    job->number = __atomic_fetch_add(&round->numbers, 1, __ATOMIC_RELAXED) % JOBS_MAX;
    job->future = act_on(hk_with(&view, round->pool, &options), round->board,
                         job->number, kind, (uint32_t)below(random, 3000));
    return kind == RUN_FOR_EVER;
}

static void cancel_some(struct submitter *submitter, struct job *jobs, int count,
                        bool all)
{
    uint64_t *random = &submitter->random;

    for (int i = 0; i < count; i++) {
        hk_cancel_how how = (hk_cancel_how)below(random, 3);

        if (!all && below(random, 3))
            continue;
        if (all && how == HK_CANCEL_QUEUED)
            how = HK_KILL;
        for (uint64_t turns = below(random, 2) * below(random, 50000); turns > 0;
             turns--)
            __asm__ volatile("");
        (void)hk_future_cancel(jobs[i].future, how);
    }
}

static void check_outcome(const struct round *round, struct job *job)
{
    const uint32_t *runs = hk_shared_data(round->board);
    int rc = hk_future_await(job->future, NULL);
    hk_job_error error;

    CHECK(rc >= 0 || rc == -EIDRM || rc == -EOWNERDEAD || rc == -EAGAIN ||
          rc == -EDEADLK || rc == -EPIPE);
    CHECK_EQ(hk_future_error(job->future, &error), 0);
    CHECK(__atomic_load_n(&runs[job->number], __ATOMIC_RELAXED) <= error.attempts);
    CHECK(error.attempts <= job->attempts_max);
    hk_future_free(job->future);
}

static void run_batch(struct submitter *submitter)
{
    uint64_t *random = &submitter->random;
    int count = 1 + (int)below(random, BATCH_MAX);
    bool has_scope = below(random, 2), must_cancel = false;
    struct job jobs[BATCH_MAX];
    hk_scope s;

    if (has_scope) {
        hk_scope_open(&s);
        if (below(random, 2))
            hk_scope_deadline(&s,
                              hk_now() + (int64_t)below(random, 5000) * HK_MICROSECOND);
    }
    for (int i = 0; i < count; i++)
        must_cancel |= submit(submitter, &jobs[i]);
    cancel_some(submitter, jobs, count, must_cancel);
    if (has_scope && below(random, 3) == 0)
        hk_scope_cancel(&s);
    if (has_scope)
        (void)hk_scope_join(&s);
    for (int i = 0; i < count; i++)
        check_outcome(submitter->round, &jobs[i]);
}

static int run_batches(void *submitter)
{
    for (int i = 0; i < BATCHES; i++)
        run_batch(submitter);
    return 0;
}

/* As a thread, or as a task. */
static void *run_submitter(void *arg)
{
    struct submitter *submitter = arg;
    const hk_options options = {.workers = 1};

    if (below(&submitter->random, 2))
        CHECK_EQ(run_batches(submitter), 0);
    else
        CHECK_EQ(hk_run(run_batches, submitter, &options), 0);
    return NULL;
}

/* ---- one pool ---- */

static hk_executor *random_pool(uint64_t *random, bool *out_may_hold)
{
    const hk_process_options options = {
        .workers_max = 1 + (uint32_t)below(random, 3),
        .queue_max = below(random, 2) ? 0 : 1 + (uint32_t)below(random, 8),
        .jobs_per_worker = below(random, 2) ? 0 : 1 + below(random, 5),
        .cancel_grace_ns =
            below(random, 2) ? 0 : (int64_t)below(random, 3000) * HK_MICROSECOND,
        .spin_ns = below(random, 3) ? 0 : 20 * HK_MICROSECOND,
    };
    hk_executor *pool;

    CHECK_EQ(hk_process_pool_new(&options, &pool), 0);
    *out_may_hold = options.queue_max == 0;
    return pool;
}

/* So that several are sent to a worker at a time. */
static void run_short_jobs(struct round *round)
{
    for (int i = 0; i < 50; i++) {
        hk_future *future = act_on(round->pool, round->board, JOBS_MAX, END, 0);

        CHECK_EQ(hk_future_await(future, NULL), 0);
        hk_future_free(future);
    }
}

static void check_numbers(hk_executor *pool)
{
    hk_executor_stats stats;

    hk_executor_stats_read(pool, &stats);
    CHECK_EQ(stats.submitted, stats.done + stats.failed + stats.cancelled);
    CHECK_EQ(stats.queued, 0);
    CHECK_EQ(stats.running, 0);
}

static void run_round(uint64_t seed, hk_shared board)
{
    struct round round = {.board = board};
    struct submitter submitters[SUBMITTERS];
    pthread_t threads[SUBMITTERS];

    memset(hk_shared_data(board), 0, board.size);
    round.pool = random_pool(&seed, &round.may_hold);
    if (below(&seed, 2))
        run_short_jobs(&round);
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i] = (struct submitter){&round, next_random(&seed)};
        CHECK_EQ(pthread_create(&threads[i], NULL, run_submitter, &submitters[i]), 0);
    }
    if (below(&seed, 4) == 0) {
        (void)usleep((useconds_t)below(&seed, 20000));
        hk_executor_terminate(round.pool);
    }
    for (int i = 0; i < SUBMITTERS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(hk_executor_join(round.pool), 0);
    check_numbers(round.pool);
    hk_executor_free(round.pool);
}

static void whatever_happens_each_job_has_one_outcome(void **state)
{
    uint64_t seed = seed_of_run(0x9e3779b97f4a7c15);
    /* Under TSan a worker takes a second to start. */
    int rounds = UNDER_TSAN ? 3 : getenv("HOCKET_LONG") ? 2000 : scaled(100, 20);
    hk_shared board;

    (void)state;
    CHECK_EQ(hk_shared_alloc((JOBS_MAX + 1) * sizeof(uint32_t), &board), 0);
    for (int i = 0; i < rounds; i++)
        run_round(next_random(&seed), board);
    hk_shared_free(board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_each_job_has_one_outcome),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
