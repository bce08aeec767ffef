/* SPDX-License-Identifier: MIT */
/*
 * All runs of a model, depth first: a run follows a list of choices (model_choices.h),
 * the next one follows the next list. No state is ever saved, and a list is all that a
 * replay needs.
 *
 * Option 0 is to go on with the same thread and not to delay a store; 0 everywhere is
 * one thread after the other. Choices cost: another thread where the current one could
 * go on, a preemption; a store that waits, a delay. Where the current one waits or
 * ends, another costs nothing. A thread that yields makes way for one that is ready,
 * and the second time without any change of memory in between stands back until there
 * is one: so loops that wait for another thread end.
 */
#include "base/assert.h"
#include "core/runtime.h"
#include "sys/os.h"
#include "testing/model_choices.h"
#include "testing/model_run.h"

#include <string.h>

enum { STACK_BYTES = 256 * 1024, PREEMPTIONS_DEFAULT = 2, POINTS_MAX = 100 * 1000 };

static struct {
    const hk_model *model;
    const char *name;
    struct hki_stack_pool stacks;
    struct hki_model_thread threads[HK_MODEL_THREADS_MAX];
    uint32_t count;

    /* where hk_model_run waits for the end of a run */
    void *home_sp;
    struct hki_context home;
    struct hki_self *home_self;
    struct hki_worker *home_worker;

    struct hki_model_choices choices;

    struct hki_model_thread *current; /* NULL: no run */
    uint32_t preemptions, delays;     /* left */
    uint64_t changes, points;
    int failure;
    bool replays;
} run;

bool hki_model_is_running(void)
{
    return run.current;
}

struct hki_model_thread *hki_model_current(void)
{
    return run.current;
}

void hki_model_changed(void)
{
    run.changes++;
}

uint64_t hki_model_changes(void)
{
    return run.changes;
}

static unsigned number_of(const struct hki_model_thread *thread)
{
    return (unsigned)(thread - run.threads);
}

void hki_model_log(const char *what, const volatile void *address, uint64_t value)
{
    if (run.replays && run.current)
        hki_log(HK_LOG_INFO, "%6llu thread %u: %s %p %#llx",
                (unsigned long long)run.points, number_of(run.current), what,
                (const void *)(uintptr_t)address, (unsigned long long)value);
}

/* ---- choices ---- */

static void fail(int failure)
{
    if (run.failure == 0)
        run.failure = failure;
}

uint32_t hki_model_choose(uint32_t options)
{
    int chosen;

    if (options <= 1)
        return 0;
    chosen = hki_model_choices_make(&run.choices, options);
    if (chosen < 0)
        fail(chosen);
    return chosen < 0 ? 0 : (uint32_t)chosen;
}

bool hki_model_choose_delay(void)
{
    if (!run.delays || !hki_model_choose(2))
        return false;
    run.delays--;
    return true;
}

/* ---- threads ---- */

static bool is_ready(const struct hki_model_thread *thread)
{
    return thread->state == HKI_MODEL_READY ||
           (thread->state == HKI_MODEL_YIELDED && thread->yielded_at != run.changes);
}

static uint32_t count_others(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < run.count; i++)
        count += &run.threads[i] != run.current && is_ready(&run.threads[i]);
    return count;
}

static struct hki_model_thread *other(uint32_t index)
{
    for (uint32_t i = 0;; i++)
        if (&run.threads[i] != run.current && is_ready(&run.threads[i]) && index-- == 0)
            return &run.threads[i];
}

/* To `thread`; comes back when somebody switches to the caller again. */
static void switch_to(struct hki_model_thread *thread)
{
    struct hki_model_thread *from = run.current;

    from->self = hki_self_current;
    from->worker = hki_worker_current;
    from->load_count = 0;
    thread->state = HKI_MODEL_READY;
    run.current = thread;
    hki_self_current = thread->self;
    hki_worker_current = thread->worker;
    (void)hki_context_switch(hki_switch_by_return, &from->sp, thread->sp,
                             &from->stack->context, &thread->stack->context);
}

