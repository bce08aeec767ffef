/* SPDX-License-Identifier: MIT */
/*
 * The dump. What may be read:
 *
 *  - everything of a worker that stands still: its tasks, their stacks, their scopes;
 *  - the children of such a task's scope, with the scope's lock, so that one which runs
 *    on a busy worker cannot end meanwhile: its record, but not its stack;
 *  - of a plain thread only what it publishes in its record.
 *
 * Tasks whose parent cannot be reached that way (its worker is busy, or it is a plain
 * thread) are found in the slabs, and begin a tree of their own. The walk goes along
 * the links between tasks and scopes and needs neither memory nor recursion.
 */
#include "core/dump.h"

#include "core/crew.h"
#include "core/halt.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/thread.h"
#include "core/wait.h"
#include "sys/os.h"

#include <hocket/inspect.h>

#include <string.h>

enum {
    INDENT = 2,
    DEPTH_SHOWN = 30, /* deeper ones say how deep, in place of blanks */
};

#define SAMPLE_PATIENCE_NS (500 * HK_MILLISECOND)

struct dump {
    struct hki_report *report;
    struct hki_runtime *runtime;
    int64_t now_ns; /* as the runtime's tasks see it */
    bool all_stand; /* every worker of the runtime */
    bool threads_stand;
    int depth;
    struct hki_frames last; /* of the task before this one */
};

static const char *name_or(const char *name, const char *other)
{
    return name ? name : other;
}

static void begin_line(struct dump *dump)
{
    int shown = dump->depth < DEPTH_SHOWN ? dump->depth : DEPTH_SHOWN;

    hki_report_add(dump->report, "%*s", shown * INDENT, "");
    if (dump->depth > DEPTH_SHOWN)
        hki_report_add(dump->report, "[%d deep] ", dump->depth);
}

/* ---- a task ---- */

void hki_dump_add_wait(struct hki_report *report, const hk_waiter *waiter)
{
    const hk_wait_kind *kind = waiter->kind;
    char text[160] = "";

    hki_report_add(report, "%s", kind ? kind->name : "something");
    if (kind && kind->describe) {
        HKI_HB_ACQUIRE(waiter); /* the park released it */
        HKI_READS_OF_ALL_BEGIN();
        kind->describe(waiter->object, text, sizeof(text));
        HKI_READS_OF_ALL_END();
        hki_report_add(report, " (%s)", text);
    }
}

static void add_waiting(struct dump *dump, const hk_waiter *waiter)
{
    if (waiter->kind == &hki_sleep_kind) {
        const hk_timer *timer = waiter->object;

        hki_report_add(dump->report, "sleeps, ");
        hki_report_add_time(dump->report, timer->hki_deadline_ns - dump->now_ns);
        hki_report_add(dump->report, " left");
        return;
    }
    hki_report_add(dump->report, "waits for ");
    hki_dump_add_wait(dump->report, waiter);
    hki_report_add(dump->report, " for ");
    hki_report_add_time(dump->report, dump->now_ns - waiter->hki_since_ns);
}

/* The stack of a task that does not run, on a worker that stands still. */
static void add_frames(struct dump *dump, const struct hki_task *task)
{
    int indent = dump->depth < DEPTH_SHOWN ? dump->depth : DEPTH_SHOWN;
    struct hki_frames frames;

    hki_backtrace_parked(task->sp, &frames);
    if (frames.count == dump->last.count &&
        memcmp(frames.pc, dump->last.pc, (size_t)frames.count * sizeof(void *)) == 0) {
        hki_report_add(dump->report, "%*s(the same stack)\n", (indent + 2) * INDENT,
                       "");
        return;
    }
    hki_report_add_frames(dump->report, (indent + 2) * INDENT, &frames);
    dump->last = frames;
}

static void show_started(struct dump *dump, const struct hki_task *task)
{
    const struct hki_worker *worker = task->self.worker;
    bool runs = worker->current == task, lends = task->self.flags & HKI_TASK_LENDS;

    if (runs)
        hki_report_add(dump->report, "runs");
    else if (lends)
        hki_report_add(dump->report, "waits for join, and lends its stack to a child");
    else if (task->self.waiter)
        add_waiting(dump, task->self.waiter);
    else
        hki_report_add(dump->report, "is ready to run");
    if (task->self.attention & HKI_CANCELLED)
        hki_report_add(dump->report, ", cancelled");
    hki_report_add(dump->report, "\n");
    if (!runs && !lends)
        add_frames(dump, task);
}

