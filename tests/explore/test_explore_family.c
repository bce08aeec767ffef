/* SPDX-License-Identifier: MIT */
/*
 * Barrier, once, wait group and limiter under the schedule explorer.
 *
 * Run: once
 */
#include "explore_kit.h"

enum { ROUNDS = 2 };

/* ---- barrier ---- */

struct march {
    hk_barrier barrier;
    int arrived[ROUNDS]; /* atomic */
    int sum;             /* of indices; atomic */
};

static int march_on(void *arg)
{
    struct march *m = arg;

    for (int round = 0; round < ROUNDS; round++) {
        int index;

        TRY(dawdle());
        add_to(&m->arrived[round], 1);
        index = hk_barrier_wait(&m->barrier);
        TRY(index);
        EXPECT(peek(&m->arrived[round]) == MANY);
        add_to(&m->sum, index);
    }
    return 0;
}

static int barrier_holds_all_back(void *arg)
{
    struct march march = {.barrier = HK_BARRIER_INIT(MANY)};

    (void)arg;
    EXPECT(join_many(march_on, march_on, &march) == 0);
    EXPECT(march.sum == ROUNDS * (0 + 1 + 2 + 3));
    hk_barrier_fini(&march.barrier);
    return 0;
}

static int march_or_abort(void *arg)
{
    struct march *m = arg;
    int rc = hk_barrier_wait(&m->barrier);

    if (rc == -ECANCELED)
        hk_barrier_abort(&m->barrier); /* the others need not wait for us */
    return rc == -EPIPE ? 0 : rc;
}

static int barrier_aborts_for_who_is_cancelled(void *arg)
{
    struct march march = {.barrier = HK_BARRIER_INIT(MANY)};

    (void)arg;
    EXPECT(join_many(march_or_abort, march_or_abort, &march) == 0);
    hk_barrier_fini(&march.barrier);
    return 0;
}

struct meeting {
    hk_barrier barrier;
    int met[3]; /* by place; atomic */
    bool left;  /* one was cancelled before they met */
};

static int meet(void *arg)
{
    struct meeting *m = arg;
    int index = hk_barrier_wait(&m->barrier);

    TRY(index);
    add_to(&m->met[index], 1);
    return 0;
}

static int meet_or_leave(void *arg)
{
    struct meeting *m = arg;
    int rc = meet(arg);

    m->left = rc == -ECANCELED;
    return rc;
}

/* Who is cancelled has not arrived: another one completes the round. */
static int barrier_forgets_the_cancelled(void *arg)
{
    struct meeting meeting = {.barrier = HK_BARRIER_INIT(3)};
    hk_scope all, unsure;
    hk_task_id id;

    (void)arg;
    hk_scope_open(&all);
    hk_spawn(&all, meet, &meeting);
    hk_spawn(&all, meet, &meeting);
    hk_scope_open(&unsure);
    hk_spawn_named(&unsure, "unsure", meet_or_leave, &meeting, &id);
    TRY(dawdle());
    (void)hk_task_cancel(id); /* it may have met the others, and ended */
    EXPECT(hk_scope_join(&unsure) == 0);
    if (meeting.left)
        hk_spawn(&all, meet, &meeting);
    EXPECT(hk_scope_join(&all) == 0);
    EXPECT(meeting.met[0] == 1 && meeting.met[1] == 1 && meeting.met[2] == 1);
    hk_barrier_fini(&meeting.barrier);
    return 0;
}

/* ---- once ---- */

struct setup {
    hk_once once;
    int tries, done; /* done is guarded by once */
};

static int set_up(void *arg)
{
    struct setup *s = arg;

    add_to(&s->tries, 1);
    TRY(dawdle());
    if (hk_explore_choice(4) == 0)
        return -EAGAIN;
    s->done++;
    return 0;
}

static int need_setup(void *arg)
{
    struct setup *s = arg;
    int rc;

    do
        rc = hk_once_run(&s->once, set_up, s);
    while (rc == -EAGAIN);
    TRY(rc);
    EXPECT(hk_once_is_done(&s->once) && s->done == 1);
    return 0;
}

