/* SPDX-License-Identifier: MIT */
/*
 * Starting and ending runtimes: hk_run's, and the background one that serves plain
 * threads, which is started at need and stopped by an exit handler.
 */
#include "core/runtime.h"

#include "base/alloc.h"
#include "base/fence.h"
#include "core/halt.h"
#include "core/handle.h"
#include "core/record.h"
#include "core/thread.h"
#include "core/watch.h"
#include "sys/futex.h"
#include "sys/os.h"

#include <hocket/testing.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    STACK_SIZE_DEFAULT = 256 * 1024,
    STACK_SIZE_MIN = 128 * 1024,
    STACK_SIZE_MAX = 64 * 1024 * 1024,
    STACKS_MAX_WITHOUT_CHEAP_GUARDS =
        30000, /* two mappings each; the limit is 65,530 */
};

/* ---- the registry ---- */

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hki_runtime *registry;
static uint32_t next_serial = 1;
static uint64_t last_number;

static void registry_add(struct hki_runtime *runtime)
{
    pthread_mutex_lock(&registry_lock);
    runtime->number = ++last_number;
    runtime->serial = next_serial++ & 0xfff;
    if (!runtime->serial)
        runtime->serial = next_serial++ & 0xfff;
    /* The golden ratio's fraction: as far apart as can be (Knuth, volume 3, 6.4). */
    runtime->first_generation = (next_serial >> 12) * 0x9e3779b1u;
    runtime->next = registry;
    registry = runtime;
    pthread_mutex_unlock(&registry_lock);
}

static void registry_remove(struct hki_runtime *runtime)
{
    struct hki_runtime **link = &registry;

    pthread_mutex_lock(&registry_lock);
    while (*link != runtime)
        link = &(*link)->next;
    *link = runtime->next;
    pthread_mutex_unlock(&registry_lock);
}

void hki_runtimes_visit(void (*visit)(struct hki_runtime *runtime, void *ctx),
                        void *ctx)
{
    pthread_mutex_lock(&registry_lock);
    for (struct hki_runtime *r = registry; r; r = r->next)
        visit(r, ctx);
    pthread_mutex_unlock(&registry_lock);
}

bool hki_runtime_any(void)
{
    return __atomic_load_n(&registry, __ATOMIC_RELAXED);
}

/* ---- task records ---- */

#define SLAB_BYTES (HKI_TASK_SLAB * (sizeof(struct hki_task) + sizeof(uint32_t)))

static struct hki_task *slab_new(struct hki_runtime *runtime)
{
    uint32_t index = runtime->slab_count;
    struct hki_task *slab;

    if (index == HKI_TASK_SLABS_MAX || hki_fault(HK_FAULT_ALLOC))
        return NULL;
    slab = aligned_alloc(64, SLAB_BYTES);
    if (!slab)
        return NULL;
    memset(slab, 0, SLAB_BYTES);
    for (uint32_t i = 0; i < HKI_TASK_SLAB; i++) {
        slab[i].slot = index * HKI_TASK_SLAB + i;
        slab[i].generation = runtime->first_generation;
        slab[i].next = i + 1 < HKI_TASK_SLAB ? &slab[i + 1] : NULL;
        HKI_HB_RELEASE(&slab[i]); /* to the tasks that will use it */
    }
    __atomic_store_n(&runtime->slabs[index], slab, __ATOMIC_RELEASE);
    __atomic_store_n(&runtime->slab_count, index + 1, __ATOMIC_RELEASE);
    return slab;
}

struct hki_task *hki_runtime_records(struct hki_runtime *runtime)
{
    struct hki_task *list;

    hki_lock_acquire(&runtime->slabs_lock);
    list = runtime->free_records;
    runtime->free_records = NULL;
    if (!list)
        list = slab_new(runtime);
    hki_lock_release(&runtime->slabs_lock);
    return list;
}

struct hki_task *hki_runtime_take_record(struct hki_runtime *runtime)
{
    struct hki_task *task;

    hki_lock_acquire(&runtime->slabs_lock);
    if (!runtime->free_records)
        runtime->free_records = slab_new(runtime);
    task = runtime->free_records;
    if (task)
        runtime->free_records = task->next;
    hki_lock_release(&runtime->slabs_lock);
    return task;
}

void hki_runtime_return_record(struct hki_runtime *runtime, struct hki_task *task)
{
    hki_lock_acquire(&runtime->slabs_lock);
    task->next = runtime->free_records;
    runtime->free_records = task;
    hki_lock_release(&runtime->slabs_lock);
}