/* Atomic: a busy worker may take one that has not started. */
static const struct hki_worker *worker_of(const struct hki_task *task)
{
    return __atomic_load_n(&task->self.worker, __ATOMIC_RELAXED);
}

/* The function of a task that may begin just now is not to be asked for. */
static const char *task_name(const struct dump *dump, const struct hki_task *task)
{
    if (dump->all_stand ||
        (hki_task_is_started(task) && hki_halt_is_still(worker_of(task))))
        return hki_task_display_name(task);
    return name_or(task->name, "unnamed");
}

/* True when its scopes may be looked at. */
static bool show_task(struct dump *dump, const struct hki_task *task)
{
    const struct hki_worker *worker = worker_of(task);

    begin_line(dump);
    hki_report_add(dump->report, "task '%s' (id %llx", task_name(dump, task),
                   (unsigned long long)hki_task_id_of(dump->runtime, task).value);
    if (hki_worker_count(dump->runtime) > 1)
        hki_report_add(dump->report, ", worker %u", worker->index);
    hki_report_add(dump->report, ") ");
    if (!hki_halt_is_still(worker)) {
        hki_report_add(dump->report, "belongs to a busy worker\n");
        return false;
    }
    if (!hki_task_is_started(task)) {
        hki_report_add(dump->report, "has not started\n");
        return false;
    }
    show_started(dump, task);
    return true;
}

/* ---- a scope ---- */

static const char *cancel_reason(uint32_t flags)
{
    if (!(flags & HKI_SCOPE_CANCELLED))
        return flags & HKI_SCOPE_EFFECTIVE ? ", cancelled from outside" : "";
    switch ((hk_scope_why)(flags >> HKI_SCOPE_WHY_SHIFT & 7)) {
    case HK_BY_DEADLINE: return ", its deadline has passed";
    case HK_BY_FAILURE:
        return flags & HK_SCOPE_FIRST_SUCCESS ? ", cancelled by a success or a failure"
                                              : ", cancelled by a failure";
    default: return ", cancelled";
    }
}

static void show_scope(struct dump *dump, const hk_scope *scope)
{
    uint32_t children = scope->hki_local_count + scope->hki_remote_count +
                        (uint32_t)hki_crews_jobs(scope);
    uint32_t flags = hki_scope_flags_of(scope);

    begin_line(dump);
    hki_report_add(dump->report, "scope '%s': %u %s%s%s%s%s%s",
                   name_or(scope->hki_name, "unnamed"), children,
                   children == 1 ? "child" : "children",
                   flags & HK_SCOPE_WAIT_ALL ? ", wait-all" : "",
                   flags & HK_SCOPE_FIRST_SUCCESS ? ", first-success" : "",
                   flags & HKI_SCOPE_PARALLEL ? ", parallel" : "",
                   flags & HKI_SCOPE_SHIELDED ? ", shielded" : "",
                   cancel_reason(flags));
    if (scope->hki_deadline.hki_link) {
        hki_report_add(dump->report, ", deadline in ");
        hki_report_add_time(dump->report,
                            scope->hki_deadline.hki_deadline_ns - dump->now_ns);
    }
    hki_report_add(dump->report, "\n");
}

/* ---- the walk ---- */

static hk_scope *outermost_scope(const struct hki_self *self)
{
    hk_scope *scope = self->scope;

    while (scope && scope->hki_outer)
        scope = scope->hki_outer;
    return scope;
}

/* Lists have the newest child in front; people want the oldest first. */
static struct hki_self *oldest(struct hki_self *newest)
{
    while (newest && newest->sibling_next)
        newest = newest->sibling_next;
    return newest;
}

/* The child that was spawned next, of the local ones, then of the remote ones. */
static struct hki_self *next_child(const hk_scope *scope, const struct hki_self *child)
{
    if (child->sibling_link == &scope->hki_local)
        return oldest(scope->hki_remote);
    if (child->sibling_link == &scope->hki_remote)
        return NULL;
    return hki_container_of(child->sibling_link, struct hki_self, sibling_next);
}

/* Jobs that are no tasks here. */
static void show_guests(struct dump *dump, const hk_scope *scope)
{
    for (const struct hki_guest *g = scope->hki_guests; g; g = g->next) {
        uint64_t jobs;

        if (hki_guest_is_crew(g, &jobs)) {
            if (jobs > 0) {
                begin_line(dump);
                hki_report_add(dump->report,
                               "%llu jobs of a pool of threads, queued or there\n",
                               (unsigned long long)jobs);
            }
            continue;
        }
        begin_line(dump);
        hki_report_add(dump->report, "job '%s', queued or elsewhere\n",
                       name_or(g->name, "unnamed"));
    }
}

