/* SPDX-License-Identifier: MIT */
/*
 * Fork and join. A fork pushes its record, which the caller stores, to the deque of the
 * thread that it runs on; the join takes it back and calls the function: no task, no
 * switch, no lock, no memory. Only what another thread has stolen meanwhile is run as a
 * task there, and must be waited for.
 *
 * On one worker several tasks share the deque. A task that waits between its fork and
 * its join lets others push on top, so a join may find somebody else's record: it goes
 * back, and the own one, further down, counts as stolen: whoever comes to it first runs
 * it, if need be this very worker, when the joiner has parked.
 *
 * The state of a record:
 *
 *     FORKED      not ended
 *     DONE        the function has returned on another thread, which is done with it
 *     (address)   of the joiner's waiter, who parks: set by the joiner, FORKED before
 */
#include "exec/parallel.h"
#include "exec/work.h"

#include "base/spin.h"

#include <stdio.h>

enum { FORKED, DONE };

/* hki_flags. */
enum {
    PUSHED = 1 << 0,  /* else it is run by the join, as the pool could not take it */
    ENTERED = 1 << 1, /* with it a plain thread has begun to take part in the pool */
};

enum { SPINS = 100 }; /* of 20 ns, for what is nearly done, before the joiner parks */

_Static_assert(offsetof(hk_forked, hki_run) == offsetof(struct hki_work, run) &&
                   offsetof(hk_forked, hki_scope) == offsetof(struct hki_work, scope) &&
                   offsetof(hk_forked, hki_name) == offsetof(struct hki_work, name) &&
                   offsetof(hk_forked, hki_is_counted) ==
                       offsetof(struct hki_work, is_counted),
               "a fork begins as a struct hki_work");

static struct hki_work *work_of(hk_forked *forked)
{
    return (struct hki_work *)(void *)forked;
}

void hki_forks_panic(void)
{
    hki_panic("a function that '%s' runs returned without joining what it forked",
              hk_task_name());
}

static int call(const hk_forked *forked, struct hki_self *self)
{
    uint16_t forks = self->forks;
    int rc = hki_enter(self);

    if (rc < 0)
        return rc;
    rc = forked->hki_fn(forked->hki_arg);
    hki_forks_check(self, forks);
    return rc;
}

/* As a task, elsewhere. */
static void run_stolen(struct hki_work *work)
{
    hk_forked *forked = (hk_forked *)(void *)work;
    struct hki_self *self = hki_self();
    uintptr_t waiter;

    forked->hki_result = call(forked, self);
    self->parent = NULL; /* its scope may be gone before this task has ended */
    waiter = __atomic_exchange_n(&forked->hki_state, DONE, __ATOMIC_ACQ_REL);
    if (waiter != FORKED)
        hk_wake((hk_waiter *)waiter, 0);
}

/* ---- where it goes ---- */

/* Where the caller has a deque; NULL: nowhere. */
static struct hki_work_pool *pool_here(void)
{
    return hki_work_seat_here ? hki_work_seat_here->pool : NULL;
}

static bool take_part(void)
{
    struct hki_work_pool *pool;

    return hki_work_pool_default(&pool) == 0 && hki_work_participate(pool) == 0;
}

static bool push_from_outside(hk_forked *forked, const struct hki_self *self)
{
    struct hki_work_pool *pool;

    if (self->kind != HKI_SELF_THREAD)
        return hki_work_pool_default(&pool) == 0 &&
               hki_work_push(pool, work_of(forked)) == 0;
    if (!take_part())
        return false;
    forked->hki_flags |= ENTERED;
    return hki_work_push(pool_here(), work_of(forked)) == 0;
}

static bool push(hk_forked *forked, const struct hki_self *self)
{
    struct hki_work_pool *pool = pool_here();

    return HKI_LIKELY(pool) ? hki_work_push(pool, work_of(forked)) == 0
                            : push_from_outside(forked, self);
}

void hki_fork_named(hk_forked *forked, hk_task_fn *fn, void *arg, const char *name)
{
    struct hki_self *self = hki_self();

    forked->hki_run = run_stolen;
    forked->hki_scope = self->scope ? self->scope : self->parent;
    forked->hki_name = name;
    forked->hki_is_counted = false;
    forked->hki_fn = fn;
    forked->hki_arg = arg;
    forked->hki_owner = self;
    forked->hki_state = FORKED;
    forked->hki_flags = PUSHED;
    forked->hki_depth = self->forks++;
    if (HKI_UNLIKELY(!push(forked, self)))
        forked->hki_flags &= (uint8_t)~PUSHED;
}