struct hki_task *hki_runtime_task(struct hki_runtime *runtime, uint32_t slot)
{
    if (slot / HKI_TASK_SLAB >= __atomic_load_n(&runtime->slab_count, __ATOMIC_ACQUIRE))
        return NULL;
    return &__atomic_load_n(&runtime->slabs[slot / HKI_TASK_SLAB],
                            __ATOMIC_ACQUIRE)[slot % HKI_TASK_SLAB];
}

uint32_t *hki_runtime_wanted(struct hki_runtime *runtime, uint32_t slot)
{
    struct hki_task *slab =
        __atomic_load_n(&runtime->slabs[slot / HKI_TASK_SLAB], __ATOMIC_ACQUIRE);

    return (uint32_t *)(void *)(slab + HKI_TASK_SLAB) + slot % HKI_TASK_SLAB;
}

/* ---- options ---- */

static const struct hki_poller_ops *poller_named(const char *name)
{
    if (name && strcmp(name, "uring") == 0)
        return &hki_poller_uring;
    if (name && strcmp(name, "epoll") == 0)
        return &hki_poller_epoll;
    return NULL;
}

static int check_options(hk_options *o)
{
    const char *name = hki_os_environment("HOCKET_POLLER");

    if (!o->workers)
        o->workers = 1;
    if (!o->stack_size_bytes)
        o->stack_size_bytes = STACK_SIZE_DEFAULT;
    if (!o->stall_ns)
        o->stall_ns = 100 * HK_MILLISECOND;
    if (!o->seed)
        o->seed = hki_os_random();
    if (!o->stacks_max && !hki_os_has_cheap_guards())
        o->stacks_max = STACKS_MAX_WITHOUT_CHEAP_GUARDS;
    if (o->poller == HK_POLLER_AUTO && name && *name) {
        if (!poller_named(name)) {
            hki_log(HK_LOG_ERROR,
                    "HOCKET_POLLER=%s: unknown poller, use uring or epoll", name);
            return -EINVAL;
        }
        o->poller = name[0] == 'u' ? HK_POLLER_URING : HK_POLLER_EPOLL;
    }
    if (o->workers > HKI_WORKERS_MAX || o->poller > HK_POLLER_EPOLL ||
        (o->stack_size_bytes & (o->stack_size_bytes - 1)) ||
        o->stack_size_bytes < STACK_SIZE_MIN || o->stack_size_bytes > STACK_SIZE_MAX ||
        (o->virtual_clock && o->workers > 1))
        return -EINVAL;
    return 0;
}

/* ---- a worker's thread ---- */

/* The poller is made by the thread that will use it: io_uring demands that. */
static int open_poller(struct hki_worker *worker)
{
    hk_poller_choice choice = worker->runtime->options.poller;
    int rc;

    if (choice != HK_POLLER_EPOLL) {
        worker->poller_ops = &hki_poller_uring;
        rc = worker->poller_ops->init(&worker->poller);
        if (rc == 0 || choice == HK_POLLER_URING)
            return rc;
        hki_log(HK_LOG_INFO, "io_uring cannot be used here (%s)", hk_error_text(rc));
    }
    worker->poller_ops = &hki_poller_epoll;
    return worker->poller_ops->init(&worker->poller);
}

static void close_poller(struct hki_worker *worker)
{
    worker->poller_ops->fini(worker->poller);
    worker->poller = NULL;
}

struct launch {
    struct hki_worker *worker;
    uint32_t state; /* futex: 0 starting, 1 ready, 2 failed */
    int rc;
};

static void *worker_thread(void *arg)
{
    struct launch *launch = arg;
    struct hki_worker *worker = launch->worker;
    int rc;

    hki_os_thread_name("hocket-worker");
    rc = open_poller(worker);
    launch->rc = rc;
    __atomic_store_n(&launch->state, rc == 0 ? 1 : 2, __ATOMIC_RELEASE);
    hki_futex_wake(&launch->state, 1);
    if (rc < 0)
        return NULL;
    hki_worker_run(worker);
    if (!__atomic_load_n(&worker->runtime->abandoned, __ATOMIC_ACQUIRE))
        close_poller(worker); /* else operations may still be in flight */
    return NULL;
}

/* Until the worker's loop can run. */
static int launch_worker(struct hki_worker *worker)
{
    struct launch launch = {.worker = worker};
    int rc = pthread_create(&worker->thread, NULL, worker_thread, &launch);

    if (rc != 0)
        return -rc;
    while (!__atomic_load_n(&launch.state, __ATOMIC_ACQUIRE))
        hki_futex_wait(&launch.state, 0, HK_NEVER);
    if (launch.rc < 0)
        pthread_join(worker->thread, NULL);
    return launch.rc;
}

