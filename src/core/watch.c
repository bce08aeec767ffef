/* SPDX-License-Identifier: MIT */
/*
 * While any worker is awake the watchman looks at all of them twice in a stall's time,
 * and compares a sum of counters that grows with everything a worker does. When all of
 * them have slept since it last looked it sleeps, too, for ever; the first worker that
 * wakes then wakes it. So an idle process has no wake-ups, and a busy server pays one
 * load for each time that a worker wakes.
 *
 * A stall is timed by looks, not by the clock alone: when the watchman himself comes
 * late, because the machine is overloaded or was suspended, he begins anew.
 */
#include "core/watch.h"

#include "core/halt.h"
#include "core/report.h"
#include "core/runtime.h"
#include "sys/fault.h"
#include "sys/futex.h"
#include "sys/os.h"
#include "sys/os_thread.h"
#include "sys/os_proc.h"

#include <hocket/inspect.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)512 << 10)
#define PERIOD_MIN_NS (1 * HK_MILLISECOND)
#define LATE_NS (20 * HK_MILLISECOND)
#define SAMPLE_PATIENCE_NS HK_SECOND

uint32_t hki_watch_sleeps;

static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users; /* runtimes that run; guarded by users_lock, as the next 4 */
static pthread_t thread;
static bool has_quit_handler;
static struct sigaction quit_former;
static pid_t process; /* a forked child has our handlers, but no watchman */

static __thread bool is_watchman;
static uint32_t thread_runs; /* atomic */
static uint32_t bell;        /* atomic; futex: grows with each call for the watchman */
static uint32_t is_over;     /* atomic */
static uint32_t dump_wanted; /* atomic */

static void ring(void)
{
    __atomic_add_fetch(&bell, 1, __ATOMIC_SEQ_CST);
    hki_futex_wake(&bell, 1);
}

void hki_watch_wake(void)
{
    if (__atomic_exchange_n(&hki_watch_sleeps, 0, __ATOMIC_SEQ_CST))
        ring();
}

bool hki_watch_runs(void)
{
    return __atomic_load_n(&thread_runs, __ATOMIC_ACQUIRE);
}

bool hki_watch_is_me(void)
{
    return is_watchman;
}

/* ---- stalls ---- */

/* One look at all workers. */
struct look {
    int64_t now_ns;
    bool late;                  /* he slept, or was kept from looking: begin anew */
    bool any_awake;             /* or was, since the last look */
    int64_t period_ns;          /* until the next look */
    struct hki_worker *stalled; /* one that is to be reported; its runtime is pinned */
};

/*
 * Grows with every task that is switched to and every turn of the loop. The counters
 * belong to the worker, and are read while it changes them: a torn or late number only
 * means that it has made progress.
 */
static __attribute__((no_sanitize("thread"))) uint64_t progress_of(
    const struct hki_worker *worker)
{
    const volatile struct hki_worker *w = worker;

    return w->switches + w->polls + (uint64_t)w->now_ns;
}

/* Pairs with hki_watch_stirs: a worker becomes awake before it looks whether we
 * sleep. */
static bool is_awake(const struct hki_worker *worker)
{
    return hki_halt_runs(worker) &&
           __atomic_load_n(&worker->sleeping, __ATOMIC_SEQ_CST) == HKI_AWAKE;
}

/* Awake, and not because somebody makes it stand still. */
static bool is_busy(const struct hki_worker *worker)
{
    return is_awake(worker) && !hki_halt_is_still(worker);
}

static void look_at(struct look *look, struct hki_worker *worker, int64_t stall_ns)
{
    struct hki_watch_note *note = &worker->watch;
    uint64_t progress = progress_of(worker);
    bool moved = progress != note->progress;

    if (is_awake(worker) || moved)
        look->any_awake = true;
    if (!is_busy(worker) || moved) {
        *note = (struct hki_watch_note){.progress = progress, .since_ns = look->now_ns};
    } else if (look->late) {
        note->since_ns = look->now_ns;
    } else if (!note->reported && !look->stalled &&
               look->now_ns - note->since_ns >= stall_ns) {
        note->reported = true;
        look->stalled = worker;
        hki_runtime_pin(worker->runtime);
    }
}