static int once_is_once(void *arg)
{
    struct setup setup = {.tries = 0};

    (void)arg;
    EXPECT(join_many(need_setup, need_setup, &setup) == 0);
    EXPECT(setup.done <= 1 && setup.tries >= setup.done);
    hk_once_fini(&setup.once);
    return 0;
}

/* ---- wait group ---- */

struct jobs {
    hk_wait_group group;
    int done; /* guarded by the group */
};

static int do_job(void *arg)
{
    struct jobs *jobs = arg;
    int rc = dawdle();

    add_to(&jobs->done, 1);
    hk_wait_group_done(&jobs->group);
    return rc;
}

static int await_jobs(void *arg)
{
    struct jobs *jobs = arg;

    TRY(hk_wait_group_wait(&jobs->group));
    EXPECT(peek(&jobs->done) == MANY - 2);
    return 0;
}

static int wait_group_waits_for_the_last(void *arg)
{
    struct jobs jobs = {.done = 0};
    hk_scope s;

    (void)arg;
    hk_wait_group_add(&jobs.group, MANY - 2);
    hk_scope_open(&s);
    hk_spawn(&s, await_jobs, &jobs);
    for (int i = 0; i < MANY - 2; i++)
        hk_spawn(&s, do_job, &jobs);
    hk_spawn(&s, await_jobs, &jobs);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(hk_wait_group_count(&jobs.group) == 0);
    hk_wait_group_fini(&jobs.group);
    return 0;
}

/* ---- limiter ---- */

struct desk {
    hk_limiter limiter;
    int busy; /* atomic */
};

static int be_served(void *arg)
{
    struct desk *desk = arg;

    for (int i = 0; i < ROUNDS; i++) {
        int rc;

        TRY(hk_limiter_acquire(&desk->limiter));
        EXPECT(add_to(&desk->busy, 1) <= 2);
        EXPECT(hk_limiter_acquire(&desk->limiter) == -EALREADY || hk_cancelled() < 0);
        rc = dawdle();
        add_to(&desk->busy, -1);
        hk_limiter_release(&desk->limiter);
        hk_explore_point();
        TRY(rc);
    }
    return 0;
}

static int change_the_desk(void *arg)
{
    struct desk *desk = arg;

    TRY(dawdle());
    hk_limiter_set_total(&desk->limiter, 1);
    TRY(dawdle());
    hk_limiter_set_total(&desk->limiter, 2);
    return 0;
}

static int serve_all(hk_task_fn *first)
{
    struct desk desk = {.busy = 0};

    hk_limiter_init(&desk.limiter, 2);
    EXPECT(join_many(first, be_served, &desk) == 0);
    EXPECT(desk.busy == 0);
    EXPECT(hk_limiter_available(&desk.limiter) == hk_limiter_total(&desk.limiter));
    hk_limiter_fini(&desk.limiter);
    return 0;
}

static int limiter_keeps_its_limit(void *arg)
{
    (void)arg;
    return serve_all(be_served);
}

static int limiter_changes_its_total(void *arg)
{
    (void)arg;
    return serve_all(change_the_desk);
}

static const struct scenario scenarios[] = {
    {"barrier_holds_all_back", barrier_holds_all_back, 0, false},
    {"barrier_aborts_for_who_is_cancelled", barrier_aborts_for_who_is_cancelled, 2,
     false},
    {"barrier_forgets_the_cancelled", barrier_forgets_the_cancelled, 0, false},
    {"once_is_once", once_is_once, 2, false},
    {"wait_group_waits_for_the_last", wait_group_waits_for_the_last, 2, false},
    {"limiter_keeps_its_limit", limiter_keeps_its_limit, 2, false},
    {"limiter_changes_its_total", limiter_changes_its_total, 2, false},
};

int main(void)
{
    return explore_all(scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