/* How long the exit handler waits; written before any runtime is abandoned. */
static struct timespec patience;

/* At the end of the process a task that never gives its worker up is left alone. */
static void join_worker(struct hki_worker *worker)
{
    if (!__atomic_load_n(&worker->runtime->abandoned, __ATOMIC_ACQUIRE))
        pthread_join(worker->thread, NULL);
    else
        (void)pthread_timedjoin_np(worker->thread, NULL, &patience);
}

static uint32_t sleeping(const struct hki_worker *worker)
{
    return __atomic_load_n(&worker->sleeping, __ATOMIC_SEQ_CST);
}

/* After the end of the runtime a worker stays away: nothing of it is left to be done.
 * */
void hki_runtime_bring_back(struct hki_worker *worker)
{
    struct hki_runtime *runtime = worker->runtime;
    int rc = 0;

    hki_lock_acquire(&runtime->return_lock);
    if (sleeping(worker) == HKI_AWAY &&
        !__atomic_load_n(&runtime->finished, __ATOMIC_SEQ_CST)) {
        join_worker(worker);
        __atomic_store_n(&worker->sleeping, HKI_AWAKE, __ATOMIC_SEQ_CST);
        /* Whoever called it cannot do its work: so until the system has a thread. */
        while ((rc = launch_worker(worker)) < 0) {
            hki_log(HK_LOG_ERROR, "no thread for worker %u, which is called: %s",
                    worker->index, hk_error_text(rc));
            hki_os_yield();
        }
    }
    hki_lock_release(&runtime->return_lock);
}

/* From now on no worker is launched, or comes back. */
static void tell_workers(struct hki_runtime *runtime)
{
    /* Before the looks whether they sleep: has_news() reads the two the other way. */
    __atomic_store_n(&runtime->finished, 1, __ATOMIC_SEQ_CST);
    hki_lock_outlast(&runtime->return_lock);
    for (uint32_t i = 0; i < hki_worker_count(runtime); i++)
        hki_worker_notify(&runtime->workers[i]);
}

static void join_workers(struct hki_runtime *runtime, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        join_worker(&runtime->workers[i]);
}

static void stop_workers(struct hki_runtime *runtime, uint32_t from, uint32_t to)
{
    tell_workers(runtime);
    join_workers(runtime, from, to);
}

/* ---- making and ending a runtime ---- */

/* With room for `workers_max` workers, of which options.workers are there. */
static int runtime_new(const hk_options *options, uint32_t workers_max,
                       struct hki_source *source, struct hki_runtime **out)
{
    struct hki_runtime *runtime;
    hk_options filled = {0};
    int rc;

    if (options)
        filled = *options;
    rc = check_options(&filled);
    if (rc < 0)
        return rc;
    runtime = hki_fault(HK_FAULT_ALLOC) ? NULL : calloc(1, sizeof(*runtime));
    if (!runtime)
        return -ENOMEM;
    runtime->options = filled;
    runtime->source = source;
    runtime->worker_count = filled.workers;
    if (workers_max < filled.workers)
        workers_max = filled.workers;
    runtime->workers = aligned_alloc(64, workers_max * sizeof(struct hki_worker));
    if (!runtime->workers) {
        free(runtime);
        return -ENOMEM;
    }
    runtime->virtual_now_ns = hki_os_now_ns();
    for (uint32_t i = 0; i < filled.workers; i++)
        hki_worker_init(&runtime->workers[i], runtime, i);
    registry_add(runtime);
    *out = runtime;
    return 0;
}

static void runtime_free(struct hki_runtime *runtime)
{
    registry_remove(runtime);
    hki_runtime_await_unpinned(runtime);
    for (uint32_t i = 0; i < hki_worker_count(runtime); i++)
        hki_worker_fini(&runtime->workers[i]);
    for (uint32_t i = 0; i < runtime->slab_count; i++)
        free(runtime->slabs[i]);
    free(runtime->workers);
    free(runtime);
}

/* Starts workers from..end; on failure those that run are stopped again. */
static int launch_workers(struct hki_runtime *runtime, uint32_t from)
{
    for (uint32_t i = from; i < hki_worker_count(runtime); i++) {
        int rc = launch_worker(&runtime->workers[i]);

        if (rc < 0) {
            stop_workers(runtime, from, i);
            return rc;
        }
    }
    return 0;
}

