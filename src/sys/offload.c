/* SPDX-License-Identifier: MIT */
/*
 * The blocking pool->
 *
 * A submitter starts at most one thread, and none while another is starting: a burst of
 * jobs must not cost its loop more than that. A thread that takes a job and leaves
 * others behind with nobody idle starts the next one, so the pool grows from inside.
 *
 * Threads are joined, not detached, so that after a drain none of them runs any code of
 * ours: each one that leaves joins the one that left before it, and the drain joins the
 * last.
 */
#include "sys/offload.h"

#include "base/annotate.h"
#include "base/lock.h"
#include "sys/futex.h"
#include "sys/os.h"
#include "sys/os_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>

#define IDLE_NS (INT64_C(10) * 1000000000)

struct hki_offload {
    const char *thread_name;
    size_t stack_size_bytes; /* 0: the system's default */
    uint32_t lock;           /* guards everything below */
    struct hki_list queue;   /* of jobs that nobody has begun */
    unsigned threads_max;
    unsigned queued, running;
    unsigned threads; /* all that live, also one that is starting */
    unsigned idle;    /* sleep on `calls` */
    bool is_starting; /* a thread was created and has not looked at the queue yet */
    unsigned drains;  /* callers of hki_offload_drain */
    bool has_left;    /* `left` has ended its work and is to be joined */
    pthread_t left;
    uint32_t calls;   /* futex: idle threads; changes when there is something to do */
    uint32_t changes; /* futex: drains; changes when a thread leaves or begins a job */
};

#define QUEUE_OF(pool)                                                                 \
    {                                                                                  \
        &(pool).queue, &(pool).queue                                                   \
    }

struct hki_offload hki_offload_files = {
    .thread_name = "hocket-block",
    .stack_size_bytes = (size_t)256 << 10,
    .queue = QUEUE_OF(hki_offload_files),
    .threads_max = HKI_OFFLOAD_FILES_MAX,
};

struct hki_offload hki_offload_calls = {
    .thread_name = "hocket-call",
    .queue = QUEUE_OF(hki_offload_calls),
};

static struct hki_offload *const pools[] = {&hki_offload_files, &hki_offload_calls};

enum { POOLS = sizeof(pools) / sizeof(pools[0]) };

static __thread bool is_pool_thread __attribute__((tls_model("initial-exec")));

static void announce(uint32_t *word, uint32_t count)
{
    __atomic_fetch_add(word, 1, __ATOMIC_RELEASE);
    hki_futex_wake(word, count);
}

static void *thread_main(void *arg);

/* A child of fork has none of the threads, nor of those who wait for their jobs. */
static void in_child(void)
{
    for (int i = 0; i < POOLS; i++)
        *pools[i] = (struct hki_offload){
            .thread_name = pools[i]->thread_name,
            .stack_size_bytes = pools[i]->stack_size_bytes,
            .queue = QUEUE_OF(*pools[i]),
            .threads_max = pools[i]->threads_max,
        };
    is_pool_thread = false;
}

static void register_fork(void)
{
    (void)pthread_atfork(NULL, NULL, in_child);
}

static int create_thread(struct hki_offload *pool)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct hki_thread_spec spec = {.stack_size_bytes = pool->stack_size_bytes,
                                         .is_deaf = true};

    pthread_once(&once, register_fork);
    return hki_os_thread_start(&spec, thread_main, pool, NULL);
}

/* The limit of calls is what asyncio's default executor has, until somebody sets it. */
static unsigned limit_of(struct hki_offload *pool)
{
    if (pool->threads_max == 0)
        pool->threads_max = hki_os_cpu_count() + 4 < 32 ? hki_os_cpu_count() + 4 : 32;
    return pool->threads_max;
}

/* With the lock, so that a failure meets no job but those that saw other threads. */
static int grow(struct hki_offload *pool)
{
    int rc;

    if (pool->idle > 0 || pool->is_starting || pool->threads >= limit_of(pool))
        return 0;
    rc = create_thread(pool);
    if (rc < 0)
        return pool->threads > 0 ? 0 : rc; /* the others will come round to it */
    pool->is_starting = true;
    pool->threads++;
    return 0;
}

static struct hki_offload_job *take_job(struct hki_offload *pool)
{
    struct hki_list *node;

    if (pool->running >= limit_of(pool)) /* it was lowered, there may be more threads */
        return NULL;
    node = hki_list_pop(&pool->queue);
    if (!node)
        return NULL;
    pool->queued--;
    pool->running++;
    if (pool->queued > 0)
        (void)grow(pool); /* there is at least this thread */
    return hki_container_of(node, struct hki_offload_job, node);
}

/* Sleeps, with the lock given up meanwhile, until a call comes or the deadline. */
static void sleep_idle(struct hki_offload *pool, int64_t deadline_ns)
{
    uint32_t seen = __atomic_load_n(&pool->calls, __ATOMIC_RELAXED);

    pool->idle++;
    hki_lock_release(&pool->lock);
    hki_futex_wait(&pool->calls, seen, deadline_ns);
    hki_lock_acquire(&pool->lock);
    pool->idle--;
}

