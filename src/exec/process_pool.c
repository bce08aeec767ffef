/* SPDX-License-Identifier: MIT */
/* The process pool as an executor: submit, cancel, close, join, and the pool that is
 * always there. */
#include "exec/process_pool.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "exec/clerk.h"
#include "exec/heap.h"
#include "exec/letter.h"
#include "exec/worker.h"
#include "sys/os.h"
#include "sys/os_proc.h"
#include "sys/os_thread.h"
#include "sys/os_worker.h"

#include <hocket/waiter.h>

#include <errno.h>
#include <string.h>

enum { WORKERS_MAX = 1024, QUEUE_MAX = 65536, SUBMITS_PER_LOOK = 8 };

static struct hki_process_pool *pool_of(hk_executor *executor)
{
    return (struct hki_process_pool *)(void *)executor;
}

/* ---- submitting ---- */

static const hk_wait_kind room_kind = {
    .name = "room in the queue of a process pool",
    .external = true,
};

/* With the lock, which it gives up while it waits. */
static int await_room(struct hki_process_pool *pool)
{
    int rc = hki_waiters_wait(&pool->submitters, &room_kind, pool);

    hk_lock_acquire(&pool->lock);
    return rc;
}

/* With the lock, which close_pool takes after it is set: who waits for room has either
 * seen it or is found. */
static bool is_closed(const struct hki_process_pool *pool)
{
    return __atomic_load_n(&pool->head.is_closed, __ATOMIC_RELAXED);
}

/* With the lock. To a worker, or into the queue. */
static int take_job(struct hki_process_pool *pool, struct hki_job *job,
                    enum hki_submit_how how)
{
    int rc = hki_courier_start(pool);

    while (rc == 0 && how != HKI_SUBMIT_BEYOND && !is_closed(pool) &&
           pool->queue.count >= pool->options.queue_max)
        rc = how == HKI_SUBMIT_NOWAIT ? -EAGAIN : await_room(pool);
    if (rc == 0 && is_closed(pool))
        rc = -EPIPE;
    if (rc == 0 && !hki_dispatch_at_once(pool, job))
        rc = hki_job_queue_push(&pool->queue, job, false);
    if (rc == 0 && pool->jobs++ == 0)
        hki_outside_begins();
    return rc;
}

static int submit(hk_executor *executor, struct hki_job *job, enum hki_submit_how how)
{
    struct hki_process_pool *pool = pool_of(executor);
    struct hki_ended_jobs ended = {NULL, NULL, 0};
    bool must_ring;
    int rc = hki_letter_prepare(job);

    if (rc < 0)
        return rc;
    hk_lock_acquire(&pool->lock);
    rc = take_job(pool, job, how);
    if (pool->submits++ % SUBMITS_PER_LOOK == 0) {
        /* This thread is awake, and the courier not. */
        hki_say_processor(&pool->desk->processor);
        hki_collect_where_many(pool, &ended);
        hki_dispatch(pool);
    }
    must_ring = pool->must_ring || hki_seats_can_start(pool);
    pool->must_ring = false;
    hk_lock_release(&pool->lock);
    if (must_ring)
        hki_bell_ring(&pool->desk->courier);
    if (ended.count > 0)
        hki_ended_jobs_tell(pool, &ended);
    if (rc < 0)
        hki_letter_discard(job);
    return rc;
}

static int cancel(hk_executor *executor, struct hki_job *job, hk_cancel_how how)
{
    struct hki_process_pool *pool = pool_of(executor);

    if (hki_is_worker())
        return hki_clerk_cancel(job, how);
    (void)how; /* it stands in job->cancelled */
    __atomic_store_n(&pool->has_cancels, 1, __ATOMIC_SEQ_CST);
    hki_bell_ring(&pool->desk->courier);
    return 0;
}

/* ---- ending ---- */

/* Whoever waits for room finds it closed. */
static void close_pool(hk_executor *executor)
{
    struct hki_process_pool *pool = pool_of(executor);

    hk_lock_acquire(&pool->lock);
    hki_waiters_wake_all(&pool->submitters, -EPIPE);
    hk_lock_release(&pool->lock);
}

static const hk_wait_kind join_kind = {
    .name = "the last job of a process pool",
    .external = true,
};

static int join(hk_executor *executor)
{
    struct hki_process_pool *pool = pool_of(executor);

    return hki_waiters_join(&pool->joiners, &pool->jobs, &join_kind, pool);
}