static int run_first_worker(struct hki_runtime *runtime, hk_task_fn *main, void *arg)
{
    struct hki_worker *worker = &runtime->workers[0];
    struct hki_task *task;
    int rc = open_poller(worker);

    if (rc < 0)
        return rc;
    rc = launch_workers(runtime, 1);
    if (rc < 0)
        goto no_workers;
    task = hki_task_new(worker, "main", main, arg);
    if (!task) {
        stop_workers(runtime, 1, hki_worker_count(runtime));
        rc = -ENOMEM;
        goto no_workers;
    }
    hki_ready_push(worker, task);
    hki_watch_start(runtime);
    hki_log(HK_LOG_INFO, "%u worker%s on %s", hki_worker_count(runtime),
            hki_worker_count(runtime) == 1 ? "" : "s", worker->poller_ops->name);
    hki_worker_run(worker);
    stop_workers(runtime, 1, hki_worker_count(runtime));
    hki_watch_stop(runtime);
    rc = runtime->result;
no_workers:
    close_poller(worker);
    return rc;
}

/* options.check_ledger: what the run began with must be what it ends with. */
static void check_ledger(const hk_ledger *before, uint64_t handles_before)
{
    char handles[400];
    hk_ledger after;

    hk_ledger_read(&after);
    /* Less than before is no leak: what was made outside was freed inside. */
    if (after.fds > before->fds || after.tasks > before->tasks ||
        after.ops > before->ops || after.bytes > before->bytes) {
        hki_handle_describe_open(handles_before, handles, sizeof(handles));
        hki_panic("the ledger is not balanced: leaked %lld handles%s%s, %lld tasks, "
                  "%lld operations, %lld bytes",
                  (long long)(after.fds - before->fds), *handles ? ": " : "", handles,
                  (long long)(after.tasks - before->tasks),
                  (long long)(after.ops - before->ops),
                  (long long)(after.bytes - before->bytes));
    }
}

/* ---- the background runtime, and the end of the process ---- */

static pthread_mutex_t background_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hki_runtime *background; /* atomic: of those that serve, the first one */
static struct hki_runtime *serving;    /* those without a first task; guarded by it */
static bool process_is_over;           /* atomic: exit handlers run */

static void process_exits(void)
{
    if (hki_process_is_forked())
        return; /* the threads are the parent's */
    pthread_mutex_lock(&background_lock);
    __atomic_store_n(&process_is_over, true, __ATOMIC_RELEASE);
    clock_gettime(CLOCK_REALTIME, &patience);
    patience.tv_sec += 1;
    for (struct hki_runtime *r = serving; r; r = r->serving_next) {
        if (r->source)
            r->source->is_over(r->source);
        /* Its tasks may belong to threads that still run: the memory stays. */
        __atomic_store_n(&r->abandoned, 1, __ATOMIC_RELEASE);
        tell_workers(r);
    }
    for (struct hki_runtime *r = serving; r; r = r->serving_next) {
        join_workers(r, 0, hki_worker_count(r));
        hki_watch_stop(r);
    }
    pthread_mutex_unlock(&background_lock);
    hki_spawned_end();
}

static void register_exit(void)
{
    atexit(process_exits);
}

int hki_process_check(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    hki_fork_guard();
    pthread_once(&once, register_exit);
    return __atomic_load_n(&process_is_over, __ATOMIC_ACQUIRE) ? -EBADF : 0;
}

int hk_run(hk_task_fn *main, void *arg, const hk_options *options)
{
    struct hki_runtime *runtime;
    uint64_t handles_before = hki_handle_serial();
    hk_ledger before;
    bool check;
    int rc;

    if (hki_worker_current)
        hki_panic("hk_run inside hk_run: this thread already runs a runtime; spawn a "
                  "task instead");
    rc = hki_process_check();
    if (rc < 0)
        return rc;
    hki_os_occupy_standard();
    hki_fence_prepare();
    hk_ledger_read(&before);
    rc = runtime_new(options, 0, NULL, &runtime);
    if (rc < 0)
        return rc;
    check = runtime->options.check_ledger;
    hki_sigpipe_ignore();
    rc = run_first_worker(runtime, main, arg);
    HKI_HB_ACQUIRE(runtime);
    hki_sigpipe_restore();
    runtime_free(runtime);
    hki_spawned_reap();
    if (check)
        check_ledger(&before, handles_before);
    return rc;
}

/* With the lock. */
static int start_serving(const hk_options *options, uint32_t workers_max,
                         struct hki_source *source, struct hki_runtime **out)
{
    struct hki_runtime *runtime;
    int rc = hki_process_check();

