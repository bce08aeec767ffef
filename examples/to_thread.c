/* SPDX-License-Identifier: MIT */
/*
 * A library that blocks and knows nothing of hocket: hk_to_thread runs its call on a
 * thread of a pool. The task that made it waits, its worker does not: another task
 * ticks meanwhile. Then the same call under a deadline: the caller is back in time, the
 * call goes on without it, and takes its memory along.
 *
 * Prints:
 *   tick 1
 *   tick 2
 *   tick 3
 *   the library says 42
 *   no answer in time: timed out
 *   calls that go on without us: 1
 *   the library is through: its memory is freed
 */
#include <hocket.h>

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

/* What the library would take its time for; here, so that the output is always the
 * same, until somebody posts. */
struct question {
    sem_t *ready;
    int answer;
};

static int ask_library(void *arg)
{
    struct question *q = arg;

    while (sem_wait(q->ready) < 0)
        ;
    q->answer = 42;
    return 0;
}

static sem_t ready;

static int tick(void *arg)
{
    (void)arg;
    for (int i = 1; i <= 3; i++) {
        if (hk_sleep(HK_MILLISECOND) < 0)
            return -ECANCELED;
        printf("tick %d\n", i);
    }
    sem_post(&ready);
    return 0;
}

static int ask_while_ticking(void)
{
    struct question q = {.ready = &ready};
    hk_scope scope;
    int rc;

    hk_scope_open(&scope);
    hk_spawn(&scope, tick, NULL);
    rc = hk_to_thread(ask_library, &q);
    if (rc == 0)
        printf("the library says %d\n", q.answer);
    return hk_scope_end(&scope, rc);
}

static hk_event is_freed;

static void question_free(void *question)
{
    free(question);
    hk_event_set(&is_freed);
}

/* The question must outlive this function when the call is abandoned: so it lives on
 * the heap, and the call takes it then. */
static int ask_with_a_deadline(void)
{
    struct question *q = malloc(sizeof(*q));
    void *owned = q;
    hk_scope scope;
    hk_stats stats;
    int rc;

    if (!q)
        return -ENOMEM;
    *q = (struct question){.ready = &ready};
    hk_scope_open(&scope);
    hk_scope_deadline(&scope, hk_now() + HK_SECOND);
    rc = hk_scope_end(&scope, hk_to_thread_owned(ask_library, &owned, question_free));
    printf("no answer in time: %s\n", hk_error_text(rc));
    free(owned); /* NULL, since the call has it */
    hk_stats_read(&stats);
    printf("calls that go on without us: %d\n", (int)stats.calls_abandoned);
    sem_post(&ready);
    rc = hk_event_wait(&is_freed);
    puts("the library is through: its memory is freed");
    return rc;
}

static int app(void *arg)
{
    int rc;

    (void)arg;
    rc = ask_while_ticking();
    return rc < 0 ? rc : ask_with_a_deadline();
}

int main(void)
{
    sem_init(&ready, 0, 0);
    return hk_run(app, NULL, NULL) < 0;
}
