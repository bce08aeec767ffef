/* SPDX-License-Identifier: MIT */
/*
 * The census: one word that counts who is awake (workers, attached threads) in its
 * lower half and who ever woke up in its upper half. Whoever brings the count to 0 is
 * the last. It sleeps for a moment on its own word; if the census still has the very
 * value that it left there, nobody has stirred since, and it looks around.
 *
 * It may still be that someone was called and did not get a processor yet, that a
 * thread which we do not know is about to call, or that a thread which ended a moment
 * ago is still listed. So it looks again a few times, then leaves it to who stirs next.
 * A deadlock is proven with all workers standing still, so that no wake is on its way.
 *
 * Time is no proof but makes the look cheap: it happens once in a long sleep, never in
 * the short ones of two workers that play ping-pong.
 */
#include "core/deadlock.h"

#include "core/check_wait.h"
#include "core/deadlock_waits.h"
#include "core/dump.h"
#include "core/halt.h"
#include "core/runtime.h"
#include "core/thread.h"
#include "core/wait.h"
#include "core/workers.h"
#include "sys/futex.h"
#include "sys/offload.h"
#include "sys/os.h"
#include "sys/os_thread.h"

#define AWAKE_MASK UINT64_C(0xffffffff)
#define STIR ((UINT64_C(1) << 32) + 1)

/* One that follows another so soon is a part of it: not with the whole dump again. */
#define AFTERMATH_NS HK_SECOND

static const int64_t patience_ns[] = {
    20 * HK_MILLISECOND,
    80 * HK_MILLISECOND,
    300 * HK_MILLISECOND,
};

/* Between looks while there is something outside: then a deadlock may take as long to
 * be found. */
#define PATIENCE_MAX_NS (2 * HK_SECOND)

enum { LOOKS = sizeof(patience_ns) / sizeof(patience_ns[0]) };

enum verdict { NO_DEADLOCK, ENDED_ONE, LEFT_ALONE };

static uint64_t census;       /* atomic */
static uint64_t thread_stirs; /* atomic: threads do not stand still for a look */
static uint64_t outside; /* atomic: what may wake somebody from outside of all this */

void hki_outside_begins(void)
{
    __atomic_add_fetch(&outside, 1, __ATOMIC_SEQ_CST);
}

void hki_outside_ends(void)
{
    __atomic_sub_fetch(&outside, 1, __ATOMIC_SEQ_CST);
}

static bool is_outside_something(void)
{
    return __atomic_load_n(&outside, __ATOMIC_SEQ_CST) > 0;
}

void hki_deadlock_forget(void)
{
    census = 0;
    outside = 0;
}

static void stir(void)
{
    __atomic_add_fetch(&census, STIR, __ATOMIC_SEQ_CST);
}

static uint64_t go_quiet(void)
{
    return __atomic_sub_fetch(&census, 1, __ATOMIC_SEQ_CST);
}