    if (rc < 0)
        return rc;
    hki_os_occupy_standard();
    hki_fence_prepare();
    rc = runtime_new(options, workers_max, source, &runtime);
    if (rc < 0)
        return rc;
    runtime->background = true;
    hki_sigpipe_ignore();
    rc = launch_workers(runtime, 0);
    if (rc < 0) {
        hki_sigpipe_restore();
        runtime_free(runtime);
        return rc;
    }
    hki_watch_start(runtime);
    runtime->serving_next = serving;
    serving = runtime;
    __atomic_store_n(out, runtime, __ATOMIC_RELEASE);
    return 0;
}

int hki_background_worker(struct hki_worker **out)
{
    int rc;

    pthread_mutex_lock(&background_lock);
    rc = background ? hki_process_check() : start_serving(NULL, 0, NULL, &background);
    if (rc == 0)
        *out = &background->workers[0];
    pthread_mutex_unlock(&background_lock);
    return rc;
}

/* ---- runtimes for jobs ---- */

int hki_workers_start(uint32_t workers_max, struct hki_source *source,
                      struct hki_runtime **out)
{
    const hk_options options = {.workers = 1, .stall_ns = -1};
    int rc;

    pthread_mutex_lock(&background_lock);
    rc = start_serving(&options, workers_max, source, out);
    pthread_mutex_unlock(&background_lock);
    return rc;
}

int hki_workers_launch(struct hki_runtime *runtime, uint32_t index)
{
    struct hki_worker *worker = &runtime->workers[index];
    int rc = -EAGAIN;

    hki_lock_acquire(&runtime->return_lock); /* who stops it sees all or nothing */
    if (!__atomic_load_n(&runtime->finished, __ATOMIC_SEQ_CST)) {
        hki_worker_init(worker, runtime, index);
        /* Before it can take work: who cancels a scope then knows of it. */
        __atomic_store_n(&runtime->worker_count, index + 1, __ATOMIC_SEQ_CST);
        rc = launch_worker(worker);
        if (rc < 0)
            __atomic_store_n(&runtime->worker_count, index, __ATOMIC_SEQ_CST);
    }
    hki_lock_release(&runtime->return_lock);
    return rc;
}

/* False: the process exits, which has stopped it. */
static bool leave_serving(struct hki_runtime *runtime)
{
    struct hki_runtime **link = &serving;
    bool is_ours;

    pthread_mutex_lock(&background_lock);
    is_ours = !process_is_over;
    if (is_ours) {
        while (*link != runtime)
            link = &(*link)->serving_next;
        *link = runtime->serving_next;
    }
    pthread_mutex_unlock(&background_lock);
    return is_ours;
}

bool hki_workers_stop(struct hki_runtime *runtime)
{
    if (!leave_serving(runtime))
        return false;
    tell_workers(runtime);
    join_workers(runtime, 0, hki_worker_count(runtime));
    HKI_HB_ACQUIRE(runtime);
    hki_watch_stop(runtime);
    hki_sigpipe_restore();
    runtime_free(runtime);
    return true;
}

void hki_workers_cancel(struct hki_runtime *runtime)
{
    __atomic_store_n(&runtime->cancelled, 1, __ATOMIC_SEQ_CST);
    hki_workers_recheck(runtime);
}

bool hki_workers_are_cancelled(const struct hki_runtime *runtime)
{
    return __atomic_load_n(&runtime->cancelled, __ATOMIC_ACQUIRE);
}

struct hki_runtime *hki_runtime_current(void)
{
    if (hki_worker_current)
        return hki_worker_current->runtime;
    return __atomic_load_n(&background, __ATOMIC_ACQUIRE);
}

/* ---- time and chance ---- */

int64_t hki_worker_now(const struct hki_worker *worker)
{
    return worker->runtime->options.virtual_clock ? worker->runtime->virtual_now_ns
                                                  : hki_os_now_ns();
}

int64_t hk_now(void)
{
    return hki_worker_current ? hki_worker_now(hki_worker_current) : hki_os_now_ns();
}

/* SplitMix64 (Steele, Lea and Flood, 2014). */
uint64_t hki_random(void)
{
    static uint64_t thread_state; /* shared by plain threads; atomic */
    uint64_t z, step = UINT64_C(0x9E3779B97F4A7C15);

    if (hki_worker_current)
        z = hki_worker_current->random += step;
    else
        z = __atomic_add_fetch(&thread_state, step, __ATOMIC_RELAXED);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint32_t hk_worker_count(void)
{
    return hki_worker_current ? hki_worker_count(hki_worker_current->runtime) : 0;
}

uint32_t hk_worker_index(void)
{
    return hki_worker_current ? hki_worker_current->index : 0;
}