static struct hki_self *enter_scope(struct dump *dump, hk_scope *scope)
{
    struct hki_self *child;

    hki_lock_acquire(&scope->hki_lock);
    show_scope(dump, scope);
    dump->depth++;
    show_guests(dump, scope);
    child = oldest(scope->hki_local);
    return child ? child : oldest(scope->hki_remote);
}

static void leave_scope(struct dump *dump, hk_scope *scope)
{
    hki_lock_release(&scope->hki_lock);
    dump->depth--;
}

/* Who comes after `self`, whose scopes begin at `scope`; NULL: `root` is done. */
static struct hki_self *next_in_tree(struct dump *dump, const struct hki_self *root,
                                     struct hki_self *self, hk_scope *scope)
{
    for (;;) {
        while (scope) {
            struct hki_self *child = enter_scope(dump, scope);

            if (child) {
                dump->depth++;
                return child;
            }
            leave_scope(dump, scope);
            scope = scope->hki_inner;
        }
        if (self == root)
            return NULL;
        scope = self->parent;
        self = next_child(scope, self);
        if (self)
            return self;
        dump->depth--;
        leave_scope(dump, scope);
        self = scope->hki_owner;
        scope = scope->hki_inner;
    }
}

/* True when its scopes may be looked at: never those of a thread, which goes on. */
static bool show_child(struct dump *dump, struct hki_self *self)
{
    if (self->kind == HKI_SELF_TASK)
        return show_task(dump, hki_task_of(self));
    begin_line(dump);
    hki_dump_add_thread(dump->report, hki_thread_of(self), dump->threads_stand);
    return false;
}

static void show_tree(struct dump *dump, struct hki_self *root)
{
    struct hki_self *self = root;

    while (self) {
        bool open = show_child(dump, self);

        self = next_in_tree(dump, root, self, open ? outermost_scope(self) : NULL);
    }
}

/* ---- where trees begin ---- */

/*
 * True when nobody above the task leads to it. Records of busy workers change while we
 * look: of those only LIVE, STARTED and the worker are read, and LIVE is set last.
 */
static __attribute__((no_sanitize("thread"))) bool is_root(const struct dump *dump,
                                                           const struct hki_task *task)
{
    uint32_t flags = __atomic_load_n(&task->self.flags, __ATOMIC_ACQUIRE);
    const struct hki_self *owner;

    if (!(flags & HKI_TASK_LIVE) || (flags & HKI_TASK_ZOMBIE))
        return false;
    if (!(flags & HKI_TASK_STARTED) && !dump->all_stand)
        return false; /* a busy worker may take it, and end it */
    if (!hki_halt_is_still(worker_of(task)))
        return false;
    if (!task->self.parent || (flags & HKI_TASK_FOUND))
        return true;
    owner = task->self.parent->hki_owner;
    return owner->kind != HKI_SELF_TASK || !hki_halt_is_still(owner->worker);
}

static void show_origin(struct dump *dump, const struct hki_task *task)
{
    const hk_scope *parent = task->self.parent;

    if (!parent)
        return;
    begin_line(dump);
    hki_report_add(dump->report, "in scope '%s' of ",
                   name_or(parent->hki_name, "unnamed"));
    if (parent->hki_owner->kind == HKI_SELF_TASK)
        hki_report_add(dump->report, "a task on worker %u, which is busy:\n",
                       parent->hki_owner->worker->index);
    else
        hki_report_add(dump->report, "thread '%s':\n",
                       hki_thread_of(parent->hki_owner)->name);
}

static void show_trees(struct dump *dump)
{
    uint32_t slots =
        HKI_TASK_SLAB * __atomic_load_n(&dump->runtime->slab_count, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < slots; i++) {
        struct hki_task *task = hki_runtime_task(dump->runtime, i);

        if (!is_root(dump, task))
            continue;
        /* Again where TSan sees it: after LIVE the rest of the record may be read. */
        (void)__atomic_load_n(&task->self.flags, __ATOMIC_ACQUIRE);
        dump->depth = 1;
        show_origin(dump, task);
        if (task->self.parent)
            dump->depth++;
        show_tree(dump, &task->self);
    }
}

/* ---- a runtime ---- */