/* Each job is cancelled, one by one; the courier ends them. */
static void terminate(hk_executor *executor)
{
    struct hki_process_pool *pool = pool_of(executor);

    hk_lock_acquire(&pool->lock);
    hki_job_queue_cancel_all(&pool->queue);
    for (uint32_t i = 0; i < pool->options.workers_max; i++)
        for (int slot = 0; slot < HKI_CHANNEL_SLOTS; slot++)
            if (pool->seats[i].jobs[slot])
                (void)hki_job_cancel(pool->seats[i].jobs[slot], HK_KILL);
    hk_lock_release(&pool->lock);
}

static const hk_wait_kind end_kind = {
    .name = "the end of the workers of a process pool",
    .external = true,
};

static void end_courier(struct hki_process_pool *pool)
{
    hk_waiter waiter;
    bool has_courier;

    hk_waiter_init(&waiter, &end_kind, pool);
    hk_lock_acquire(&pool->lock);
    has_courier = pool->has_courier;
    pool->is_ending = true;
    pool->finisher = &waiter;
    hk_lock_release(&pool->lock);
    if (!has_courier)
        hk_wake(&waiter, 0);
    else
        hki_bell_ring(&pool->desk->courier);
    (void)hk_park(&waiter, NULL); /* uninterruptible, and soon */
}

static void pool_fini(struct hki_process_pool *pool)
{
    hki_template_end(&pool->origin);
    if (pool->desk)
        hki_heap_free(pool->desk);
    hki_job_queue_fini(&pool->queue);
    hki_free(pool->seats);
    pool->desk = NULL;
    pool->seats = NULL;
}

static void fini(hk_executor *executor)
{
    struct hki_process_pool *pool = pool_of(executor);

    end_courier(pool);
    pool_fini(pool);
    hki_free(pool);
}

/* ---- numbers ---- */

static uint32_t count_ready(const struct hki_process_pool *pool)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < pool->options.workers_max; i++)
        count += pool->seats[i].state == HKI_SEAT_READY;
    return count;
}

static void stats(hk_executor *executor, hk_executor_stats *out)
{
    struct hki_process_pool *pool = pool_of(executor);

    hk_lock_acquire(&pool->lock);
    out->workers = count_ready(pool);
    out->workers_lost = pool->stats.lost;
    out->retried = pool->stats.retried;
    hk_lock_release(&pool->lock);
}

static const struct hki_executor_ops process_ops = {
    .kind = "processes",
    .crosses = true,
    .submit = submit,
    .cancel = cancel,
    .image_new = hki_letter_image,
    .image_free = hki_heap_free,
    .help = hki_pool_help,
    .close = close_pool,
    .join = join,
    .terminate = terminate,
    .fini = fini,
    .stats = stats,
};

static struct hki_process_pool *process_pool_of(hk_executor *executor);

void hk_process_stats_read(hk_executor *executor, hk_process_stats *out)
{
    struct hki_process_pool *pool = process_pool_of(executor);

    if (!pool)
        hki_panic("hk_process_stats_read of an executor that is no process pool");
    hk_lock_acquire(&pool->lock);
    *out = pool->stats;
    out->workers = count_ready(pool);
    out->workers_max = pool->options.workers_max;
    hk_lock_release(&pool->lock);
}

/* ---- making ---- */

static int take_options(struct hki_process_pool *pool,
                        const hk_process_options *options)
{
    hk_process_options *own = &pool->options;

    *own = *options;
    if (own->workers_max == 0)
        own->workers_max = hki_os_cpu_count();
    if (own->queue_max == 0)
        own->queue_max = QUEUE_MAX;
    if (own->workers_max > WORKERS_MAX || own->spin_ns < 0 ||
        own->cancel_grace_ns < 0 || own->start > HK_START_FORK ||
        own->init_input.size > sizeof(pool->init_input))
        return -EINVAL;
    if (own->init_input.size > 0)
        memcpy(pool->init_input, own->init_input.data, own->init_input.size);
    if (!own->init)
        return 0;
    return hki_letter_function((const void *)own->init, &pool->init_function);
}

/* What every worker of the pool is told. */
static void fill_handshake(struct hki_process_pool *pool)
{
    const hk_process_options *options = &pool->options;
    struct hki_handshake *hands = &pool->handshake;

    *hands = (struct hki_handshake){
        .magic = HKI_HANDSHAKE_MAGIC,
        .parent = hki_os_process_id(),
        .heap_bytes = hki_heap_size_bytes(),
        .desk_offset = hki_heap_offset(pool->desk),
        .spin_ns = options->spin_ns,
        .is_sandboxed = options->sandbox,
        .asks_to_cancel = options->cancel_grace_ns > 0,
        .limits =
            {
                .memory_bytes = options->memory_max_bytes,
                .file_bytes = options->file_max_bytes,
                .cpu_seconds = options->cpu_max_seconds,
                .fds = options->fds_max,
                .processes = options->processes_max,
                .with_core = options->core_dumps,
            },
    };
    hands->build_id_size = (uint32_t)hki_os_program_build_id(hands->build_id);
}

