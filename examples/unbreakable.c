/* SPDX-License-Identifier: MIT */
/*
 * Jobs that crash cost themselves: of twenty pieces of work that run in worker
 * processes, two kill theirs, and one may be tried again.
 *
 * Prints:
 *   piece 3: the worker died of signal 9
 *   piece 11: the worker exited with status 5
 *   piece 17: done, at the second attempt
 *   18 of 20 pieces: 5436
 */
#include <hocket.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECES = 20 };

/* Some pieces are evil. What `once` names exists from the first time on. */
HK_FN(long, work, (int, piece), (hk_str, once))
{
    if (piece == 3)
        (void)raise(SIGKILL);
    if (piece == 11)
        _exit(5);
    if (piece == 17 && open(once, O_CREAT | O_EXCL | O_WRONLY, 0600) >= 0)
        abort();
    return (long)piece * piece * 2 + 42;
}

static void say_what_happened(int piece, const hk_future *future)
{
    hk_job_error error;

    if (hk_future_error(future, &error) < 0)
        return;
    if (error.error == 0 && error.attempts > 1)
        printf("piece %d: done, at the second attempt\n", piece);
    else if (error.signal)
        printf("piece %d: the worker died of signal %d\n", piece, error.signal);
    else if (error.error)
        printf("piece %d: the worker exited with status %d\n", piece,
               error.exit_status);
}

static void run(const char *once)
{
    const hk_job_options options = {.attempts_max = 2};
    hk_future *futures[PIECES];
    hk_executor_view view;
    long sum = 0, value;
    int done = 0;

    for (int i = 0; i < PIECES; i++) {
        /* Only the 17th may safely be done twice. */
        hk_executor *on =
            i == 17 ? hk_with(&view, hk_processes(), &options) : hk_processes();

        futures[i] = work_on(on, i, once);
    }
    for (int i = 0; i < PIECES; i++) {
        if (work_await(futures[i], &value) >= 0) {
            sum += value;
            done++;
        }
        say_what_happened(i, futures[i]);
        hk_future_free(futures[i]);
    }
    printf("%d of %d pieces: %ld\n", done, PIECES, sum);
}

int main(void)
{
    char folder[] = "/tmp/unbreakable-XXXXXX", once[64];

    if (!mkdtemp(folder))
        return 1;
    (void)snprintf(once, sizeof(once), "%s/once", folder);
    run(once);
    (void)unlink(once);
    (void)rmdir(folder);
    return 0;
}
