/* SPDX-License-Identifier: MIT */
/*
 * Runtimes: their registry, what their options may be, making and freeing one, and the
 * run of one from its first task to its end (hk_run). Those without a first task are in
 * core/serving.c.
 */
#include "core/runtime.h"

#include "base/alloc.h"
#include "base/fence.h"
#include "core/halt.h"
#include "core/handle.h"
#include "core/launch.h"
#include "core/record.h"
#include "core/thread.h"
#include "core/watch.h"
#include "sys/os.h"

#include <hocket/testing.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- making and ending a runtime ---- */

int hki_runtime_new(const hk_options *options, uint32_t workers_max,
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

void hki_runtime_free(struct hki_runtime *runtime)
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

static int run_first_worker(struct hki_runtime *runtime, hk_task_fn *main, void *arg)
{
    struct hki_worker *worker = &runtime->workers[0];
    struct hki_task *task;
    int rc = hki_worker_open_poller(worker);

    if (rc < 0)
        return rc;
    rc = hki_runtime_launch(runtime, 1);
    if (rc < 0)
        goto no_workers;
    task = hki_task_new(worker, "main", main, arg);
    if (!task) {
        hki_runtime_stop(runtime, 1, hki_worker_count(runtime));
        rc = -ENOMEM;
        goto no_workers;
    }
    hki_ready_push(worker, task);
    hki_watch_start(runtime);
    hki_log(HK_LOG_INFO, "%u worker%s on %s", hki_worker_count(runtime),
            hki_worker_count(runtime) == 1 ? "" : "s", worker->poller_ops->name);
    hki_worker_run(worker);
    hki_runtime_stop(runtime, 1, hki_worker_count(runtime));
    hki_watch_stop(runtime);
    rc = runtime->result;
no_workers:
    hki_worker_close_poller(worker);
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
    rc = hki_runtime_new(options, 0, NULL, &runtime);
    if (rc < 0)
        return rc;
    check = runtime->options.check_ledger;
    hki_sigpipe_ignore();
    rc = run_first_worker(runtime, main, arg);
    HKI_HB_ACQUIRE(runtime);
    hki_sigpipe_restore();
    hki_runtime_free(runtime);
    hki_spawned_reap();
    if (check)
        check_ledger(&before, handles_before);
    return rc;
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