void hk_fork(hk_forked *forked, hk_task_fn *fn, void *arg)
{
    hki_fork_named(forked, fn, arg, "fork");
}

/* ---- join ---- */

static const hk_wait_kind join_kind = {.name = "a fork"};

static bool is_done(const hk_forked *forked)
{
    return __atomic_load_n(&forked->hki_state, __ATOMIC_ACQUIRE) == DONE;
}

static void park_until_done(hk_forked *forked)
{
    uintptr_t none = FORKED;
    hk_waiter w;

    hk_waiter_init(&w, &join_kind, forked);
    if (__atomic_compare_exchange_n(&forked->hki_state, &none, (uintptr_t)&w, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        (void)hk_park(&w, NULL);
}

static struct hki_work *take(void)
{
    return HKI_LIKELY(hki_work_seat_here) ? hki_work_take() : NULL;
}

/* Another thread has it; or `top`, which is somebody else's, lies above it. */
static int await(hk_forked *forked, struct hki_work *top)
{
    if (top)
        (void)hki_work_push(pool_here(), top); /* where it was: there is room */
    for (unsigned turn = 0; turn < SPINS && !top && !is_done(forked); turn++)
        hki_spin_pause(turn);
    if (!is_done(forked))
        park_until_done(forked);
    return forked->hki_result;
}

static void check_join(const hk_forked *forked, const struct hki_self *self)
{
    if (HKI_UNLIKELY(forked->hki_run != run_stolen))
        hki_panic("hk_join by '%s' of what is not forked, or was joined before",
                  hk_task_name());
    if (HKI_UNLIKELY(forked->hki_owner != self))
        hki_panic("hk_join by '%s' of what another task or thread has forked",
                  hk_task_name());
    if (HKI_UNLIKELY(forked->hki_depth != (uint16_t)(self->forks - 1)))
        hki_panic("hk_join by '%s' of a fork that is not its last: join them in "
                  "reverse order",
                  hk_task_name());
}

int hk_join(hk_forked *forked)
{
    struct hki_self *self = hki_self();
    struct hki_work *top;
    int rc;

    check_join(forked, self);
    self->forks--;
    top = HKI_LIKELY(forked->hki_flags & PUSHED) ? take() : work_of(forked);
    rc = HKI_LIKELY(top == work_of(forked)) ? call(forked, self) : await(forked, top);
    forked->hki_run = NULL;
    if (HKI_UNLIKELY(--self->budget == 0))
        hki_workers_share(self);
    if (HKI_UNLIKELY(forked->hki_flags & ENTERED))
        hki_work_leave(pool_here());
    return rc;
}

int hk_join_all(hk_forked *forked, size_t count)
{
    int first = 0;

    while (count-- > 0) {
        int rc = hk_join(&forked[count]);

        if (rc < 0)
            first = rc;
    }
    return first;
}

/* ---- where forks are cheap ---- */

/* A scope of its own: what cancels the task alone shall reach what it waits for. */
static int run_in_the_pool(hk_task_fn *fn, void *arg)
{
    hk_scope scope;
    hk_forked forked;
    int rc;

    hk_scope_open_with(&scope, 0, "parallel");
    hki_fork_named(&forked, fn, arg, "parallel");
    rc = hk_join(&forked);
    (void)hk_scope_join(&scope);
    return rc;
}

int hk_parallel_run(hk_task_fn *fn, void *arg)
{
    struct hki_self *self = hki_self();
    uint16_t forks = self->forks;
    int rc = hki_enter(self);
    bool enters;

    if (rc < 0)
        return rc;
    if (self->kind != HKI_SELF_THREAD && !pool_here())
        return run_in_the_pool(fn, arg);
    enters = !pool_here() && take_part();
    rc = fn(arg);
    hki_forks_check(self, forks);
    if (enters)
        hki_work_leave(pool_here());
    if (HKI_UNLIKELY(--self->budget == 0))
        hki_workers_share(self);
    return rc;
}

uint32_t hk_parallel_threads(void)
{
    struct hki_work_pool *pool = pool_here();

    if (!pool && hki_work_pool_default(&pool) < 0)
        return 1;
    return hki_work_threads(pool);
}
