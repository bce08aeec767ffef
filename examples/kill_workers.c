/* SPDX-License-Identifier: MIT */
/*
 * A pool that is shot at: while worker processes are at 400 pieces of work, and a line
 * says how far they are, a worker is killed with SIGKILL now and then. A piece may be
 * done twice, so the pool starts what they had anew, and all is done. With `by-hand` it
 * takes longer, and the killing is left to you.
 *
 * Wrong: all
 * Prints:
 *   400 of 400 pieces are done, and the sum is 79800
 *   ... workers died, ... pieces were started anew
 */
#include <hocket.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PIECES = 400, KILL_EVERY = 40 };

HK_FN(long, work, (long, piece), (int, ms))
{
    int64_t end = hk_now() + ms * HK_MILLISECOND;

    while (hk_now() < end)
        continue;
    return piece;
}

/* Kills the worker of the first piece that is being worked at; but not the one who was
 * killed last, whose death may not be known yet. */
static pid_t kill_one(hk_future *const *futures, pid_t last)
{
    for (int i = 0; i < PIECES; i++) {
        pid_t worker = hk_future_worker(futures[i]);

        if (worker > 0 && worker != last) {
            (void)kill(worker, SIGKILL); /* it may have ended by itself */
            return worker;
        }
    }
    return last;
}

static void watch(hk_future *const *futures, bool shall_kill)
{
    hk_progress_line line = {.label = "pieces"};
    hk_completed it;
    uint64_t done = 0;
    pid_t killed = 0;

    hk_as_completed(&it, futures, PIECES);
    while (hk_completed_next(&it) >= 0) {
        hk_progress_show(&line, ++done, PIECES);
        if (shall_kill && done % KILL_EVERY == 0)
            killed = kill_one(futures, killed);
    }
    hk_completed_end(&it);
}

static void sum_up(hk_future *const *futures)
{
    hk_process_stats stats;
    long sum = 0, value;
    int done = 0;

    for (int i = 0; i < PIECES; i++)
        if (work_await(futures[i], &value) >= 0) {
            sum += value;
            done++;
        }
    hk_process_stats_read(hk_processes(), &stats);
    printf("%d of %d pieces are done, and the sum is %ld\n", done, PIECES, sum);
    printf("%u workers died, %u pieces were started anew\n", (unsigned)stats.lost,
           (unsigned)stats.retried);
}

int main(int argc, char **argv)
{
    const hk_job_options options = {.attempts_max = 3};
    hk_executor_view view;
    hk_executor *stubborn = hk_with(&view, hk_processes(), &options);
    bool by_hand = argc == 2 && strcmp(argv[1], "by-hand") == 0;
    hk_future *futures[PIECES];

    if (argc > 1 && !by_hand) {
        fprintf(stderr, "usage: kill_workers [by-hand]\n");
        return 2;
    }
    if (by_hand)
        fprintf(stderr, "now kill some: pkill -KILL -P %d\n", getpid());
    for (int i = 0; i < PIECES; i++)
        futures[i] = work_on(stubborn, i, by_hand ? 100 : 2);
    watch(futures, !by_hand);
    sum_up(futures);
    for (int i = 0; i < PIECES; i++)
        hk_future_free(futures[i]);
    return 0;
}