/* Awake again as the only one, if nobody has stirred since. */
static bool claim(uint64_t stamp)
{
    return __atomic_compare_exchange_n(&census, &stamp, stamp + STIR, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* ---- the first look: nobody stands still yet, only atomics are read ---- */

struct people {
    uint64_t tasks;
    unsigned threads; /* that we know: workers and attached ones */
    unsigned waiting; /* attached threads that wait */
    bool was_called;  /* somebody wakes in a moment */
};

static void count_runtime(struct hki_runtime *runtime, void *ctx)
{
    struct people *people = ctx;

    people->tasks += hki_dump_count_tasks(runtime);
    for (uint32_t i = 0; i < hki_worker_count(runtime); i++) {
        const struct hki_worker *worker = &runtime->workers[i];

        if (__atomic_load_n(&worker->sleeping, __ATOMIC_SEQ_CST) == HKI_AWAY)
            continue;
        /* A runtime that starts or ends has a thread which is awake. */
        if (!hki_halt_runs(worker) ||
            __atomic_load_n(&worker->sleeping, __ATOMIC_SEQ_CST) != HKI_SLEEPS_ON_FUTEX)
            people->was_called = true;
        people->threads++;
    }
}

static bool is_stuck_thread(const struct hki_thread *thread)
{
    return __atomic_load_n(&thread->quiet, __ATOMIC_ACQUIRE) &&
           __atomic_load_n(&thread->sequence, __ATOMIC_SEQ_CST) ==
               __atomic_load_n(&thread->quiet_sequence, __ATOMIC_RELAXED);
}

static void count_thread(struct hki_thread *thread, void *ctx)
{
    struct people *people = ctx;

    if (!hki_thread_is_plain(thread))
        return;
    people->threads++;
    if (!is_stuck_thread(thread))
        people->was_called = true;
    else if (__atomic_load_n(&thread->waits_for, __ATOMIC_ACQUIRE))
        people->waiting++;
}

/* ThreadSanitizer has one or two threads of its own. They block all signals, as our
 * helpers do: so with it none of that kind is counted. */
extern void __tsan_init(void) __attribute__((weak));

/* Threads of the process that could wake somebody; -1: unknown. Those that look after
 * worker processes could only while a job is there, which counts as outside. */
static int count_foreign(const struct people *people)
{
    bool with_deaf = !__tsan_init;
    unsigned all = hki_os_thread_count(with_deaf), ours = people->threads;

    if (with_deaf)
        ours +=
            hki_offload_threads() + (hki_watch_runs() ? 1 : 0) + hki_os_helper_count();
    return all == 0 ? -1 : all == ours ? 0 : all > ours ? (int)(all - ours) : -1;
}

static void report_foreign(const struct people *people, int foreign)
{
    static uint32_t reported;

    if (!__atomic_exchange_n(&reported, 1, __ATOMIC_RELAXED))
        hki_log(HK_LOG_INFO,
                "%llu tasks and %u threads wait for what only %d threads that hocket "
                "does not know could do; if they never do, this is a deadlock",
                (unsigned long long)people->tasks, people->waiting, foreign);
}

/* ---- the second look: every worker stands still ---- */

/* Nothing that could make one of its tasks run. */
static bool is_stuck_worker(struct hki_worker *worker)
{
    if (__atomic_load_n(&worker->sleeping, __ATOMIC_SEQ_CST) == HKI_AWAY)
        return !hki_worker_has_messages(worker);
    return hki_halt_is_still(worker) && !worker->current && !worker->ready_head &&
           !worker->wheel.count && !worker->ops_in_flight && !worker->halt.has_more &&
           !hki_worker_has_messages(worker) &&
           !__atomic_load_n(&worker->shared_count, __ATOMIC_ACQUIRE);
}

static bool are_workers_stuck(struct hki_runtime *pinned)
{
    for (struct hki_runtime *r = pinned; r; r = r->pinned_next)
        for (uint32_t i = 0; i < hki_worker_count(r); i++)
            if (!is_stuck_worker(&r->workers[i]))
                return false;
    return true;
}

static void look_at_thread(struct hki_thread *thread, void *ctx)
{
    if (hki_thread_is_plain(thread) && !is_stuck_thread(thread))
        *(bool *)ctx = false;
}

/* Everyone who waits, and the youngest wait that can be undone. */
struct waits {
    unsigned count;
    unsigned lenders; /* joiners that lend their stack, and have no waiter */
    bool has_external;
    struct hki_self *victim; /* NULL: none can be undone */
};

static void add_wait(struct hki_self *self, void *ctx)
{
    const hk_waiter *w = self->waiter;
    struct waits *waits = ctx;

    if (!w) {
        waits->lenders++;
        return;
    }
    waits->count++;
    if (w->kind && w->kind->external)
        waits->has_external = true;
    if (w->hki_abort &&
        (!waits->victim || w->hki_since_ns >= waits->victim->waiter->hki_since_ns))
        waits->victim = self;
}

/* ---- undoing a wait ---- */

/* The one that is being undone on its worker. One at a time: it is free again before
 * the census can come to another verdict. */
static struct {
    hk_inbox_node message;
    struct hki_task *task;
    const hk_waiter *waiter;
    uint32_t generation;
} undo;

static void undo_message(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_self *self = &undo.task->self;

    (void)node;
    (void)worker;
    if (undo.task->generation == undo.generation && self->waiter == undo.waiter)
        (void)hki_wait_abort(self, -EDEADLK);
}

static void undo_wait(struct hki_self *victim)
{
    if (victim->kind == HKI_SELF_THREAD) {
        hki_thread_give_up(hki_thread_of(victim));
        return;
    }
    undo.message.hki_run = undo_message;
    undo.task = hki_task_of(victim);
    undo.waiter = victim->waiter;
    undo.generation = undo.task->generation;
    hki_worker_post(victim->worker, &undo.message);
}

/* ---- the verdict ---- */

static void add_verdict(struct hki_report *report, struct hki_runtime *pinned,
                        const struct waits *waits)
{
    static int64_t last_ns; /* guarded by the halt: one at a time */
    int64_t now_ns = hki_os_now_ns();

    hki_report_add(report, "deadlock: no task can ever be woken: %u wait%s for ever\n",
                   waits->count, waits->count == 1 ? "s" : "");
    if (!last_ns || now_ns - last_ns > AFTERMATH_NS)
        hki_dump_add(report, pinned, true);
    last_ns = now_ns;
}

static uint64_t count_thread_stirs(void)
{
    return __atomic_load_n(&thread_stirs, __ATOMIC_SEQ_CST);
}

/* Proves it, reports it and ends it; or finds that it is none: also when a thread has
 * stirred since all were quiet, which may have called one that was looked at before. */
static enum verdict judge_standing(uint64_t stirs)
{
    struct hki_runtime *pinned = hki_halt_all();
    bool threads_stuck = true;
    struct hki_report report, end;
    struct waits waits = {0};
    bool only_report = hki_is_checking() && hki_check_settings().only_report;

    hki_threads_visit(look_at_thread, &threads_stuck);
    if (threads_stuck && are_workers_stuck(pinned) && count_thread_stirs() == stirs)
        hki_waits_visit(pinned, add_wait, &waits);
    if (!waits.count || waits.has_external || is_outside_something()) {
        hki_halt_release(pinned);
        return NO_DEADLOCK;
    }
    hki_report_init(&report, -1);
    hki_report_init(&end, -1);
    add_verdict(&report, pinned, &waits);
    hki_waits_name_cycles(&end, pinned, waits.count + waits.lenders, &waits.victim);
    if (waits.victim && !only_report)
        hki_wait_add_victim(&end, waits.victim, waits.victim->waiter);
    hki_halt_release(pinned);
    hki_report_log(&report, HK_LOG_ERROR);
    hki_report_log(&end, HK_LOG_ERROR);
    hki_report_fini(&end);
    hki_report_fini(&report);
    if (only_report)
        return LEFT_ALONE;
    if (!waits.victim)
        hki_panic("deadlock: no task can ever be woken, and none of the %u waits can "
                  "be undone: all are joins or shielded",
                  waits.count);
    undo_wait(waits.victim); /* stuck as it is, it is still there */
    return ENDED_ONE;
}

static enum verdict judge(bool last_look, uint64_t stirs)
{
    struct people people = {0};
    int foreign;

    hki_runtimes_visit(count_runtime, &people);
    hki_threads_visit(count_thread, &people);
    if (people.was_called || people.tasks + people.waiting == 0)
        return NO_DEADLOCK;
    foreign = hki_offload_pending() ? -1 : count_foreign(&people);
    if (foreign == 0)
        return judge_standing(stirs);
    if (last_look && foreign > 0)
        report_foreign(&people, foreign);
    return NO_DEADLOCK;
}

/* ---- who goes to sleep, and wakes ---- */

/* False: the word has changed, the sleeper was called. */
static bool sleep_for(uint32_t *word, uint32_t value, int64_t duration_ns)
{
    int64_t until_ns = hki_os_now_ns() + duration_ns;

    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == value) {
        if (hki_os_now_ns() >= until_ns)
            return true;
        hki_futex_wait(word, value, until_ns);
    }
    return false;
}

/*
 * The sleeper waits for `word` to be no longer `value`. While it looks around it counts
 * as awake, so that others who come and go meanwhile leave the next look to it. While
 * there is something outside it goes on looking, less and less often: nobody stirs when
 * that ends and has woken nobody.
 */
static void fall_quiet(uint32_t *word, uint32_t value)
{
    uint64_t stamp = go_quiet();
    int64_t patient_ns = patience_ns[LOOKS - 1];
    int look = 0;

    while (look < LOOKS && !(stamp & AWAKE_MASK)) {
        uint64_t stirs;

        if (!sleep_for(word, value, look < LOOKS - 1 ? patience_ns[look] : patient_ns))
            return;
        stirs = count_thread_stirs();
        if (!claim(stamp))
            return;
        switch (judge(look == LOOKS - 1, stirs)) {
        case NO_DEADLOCK:
            if (++look == LOOKS && is_outside_something()) {
                look--;
                patient_ns = patient_ns < PATIENCE_MAX_NS ? 2 * patient_ns : patient_ns;
            }
            break;
        case ENDED_ONE: look = 0; break;
        case LEFT_ALONE: look = LOOKS; break;
        }
        stamp = go_quiet();
    }
}

void hki_deadlock_quiet(struct hki_worker *worker)
{
    fall_quiet(&worker->sleeping, HKI_SLEEPS_ON_FUTEX);
}

void hki_deadlock_stirs(struct hki_worker *worker)
{
    (void)worker;
    stir();
}

void hki_deadlock_thread_quiet(struct hki_thread *thread, uint32_t sequence)
{
    if (thread->is_ours) /* a call on a pool's thread: never counted as awake */
        return;
    __atomic_store_n(&thread->quiet_sequence, sequence, __ATOMIC_RELAXED);
    __atomic_store_n(&thread->quiet, 1, __ATOMIC_RELEASE);
    fall_quiet(&thread->sequence, sequence);
}

void hki_deadlock_thread_stirs(struct hki_thread *thread)
{
    if (thread->is_ours)
        return;
    __atomic_store_n(&thread->quiet, 0, __ATOMIC_RELEASE);
    stir();
    /* After that: who has not seen the one sees the other. */
    __atomic_add_fetch(&thread_stirs, 1, __ATOMIC_SEQ_CST);
}

/* ---- who comes, and goes ---- */

/* True on the watchman, who becomes known when a log hook of the program uses hocket,
 * and on a pool's thread, when a call that it runs does: each is counted as what it is,
 * never as awake. */
static bool is_helper(void)
{
    return hki_watch_is_me() || hki_offload_is_me();
}

/* A plain thread is counted as its worker meanwhile. */
static void set_ours(struct hki_self *outer, uint32_t is_ours)
{
    __atomic_store_n(&hki_thread_of(outer)->is_ours, is_ours, __ATOMIC_RELEASE);
}

void hki_deadlock_worker_starts(struct hki_self *outer)
{
    if (outer && !is_helper())
        set_ours(outer, 1);
    else
        stir();
}

void hki_deadlock_thread_joins(struct hki_thread *thread)
{
    set_ours(&thread->self, is_helper());
    if (!thread->is_ours)
        stir();
}

static void nudge_worker(struct hki_runtime *runtime, void *ctx)
{
    bool *done = ctx;

    for (uint32_t i = 0; i < hki_worker_count(runtime) && !*done; i++) {
        if (!hki_halt_runs(&runtime->workers[i]))
            continue;
        hki_worker_notify(&runtime->workers[i]);
        *done = true;
    }
}

static void nudge_thread(struct hki_thread *thread, void *ctx)
{
    bool *done = ctx;

    if (!*done && hki_thread_is_plain(thread)) {
        hki_thread_kick(thread);
        *done = true;
    }
}

/* The last one awake ends. It cannot look around itself, since it is still there: so it
 * makes someone stir, who then is the last. */
static void leave_awake(void)
{
    bool done = false;

    if (go_quiet() & AWAKE_MASK)
        return;
    hki_runtimes_visit(nudge_worker, &done);
    hki_threads_visit(nudge_thread, &done);
}

void hki_deadlock_thread_leaves(struct hki_thread *thread)
{
    if (!thread->is_ours)
        leave_awake();
}

void hki_deadlock_worker_ends(struct hki_self *outer)
{
    if (outer && !is_helper())
        set_ours(outer, 0);
    else
        leave_awake();
}