/* The run is over; the current thread never goes on. */
static void go_home(void)
{
    struct hki_model_thread *from = run.current;

    run.current = NULL;
    hki_self_current = run.home_self;
    hki_worker_current = run.home_worker;
    (void)hki_context_switch(hki_switch_by_return, &from->sp, run.home_sp,
                             &from->stack->context, &run.home);
}

static struct hki_model_thread *find_timed(void)
{
    for (uint32_t i = 0; i < run.count; i++)
        if (run.threads[i].state == HKI_MODEL_WAITS && run.threads[i].may_time_out)
            return &run.threads[i];
    return NULL;
}

static bool have_all_ended(void)
{
    for (uint32_t i = 0; i < run.count; i++)
        if (run.threads[i].state != HKI_MODEL_ENDED)
            return false;
    return true;
}

/* The current thread cannot go on: another does, or the run is over. */
static void give_way(void)
{
    uint32_t count = count_others();
    struct hki_model_thread *timed;

    if (count > 0) {
        switch_to(other(hki_model_choose(count)));
        return;
    }
    timed = find_timed();
    if (timed == run.current) {
        timed->state = HKI_MODEL_READY;
    } else if (timed) {
        switch_to(timed);
    } else {
        if (!have_all_ended())
            fail(-EDEADLK);
        go_home();
    }
}

void hki_model_point(void)
{
    uint32_t choice;

    if (++run.points > POINTS_MAX)
        fail(-ELOOP);
    if (run.failure) {
        go_home();
        return;
    }
    if (!run.preemptions)
        return;
    choice = hki_model_choose(1 + count_others());
    if (choice == 0)
        return;
    run.preemptions--;
    switch_to(other(choice - 1));
}

void hki_model_sleep(const uint32_t *word, bool may_time_out)
{
    run.current->state = HKI_MODEL_WAITS;
    run.current->word = word;
    run.current->may_time_out = may_time_out;
    give_way();
}

void hki_model_wake_sleepers(const uint32_t *word, uint32_t count)
{
    for (uint32_t i = 0; i < run.count && count > 0; i++) {
        struct hki_model_thread *thread = &run.threads[i];

        if (thread->state != HKI_MODEL_WAITS || thread->word != word)
            continue;
        thread->state = HKI_MODEL_READY;
        count--;
    }
}

void hki_model_flush_all(void)
{
    for (uint32_t i = 0; i < run.count; i++)
        hki_model_flush(&run.threads[i]);
}

void hk_model_yield(void)
{
    struct hki_model_thread *thread = run.current;
    uint32_t others;

    if (!thread)
        return;
    hki_model_flush(thread);
    thread->load_count = 0;
    if (++run.points > POINTS_MAX)
        fail(-ELOOP);
    if (thread->yielded_at == run.changes) {
        thread->state = HKI_MODEL_YIELDED;
        give_way();
        return;
    }
    thread->yielded_at = run.changes;
    others = count_others();
    if (others > 0)
        switch_to(other(hki_model_choose(others)));
}

void hk_model_fail(const char *what)
{
    if (!run.current)
        return;
    hki_log(HK_LOG_ERROR, "model '%s': thread %u: %s", run.name, number_of(run.current),
            what);
    fail(-EPROTO);
    go_home();
}

/* The first function on every stack. It never returns. */
static void thread_main(void)
{
    struct hki_model_thread *thread = run.current;

#ifdef HKI_CONTEXT_TOOLS
    hki_context_arrive(&thread->stack->context, true);
#endif
    run.model->threads[number_of(thread)](run.model->world);
    if (thread->buffered)
        hki_model_point();
    hki_model_flush(thread);
    thread->state = HKI_MODEL_ENDED;
    give_way();
    hki_panic("a thread of model '%s' goes on after its end", run.name);
}

/* ---- one run ---- */