static void look_at_runtime(struct hki_runtime *runtime, void *ctx)
{
    int64_t stall_ns = runtime->options.stall_ns;
    struct look *look = ctx;

    if (stall_ns < 0)
        return;
    if (stall_ns / 2 < look->period_ns)
        look->period_ns = stall_ns / 2;
    for (uint32_t i = 0; i < hki_worker_count(runtime); i++)
        look_at(look, &runtime->workers[i], stall_ns);
}

void hki_watch_describe_self(char *text, size_t size)
{
    const struct hki_worker *worker = hki_worker_current;

    if (worker && worker->current)
        (void)snprintf(text, size, "task '%.50s'",
                       hki_task_name_in_handler(worker->current));
    else
        (void)snprintf(text, size, "the event loop");
}

/* With the worker's runtime pinned. */
static void report_stall(struct hki_worker *worker, const struct hki_watch_note *note)
{
    struct hki_report report;
    struct hki_sample sample;
    bool answered = hki_sample_take(worker->thread_id, SAMPLE_PATIENCE_NS, &sample);
    int64_t held_ns = hki_os_now_ns() - note->since_ns;

    if (!is_busy(worker) || progress_of(worker) != note->progress)
        return; /* it went on just now: what was sampled is not what stalled */
    __atomic_add_fetch(&worker->stalls, 1, __ATOMIC_RELAXED);
    hki_report_init(&report, -1);
    hki_report_add(&report, "%s has held worker %u for %lld ms without waiting%s\n",
                   answered ? sample.note : "something", worker->index,
                   (long long)(held_ns / HK_MILLISECOND),
                   answered ? ":" : ", and its thread takes no signal");
    if (answered)
        hki_report_add_frames(&report, 4, &sample.frames);
    hki_report_log(&report, HK_LOG_WARNING);
    hki_report_fini(&report);
}

/* Looks, reports, and says when to look again. */
static int64_t look_around(int64_t due_ns)
{
    struct look look = {.now_ns = hki_os_now_ns(), .period_ns = HK_NEVER};

    look.late = due_ns == HK_NEVER || look.now_ns - due_ns > LATE_NS;
    hki_runtimes_visit(look_at_runtime, &look);
    if (look.stalled) {
        struct hki_runtime *runtime = look.stalled->runtime;
        struct hki_watch_note note = look.stalled->watch;

        report_stall(look.stalled, &note);
        hki_runtime_unpin(runtime);
    }
    if (!look.any_awake || look.period_ns == HK_NEVER)
        return HK_NEVER;
    return hki_os_now_ns() +
           (look.period_ns > PERIOD_MIN_NS ? look.period_ns : PERIOD_MIN_NS);
}

/* ---- the watchman's thread ---- */

struct crowd {
    bool watched; /* somebody wants stalls to be reported */
    bool awake;   /* one of those is awake */
};

static void look_for_awake(struct hki_runtime *runtime, void *ctx)
{
    struct crowd *crowd = ctx;

    if (runtime->options.stall_ns < 0)
        return;
    crowd->watched = true;
    for (uint32_t i = 0; i < hki_worker_count(runtime); i++)
        if (is_awake(&runtime->workers[i]))
            crowd->awake = true;
}

/* Until somebody calls. A worker that woke before it could see that we sleep is seen
 * here. Where nobody is watched no worker shall call. */
static void fall_asleep(uint32_t seen)
{
    struct crowd crowd = {0};

    __atomic_store_n(&hki_watch_sleeps, 1, __ATOMIC_SEQ_CST);
    hki_runtimes_visit(look_for_awake, &crowd);
    if (!crowd.watched)
        __atomic_store_n(&hki_watch_sleeps, 0, __ATOMIC_SEQ_CST);
    if (!crowd.awake)
        hki_futex_wait(&bell, seen, HK_NEVER);
    __atomic_store_n(&hki_watch_sleeps, 0, __ATOMIC_SEQ_CST);
}

