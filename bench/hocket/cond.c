/* SPDX-License-Identifier: MIT */
/* Two take turns with one condition: tasks of one worker, or threads on two cores. One
 * operation is one hand-over. */
#include "hocket.h"

#define TASK_ROUNDS 5000000L
#define THREAD_ROUNDS 10000L

static hk_mutex mutex;
static hk_cond turned;
static int whose_turn; /* guarded by mutex */

static void take_turns(int mine, long rounds)
{
    must(hk_mutex_lock(&mutex), "lock");
    for (long i = 0; i < rounds; i++) {
        while (whose_turn != mine)
            must(hk_cond_wait(&turned, &mutex), "wait");
        whose_turn = !mine;
        hk_cond_signal(&turned);
    }
    hk_mutex_unlock(&mutex);
}

static int take_odd_turns(void *arg)
{
    (void)arg;
    take_turns(1, TASK_ROUNDS);
    return 0;
}

static int play(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    double start = bench_cpu_now_ns();

    (void)arg;
    hk_scope_open(&s);
    must(hk_spawn(&s, take_odd_turns, NULL), "spawn");
    take_turns(0, TASK_ROUNDS);
    must(hk_scope_join(&s), "join");
    bench_report_cpu(start, 2 * (double)TASK_ROUNDS);
    return 0;
}

static void *odd_thread(void *arg)
{
    (void)arg;
    bench_pin(1);
    take_turns(1, THREAD_ROUNDS);
    return NULL;
}

static void play_as_threads(void)
{
    pthread_t thread;

    bench_pin(0);
    if (pthread_create(&thread, NULL, odd_thread, NULL))
        bench_die("pthread_create");
    double start = bench_wall_now_ns();
    take_turns(0, THREAD_ROUNDS);
    pthread_join(thread, NULL);
    bench_report_wall(start, 2 * (double)THREAD_ROUNDS);
}

void hocket_cond(int argc, char **args)
{
    hk_options options = {.stall_ns = -1};

    if (argc > 0 && strcmp(args[0], "threads") == 0)
        play_as_threads();
    else
        must(hk_run(play, NULL, &options), "hk_run");
}