/* Counters of busy workers are read while they change: the number may be late. */
__attribute__((no_sanitize("thread"))) uint64_t hki_dump_count_tasks(
    const struct hki_runtime *runtime)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < hki_worker_count(runtime); i++) {
        const volatile struct hki_worker *w = &runtime->workers[i];

        count += w->tasks_spawned - w->tasks_ended;
    }
    return count;
}

static void show_busy(struct dump *dump, const struct hki_worker *worker)
{
    struct hki_sample sample;

    hki_report_add(dump->report, "  worker %u is busy with ", worker->index);
    if (!hki_sample_take(worker->thread_id, SAMPLE_PATIENCE_NS, &sample)) {
        hki_report_add(dump->report, "something, and its thread takes no signal\n");
        return;
    }
    hki_report_add(dump->report, "%s; its tasks cannot be shown\n", sample.note);
    hki_report_add_frames(dump->report, 3 * INDENT, &sample.frames);
}

static void show_worker(struct dump *dump, const struct hki_worker *worker)
{
    unsigned ready = 0;

    if (!hki_halt_runs(worker))
        return;
    if (!hki_halt_is_still(worker)) {
        show_busy(dump, worker);
        return;
    }
    for (const struct hki_task *t = worker->ready_head; t; t = t->next)
        ready++;
    hki_report_add(dump->report,
                   "  worker %u: %u ready, %llu timers, %llu operations in flight\n",
                   worker->index, ready, (unsigned long long)worker->wheel.count,
                   (unsigned long long)worker->ops_in_flight);
}

static void show_runtime(struct hki_report *report, struct hki_runtime *runtime,
                         bool threads_stand)
{
    struct dump dump = {
        .report = report,
        .runtime = runtime,
        .all_stand = true,
        .threads_stand = threads_stand,
    };
    uint64_t tasks = hki_dump_count_tasks(runtime);

    if (!hki_halt_runs(&runtime->workers[0])) { /* nothing of it may be read */
        hki_report_add(report, "runtime %u starts or ends\n", runtime->serial);
        return;
    }
    if (!runtime->options.virtual_clock || hki_halt_is_still(&runtime->workers[0]))
        dump.now_ns = hki_worker_now(&runtime->workers[0]);
    hki_report_add(report, "%s %u: %u worker%s on %s, %llu task%s\n",
                   runtime->background ? "background runtime" : "runtime",
                   runtime->serial, hki_worker_count(runtime),
                   hki_worker_count(runtime) == 1 ? "" : "s",
                   runtime->workers[0].poller_ops->name, (unsigned long long)tasks,
                   tasks == 1 ? "" : "s");
    for (uint32_t i = 0; i < hki_worker_count(runtime); i++) {
        show_worker(&dump, &runtime->workers[i]);
        if (!hki_halt_is_still(&runtime->workers[i]))
            dump.all_stand = false;
    }
    show_trees(&dump);
}

/* ---- all of it ---- */

static const uint64_t *jobs_of_no_scope; /* atomic, and so is what it points at */

void hki_dump_shows_jobs(const uint64_t *count)
{
    __atomic_store_n(&jobs_of_no_scope, count, __ATOMIC_RELEASE);
}

/* Those that are tasks by now are shown as such, too. */
static void show_jobs_of_no_scope(struct hki_report *report)
{
    const uint64_t *count = __atomic_load_n(&jobs_of_no_scope, __ATOMIC_ACQUIRE);
    uint64_t jobs = count ? __atomic_load_n(count, __ATOMIC_RELAXED) : 0;

    if (jobs > 0)
        hki_report_add(report, "%llu job%s without a scope or detached, wherever\n",
                       (unsigned long long)jobs, jobs == 1 ? "" : "s");
}

void hki_dump_add(struct hki_report *report, struct hki_runtime *pinned,
                  bool threads_stand)
{
    HKI_READS_OF_ALL_BEGIN();
    for (struct hki_runtime *r = pinned; r; r = r->pinned_next)
        show_runtime(report, r, threads_stand);
    hki_dump_add_threads(report, threads_stand);
    show_jobs_of_no_scope(report);
    HKI_READS_OF_ALL_END();
}

int hk_dump_tasks(int fd)
{
    struct hki_runtime *pinned;
    struct hki_report report;
    int rc;

    hki_fork_guard();
    hki_report_init(&report, fd);
    pinned = hki_halt_all();
    hki_dump_add(&report, pinned, false);
    hki_halt_release(pinned);
    rc = hki_report_write(&report);
    hki_report_fini(&report);
    return rc;
}