static void *watchman(void *unused)
{
    int64_t due_ns = hki_os_now_ns();

    is_watchman = true;
    hki_os_thread_name("hocket-watch");
    for (;;) {
        uint32_t seen = __atomic_load_n(&bell, __ATOMIC_SEQ_CST);

        if (__atomic_load_n(&is_over, __ATOMIC_ACQUIRE))
            return unused;
        if (__atomic_exchange_n(&dump_wanted, 0, __ATOMIC_ACQ_REL))
            (void)hk_dump_tasks(STDERR_FILENO); /* nobody to tell that it failed */
        if (due_ns == HK_NEVER || hki_os_now_ns() >= due_ns)
            due_ns = look_around(due_ns);
        if (due_ns == HK_NEVER)
            fall_asleep(seen);
        else
            hki_futex_wait(&bell, seen, due_ns);
    }
}

static void start_thread(void)
{
    const struct hki_thread_spec spec = {.stack_size_bytes = STACK_BYTES,
                                         .is_deaf = true};
    int rc;

    __atomic_store_n(&is_over, 0, __ATOMIC_RELEASE);
    rc = hki_os_thread_start(&spec, watchman, NULL, &thread);
    if (rc == 0)
        __atomic_store_n(&thread_runs, 1, __ATOMIC_RELEASE);
    else
        hki_log(HK_LOG_INFO, "no thread for the watchman: stalls are not reported, and "
                             "SIGQUIT is not served");
}

static void stop_thread(void)
{
    if (!hki_watch_runs())
        return;
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    ring();
    pthread_join(thread, NULL);
    __atomic_store_n(&thread_runs, 0, __ATOMIC_RELEASE);
}

/* ---- SIGQUIT ---- */

/* Without a watchman it does what it would do without us. */
static void on_quit(int signo)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};

    if (hki_watch_runs() && hki_os_process_id() == process) {
        __atomic_store_n(&dump_wanted, 1, __ATOMIC_RELEASE);
        ring();
        return;
    }
    (void)sigaction(signo, &standard, NULL);
    (void)raise(signo); /* comes when this handler returns */
}

static void catch_quit(void)
{
    struct sigaction now;

    has_quit_handler = sigaction(SIGQUIT, NULL, &now) == 0 &&
                       now.sa_handler == SIG_DFL &&
                       hki_os_signal_catch(SIGQUIT, on_quit, &quit_former) == 0;
}

static void release_quit(void)
{
    struct sigaction now;

    if (has_quit_handler && sigaction(SIGQUIT, NULL, &now) == 0 &&
        now.sa_handler == on_quit)
        hki_os_signal_restore(SIGQUIT, &quit_former);
    has_quit_handler = false;
}

/* ---- with the first runtime, and with the last ---- */

/* In the fault handler. */
static const char *overflow_name(const char **out_low)
{
    const struct hki_worker *worker = hki_worker_current;

    if (!worker || !worker->current)
        return NULL;
    *out_low = worker->current->stack->low;
    return hki_task_name_in_handler(worker->current);
}

void hki_watch_start(struct hki_runtime *runtime)
{
    (void)runtime;
    pthread_mutex_lock(&users_lock);
    if (users++ == 0) {
        process = hki_os_process_id();
        hki_backtrace_warm_up();
        hki_overflow_start(overflow_name);
        hki_sample_start(hki_watch_describe_self);
        start_thread();
        if (hki_watch_runs())
            catch_quit();
    } else {
        ring(); /* he sleeps for ever if he had nobody to watch */
    }
    pthread_mutex_unlock(&users_lock);
}

void hki_watch_stop(struct hki_runtime *runtime)
{
    (void)runtime;
    pthread_mutex_lock(&users_lock);
    if (--users == 0) {
        release_quit();
        stop_thread();
        hki_sample_stop();
        hki_overflow_stop();
    }
    pthread_mutex_unlock(&users_lock);
}