/* All but the head. On failure nothing is left. */
static int pool_init(struct hki_process_pool *pool, const hk_process_options *options)
{
    int rc = take_options(pool, options);

    if (rc == 0)
        rc = hki_heap_start();
    if (rc < 0)
        return rc;
    pool->desk = hki_heap_alloc(sizeof(*pool->desk));
    pool->seats = hki_alloc(pool->options.workers_max * sizeof(*pool->seats));
    if (!pool->desk || !pool->seats) {
        pool_fini(pool);
        return -ENOMEM;
    }
    *pool->desk = (struct hki_desk){.is_attended = 0};
    for (uint32_t i = 0; i < pool->options.workers_max; i++)
        pool->seats[i].pool = pool;
    pool->submitters.lock = pool->joiners.lock = &pool->lock;
    hki_os_signal_mask(&pool->mask);
    pool->kills_for_memory = hki_os_kills_for_memory();
    fill_handshake(pool);
    if (pool->options.start != HK_START_FORK)
        return 0;
    rc = hki_template_start(&pool->origin, pool->head.name);
    pool->handshake.parent = pool->origin.pid;
    if (rc < 0)
        pool_fini(pool);
    return rc;
}

int hk_process_pool_new(const hk_process_options *options, hk_executor **out)
{
    static const hk_process_options defaults;
    struct hki_process_pool *pool;
    int rc;

    if (hki_is_worker())
        return -EDEADLK;
    if (!options)
        options = &defaults;
    if (options->start == HK_START_SPAWN && !hki_os_workers_take_over())
        return -ENOSYS;
    pool = hki_alloc(sizeof(*pool));
    if (!pool)
        return -ENOMEM;
    hki_executor_init(&pool->head, &process_ops,
                      options->name ? options->name : "processes");
    rc = pool_init(pool, options);
    if (rc < 0)
        hki_free(pool);
    else
        *out = &pool->head;
    return rc;
}

/* ---- the pool that is always there ---- */

static int submit_shared(hk_executor *executor, struct hki_job *job,
                         enum hki_submit_how how);

static const struct hki_executor_ops shared_ops = {
    .kind = "processes",
    .crosses = true,
    .submit = submit_shared,
    .cancel = cancel,
    .image_new = hki_letter_image,
    .image_free = hki_heap_free,
    .help = hki_pool_help,
    .stats = stats,
};

static struct hki_process_pool shared = {
    .head = {.ops = &shared_ops, .name = "processes"},
};

/* 0: it runs. */
static int start_shared(void)
{
    static const hk_process_options defaults;
    static uint32_t is_started; /* atomic: with release, pairs with the acquire */
    static hk_lock lock;
    int rc = 0;

    if (__atomic_load_n(&is_started, __ATOMIC_ACQUIRE))
        return 0;
    if (!hki_os_workers_take_over())
        return -ENOSYS;
    hk_lock_acquire(&lock);
    if (!is_started)
        rc = pool_init(&shared, &defaults);
    if (rc == 0)
        __atomic_store_n(&is_started, 1, __ATOMIC_RELEASE);
    hk_lock_release(&lock);
    return rc;
}

static int submit_shared(hk_executor *executor, struct hki_job *job,
                         enum hki_submit_how how)
{
    int rc;

    if (hki_is_worker())
        return hki_clerk_submit(job, how);
    rc = start_shared();
    return rc < 0 ? rc : submit(executor, job, how);
}

hk_executor *hk_processes(void)
{
    return &shared.head;
}

/* NULL: it is none. */
static struct hki_process_pool *process_pool_of(hk_executor *executor)
{
    return executor->ops == &process_ops || executor->ops == &shared_ops
               ? pool_of(executor)
               : NULL;
}

/* ---- who works on what ---- */

static pid_t worker_of(struct hki_process_pool *pool, const struct hki_job *job)
{
    uint32_t index;
    struct hki_seat *seat = hki_seat_of(pool, job, &index);

    return seat && hki_channel_is_running(&seat->link->channel, index)
               ? hki_keeper_pid(&seat->child)
               : 0;
}

pid_t hk_future_worker(const hk_future *future)
{
    const struct hki_job *job = hki_future_job(future);
    struct hki_process_pool *pool;
    hk_executor *executor;
    pid_t pid = 0;

    if (!job || !(executor = hki_job_hold_executor(job)))
        return 0;
    pool = process_pool_of(executor);
    if (pool) {
        hk_lock_acquire(&pool->lock);
        pid = worker_of(pool, job);
        hk_lock_release(&pool->lock);
    }
    hki_executor_unhold(executor);
    return pid;
}