static void begin_run(void)
{
    hki_model_choices_begin(&run.choices);
    run.changes = 1;
    run.points = 0;
    run.failure = 0;
    run.preemptions =
        run.model->preemptions ? run.model->preemptions : PREEMPTIONS_DEFAULT;
    run.delays = run.model->delays;
    if (run.model->begin)
        run.model->begin(run.model->world);
    for (uint32_t i = 0; i < run.count; i++) {
        struct hki_stack *stack = run.threads[i].stack;

#ifdef HKI_CONTEXT_TOOLS
        hki_context_reuse(&stack->context);
#endif
        run.threads[i] = (struct hki_model_thread){
            .stack = stack,
            .sp = hki_context_make(stack, thread_main),
        };
    }
}

static int run_once(void)
{
    struct hki_model_thread *first;

    begin_run();
    first = &run.threads[hki_model_choose(run.count)];
    run.current = first;
    run.home_self = hki_self_current;
    run.home_worker = hki_worker_current;
    hki_self_current = NULL;
    hki_worker_current = NULL;
    (void)hki_context_switch(hki_switch_by_return, &run.home_sp, first->sp, &run.home,
                             &first->stack->context);
    if (run.failure == 0 && !hki_model_choices_have_all_been_made(&run.choices))
        return -EILSEQ;
    if (run.failure == 0 && run.model->end && !run.model->end(run.model->world)) {
        hki_log(HK_LOG_ERROR, "model '%s': the world is not as it must be", run.name);
        return -EPROTO;
    }
    return run.failure;
}

/* ---- all runs ---- */

/* HOCKET_MODEL=name:choices. 1: it names another model. */
static int heed_environment(void)
{
    const char *wish = hki_os_environment("HOCKET_MODEL");
    size_t length = strlen(run.name);

    if (!wish || !*wish)
        return 0;
    if (strncmp(wish, run.name, length) != 0 || wish[length] != ':')
        return 1;
    run.replays = true;
    return hki_model_choices_read(&run.choices, wish + length + 1);
}

static const char *failure_text(int rc)
{
    switch (rc) {
    case -EDEADLK: return "all threads wait";
    case -EILSEQ: return "it did not run alike when run again";
    default: return hk_error_text(rc);
    }
}

static void report(int rc, const char *choices)
{
    hki_log(HK_LOG_ERROR,
            "model '%s' fails (%s) by choices %s; HOCKET_MODEL=%s:%s "
            "replays it",
            run.name, failure_text(rc), *choices ? choices : "none", run.name, choices);
}

static int run_all(hk_model_result *result)
{
    int rc;

    do {
        rc = run_once();
        result->runs++;
        if (run.points > result->points)
            result->points = run.points;
        if (rc < 0) {
            hki_model_choices_write(&run.choices, result->choices,
                                    sizeof(result->choices));
            report(rc, result->choices);
            return rc;
        }
        if (run.model->runs_max && result->runs >= run.model->runs_max)
            return -E2BIG;
    } while (!run.replays && hki_model_choices_advance(&run.choices));
    return 0;
}

static int get_stacks(void)
{
    hki_stack_pool_init(&run.stacks, STACK_BYTES, 0);
    hki_context_init_thread(&run.home);
    while (run.count < HK_MODEL_THREADS_MAX && run.model->threads[run.count]) {
        int rc = hki_stack_get(&run.stacks, &run.threads[run.count].stack);

        if (rc < 0)
            return rc;
        run.count++;
    }
    return run.count ? 0 : -EINVAL;
}

static void put_stacks(void)
{
    while (run.count > 0)
        hki_stack_put(&run.stacks, run.threads[--run.count].stack);
    hki_stack_pool_fini(&run.stacks);
}

int hk_model_run(const hk_model *model, hk_model_result *out)
{
    hk_model_result result = {.runs = 0};
    int rc;

    if (run.model)
        hki_panic("hk_model_run inside a run of model '%s'", run.name);
    run.model = model;
    run.name = model->name ? model->name : "model";
    rc = get_stacks();
    if (rc == 0)
        rc = heed_environment();
    if (rc == 0)
        rc = run_all(&result);
    put_stacks();
    hki_model_choices_fini(&run.choices);
    memset(&run, 0, sizeof(run));
    if (out)
        *out = result;
    return rc > 0 ? 0 : rc;
}
