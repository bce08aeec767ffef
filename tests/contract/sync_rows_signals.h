/* SPDX-License-Identifier: MIT */
/* What one party tells the other, as rows of sync_primitives.h. */
#ifndef TESTS_CONTRACT_SYNC_ROWS_SIGNALS_H
#define TESTS_CONTRACT_SYNC_ROWS_SIGNALS_H

#include "sync_rows.h"

/* ---- event ---- */

static void event_block(struct object *o)
{
    hk_event_clear(&o->event);
}

static int event_wait(struct object *o)
{
    return hk_event_wait(&o->event);
}

static int event_select(struct object *o)
{
    hk_case cases[] = {HK_CASE_EVENT(&o->never), HK_CASE_EVENT(&o->event)};
    int rc = hk_select(cases, 2);

    CHECK(rc < 0 || (rc == 1 && cases[1].result == 0));
    return rc < 0 ? rc : 0;
}

static void event_grant(struct object *o)
{
    hk_event_set(&o->event);
}

static void event_stats(struct object *o, hk_sync_stats *out_stats)
{
    hk_event_stats(&o->event, out_stats);
}

/* ---- condition: of something being ready ---- */

static int cond_wait(struct object *o)
{
    int rc = hk_mutex_lock(&o->mutex);

    if (rc < 0)
        return rc;
    while (rc == 0 && o->ready == 0) {
        rc = hk_cond_wait(&o->cond, &o->mutex);
        CHECK(hk_mutex_is_held(&o->mutex));
    }
    if (rc == 0)
        o->ready--;
    hk_mutex_unlock(&o->mutex);
    return rc;
}

static void cond_grant(struct object *o)
{
    CHECK_EQ(hk_mutex_lock(&o->mutex), 0);
    o->ready++;
    hk_cond_signal(&o->cond);
    hk_mutex_unlock(&o->mutex);
}

static void cond_stats(struct object *o, hk_sync_stats *out_stats)
{
    hk_cond_stats(&o->cond, out_stats);
}

/* ---- semaphore ---- */

static int sem_wait_one(struct object *o)
{
    return hk_sem_acquire(&o->sem);
}

static int sem_select(struct object *o)
{
    hk_case cases[] = {HK_CASE_SEM(&o->sem), HK_CASE_EVENT(&o->never),
                       HK_CASE_DEADLINE(hk_now() + 1000 * HK_SECOND)};
    int rc = hk_select(cases, 3);

    CHECK(rc <= 0 && (rc < 0 || cases[0].result == 0));
    return rc;
}

static void sem_grant(struct object *o)
{
    hk_sem_release(&o->sem, 1);
}

static void sem_stats(struct object *o, hk_sync_stats *out_stats)
{
    hk_sem_stats(&o->sem, out_stats);
}

/* ---- barrier: the granter is the other party ---- */

static int barrier_wait(struct object *o)
{
    int rc = hk_barrier_wait(&o->barrier);

    CHECK(rc < 2);
    return rc < 0 ? rc : 0;
}

static void barrier_grant(struct object *o)
{
    CHECK(hk_barrier_wait(&o->barrier) >= 0);
}

static void barrier_stats(struct object *o, hk_sync_stats *out_stats)
{
    hk_barrier_stats(&o->barrier, out_stats);
}

/* ---- wait group ---- */

static void group_block(struct object *o)
{
    hk_wait_group_add(&o->group, 1);
}

static int group_wait(struct object *o)
{
    return hk_wait_group_wait(&o->group);
}

static void group_grant(struct object *o)
{
    hk_wait_group_done(&o->group);
}

static void group_stats(struct object *o, hk_sync_stats *out_stats)
{
    hk_wait_group_stats(&o->group, out_stats);
}

/* ---- once: a runner that succeeds, and one that fails and has an heir ---- */

static int run_until_told(void *arg)
{
    struct object *o = arg;
    hk_scope shield;

    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    count_up(&o->runs);
    CHECK_EQ(hk_event_wait(&o->finish), 0);
    CHECK_EQ(hk_scope_join(&shield), 0);
    return o->run_result;
}

static int be_the_runner(void *arg)
{
    struct object *o = arg;

    CHECK_EQ(hk_once_run(&o->once, run_until_told, o), o->run_result);
    return 0;
}

static void *be_the_runner_thread(void *arg)
{
    (void)be_the_runner(arg);
    return NULL;
}

/* A new once each time, which somebody runs. */
static void once_block(struct object *o)
{
    uint32_t runs = __atomic_load_n(&o->runs, __ATOMIC_ACQUIRE);

    hk_once_fini(&o->once);
    o->once = (hk_once)HK_ONCE_INIT;
    hk_event_clear(&o->finish);
    if (hk_worker_count() == 0) {
        CHECK_EQ(pthread_create(&o->runner, NULL, be_the_runner_thread, o), 0);
    } else {
        hk_scope_open(&o->runners);
        CHECK_EQ(hk_spawn(&o->runners, be_the_runner, o), 0);
    }
    await_stage(&o->runs, runs + 1);
}

static void finish_run(struct object *o, int result)
{
    o->run_result = result;
    hk_event_set(&o->finish);
    if (hk_worker_count() == 0)
        CHECK_EQ(pthread_join(o->runner, NULL), 0);
    else
        CHECK_EQ(hk_scope_join(&o->runners), 0);
}

static void once_succeed(struct object *o)
{
    finish_run(o, 0);
}

static void once_fail(struct object *o)
{
    finish_run(o, -EIO);
}

static int succeed(void *arg)
{
    (void)arg;
    return 0;
}

static int once_wait(struct object *o)
{
    return hk_once_run(&o->once, succeed, NULL);
}

static void once_stats(struct object *o, hk_sync_stats *out_stats)
{
    hk_once_stats(&o->once, out_stats);
}

#endif
