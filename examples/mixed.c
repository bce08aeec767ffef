/* SPDX-License-Identifier: MIT */
/*
 * A program that computes, downloads and waits: first in order, then with everything
 * where it belongs: what computes in processes, what waits as tasks.
 *
 * Wrong: processes
 * Prints:
 *   ...in order     at once   speed-up
 *   4 x compute        ... s     ... s       ...
 *   8 x download       ... s     ... s       ...
 *   8 x wait           ... s     ... s       ...
 *   mixed: all of it   ... s     ... s       ...
 */
#include "late_server.h"

#include <math.h>

HK_FN(double, compute, (long, steps))
{
    double sum = 0;

    for (long k = 0; k < steps; k++)
        sum += sqrt((double)k * (double)k);
    return sum;
}

HK_FN(hk_rc, download, (hk_str, server), (int, number))
{
    char page[LATE_PAGE_MAX];

    return late_get(server, number, page);
}

HK_FN(hk_rc, wait_some, (int, ms))
{
    return hk_sleep(ms * HK_MILLISECOND);
}

enum { COMPUTES = 4, DOWNLOADS = 8, WAITS = 8, STEPS = 20 * 1000 * 1000, WAIT_MS = 30 };

struct counts {
    int computes, downloads, waits;
};

static int in_order(struct counts n, const char *server)
{
    int rc = 0;

    for (int i = 0; i < n.computes; i++)
        rc = compute(STEPS) > 0 ? rc : -EDOM;
    for (int i = 0; i < n.downloads && rc >= 0; i++)
        rc = download(server, i);
    for (int i = 0; i < n.waits && rc >= 0; i++)
        rc = wait_some(WAIT_MS);
    return rc;
}

static int at_once(struct counts n, const char *server)
{
    hk_future *futures[COMPUTES + DOWNLOADS + WAITS], *all;
    size_t count = 0;
    int rc;

    for (int i = 0; i < n.computes; i++)
        futures[count++] = compute_on(hk_processes(), STEPS);
    for (int i = 0; i < n.downloads; i++)
        futures[count++] = download_on(hk_tasks(), server, i);
    for (int i = 0; i < n.waits; i++)
        futures[count++] = wait_some_on(hk_tasks(), WAIT_MS);
    all = hk_gather(futures, count);
    rc = hk_future_await(all, NULL);
    hk_future_free(all);
    for (size_t i = 0; i < count; i++)
        hk_future_free(futures[i]);
    return rc;
}

static double seconds_since(int64_t start)
{
    return (double)(hk_now() - start) / HK_SECOND;
}

static int show(const char *what, struct counts n, const char *server)
{
    int64_t start = hk_now();
    int rc = in_order(n, server);
    double slow = seconds_since(start), fast;

    start = hk_now();
    if (rc >= 0)
        rc = at_once(n, server);
    fast = seconds_since(start);
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", what, hk_error_text(rc));
    else
        printf("%-17s %8.2f s  %8.2f s   %8.1f\n", what, slow, fast, slow / fast);
    return rc;
}

static const struct row {
    const char *what;
    struct counts n;
} rows[] = {
    {"4 x compute", {.computes = COMPUTES}},
    {"8 x download", {.downloads = DOWNLOADS}},
    {"8 x wait", {.waits = WAITS}},
    {"mixed: all of it", {COMPUTES, DOWNLOADS, WAITS}},
};

int main(int argc, char **argv)
{
    struct late_server server;
    int rc;

    (void)argv;
    if (argc > 1) {
        fprintf(stderr, "usage: mixed (no arguments)\n");
        return 2;
    }
    rc = late_server_start(&server);
    if (rc < 0)
        return 1;
    printf("%-17s %10s  %10s   %8s\n", "", "in order", "at once", "speed-up");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && rc >= 0; i++)
        rc = show(rows[i].what, rows[i].n, server.address);
    late_server_stop(&server);
    return rc < 0;
}