/* NULL: the thread is to leave. With the lock. */
static struct hki_offload_job *next_job(struct hki_offload *pool)
{
    int64_t deadline_ns = 0;
    struct hki_offload_job *job;

    while (!(job = take_job(pool))) {
        int64_t now_ns = hki_os_now_ns();

        if (deadline_ns == 0)
            deadline_ns = now_ns + IDLE_NS;
        if (pool->drains > 0 || now_ns >= deadline_ns)
            return NULL;
        sleep_idle(pool, deadline_ns);
    }
    return job;
}

static void run_job(struct hki_offload *pool, struct hki_offload_job *job)
{
    bool is_watched = pool->drains > 0;

    hki_lock_release(&pool->lock);
    if (is_watched)
        announce(&pool->changes, UINT32_MAX >> 1);
    HKI_HB_ACQUIRE(job);
    job->run(job); /* may be gone afterwards */
    hki_lock_acquire(&pool->lock);
    pool->running--;
}

/* Leaves our handle to the next one that leaves, and joins the one before. */
static void leave(struct hki_offload *pool)
{
    pthread_t before = pool->left;
    bool has_before = pool->has_left;

    pool->left = pthread_self();
    pool->has_left = true;
    pool->threads--;
    hki_lock_release(&pool->lock);
    if (has_before)
        pthread_join(before, NULL);
    announce(&pool->changes, UINT32_MAX >> 1);
}

static void *thread_main(void *arg)
{
    struct hki_offload *pool = arg;
    struct hki_offload_job *job;

    is_pool_thread = true;
    hki_os_thread_name(pool->thread_name);
    hki_lock_acquire(&pool->lock);
    pool->is_starting = false;
    while ((job = next_job(pool)))
        run_job(pool, job);
    leave(pool);
    return NULL;
}

int hki_offload_submit(struct hki_offload *pool, struct hki_offload_job *job)
{
    bool has_idle;
    int rc;

    HKI_HB_RELEASE(job);
    hki_lock_acquire(&pool->lock);
    hki_list_push(&pool->queue, &job->node);
    pool->queued++;
    rc = grow(pool);
    if (HKI_UNLIKELY(rc < 0)) {
        hki_list_remove(&job->node);
        pool->queued--;
    }
    has_idle = pool->idle > 0;
    hki_lock_release(&pool->lock);
    if (has_idle)
        announce(&pool->calls, 1);
    return rc;
}

bool hki_offload_withdraw(struct hki_offload *pool, struct hki_offload_job *job)
{
    bool is_queued;

    hki_lock_acquire(&pool->lock);
    is_queued = job->node.next != NULL;
    if (is_queued) {
        hki_list_remove(&job->node);
        pool->queued--;
    }
    hki_lock_release(&pool->lock);
    return is_queued;
}

unsigned hki_offload_limit(struct hki_offload *pool, unsigned threads_max)
{
    unsigned before;

    hki_lock_acquire(&pool->lock);
    before = limit_of(pool);
    if (threads_max > 0)
        pool->threads_max = threads_max;
    if (pool->queued > 0)
        (void)grow(pool); /* there are others, else it would not have been queued */
    hki_lock_release(&pool->lock);
    announce(&pool->calls, UINT32_MAX >> 1); /* idle threads may take one now */
    return before;
}

unsigned hki_offload_threads(void)
{
    unsigned threads = 0;

    for (int i = 0; i < POOLS; i++) {
        hki_lock_acquire(&pools[i]->lock);
        threads += pools[i]->threads;
        hki_lock_release(&pools[i]->lock);
    }
    return threads;
}

unsigned hki_offload_pending(void)
{
    unsigned jobs = 0;

    for (int i = 0; i < POOLS; i++) {
        hki_lock_acquire(&pools[i]->lock);
        jobs += pools[i]->queued + pools[i]->running;
        hki_lock_release(&pools[i]->lock);
    }
    return jobs;
}

bool hki_offload_is_me(void)
{
    return is_pool_thread;
}

static void join_the_last(struct hki_offload *pool)
{
    pthread_t last = pool->left;
    bool has_last = pool->has_left;

    pool->has_left = false;
    hki_lock_release(&pool->lock);
    if (has_last)
        pthread_join(last, NULL);
    hki_lock_acquire(&pool->lock);
}

void hki_offload_drain(struct hki_offload *pool)
{
    hki_lock_acquire(&pool->lock);
    pool->drains++;
    announce(&pool->calls, UINT32_MAX >> 1);
    while (pool->threads > pool->running || pool->queued > 0) {
        uint32_t seen = __atomic_load_n(&pool->changes, __ATOMIC_ACQUIRE);

        hki_lock_release(&pool->lock);
        hki_futex_wait(&pool->changes, seen, INT64_MAX);
        hki_lock_acquire(&pool->lock);
    }
    join_the_last(pool);
    pool->drains--;
    hki_lock_release(&pool->lock);
}
