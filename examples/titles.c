/* SPDX-License-Identifier: MIT */
/*
 * The titles of many pages, through any executor: `titles tasks`, `titles threads`,
 * `titles processes`. Each page comes 50 ms late.
 *
 * Args:
 *   tasks
 *   threads
 *   processes
 * Wrong:
 *   everywhere
 *   tasks threads
 * Prints:
 *   one by one   24 titles in ... s
 *   ...   24 titles in ... s, ... times as fast
 */
#include "late_server.h"

#include <stdlib.h>
#include <string.h>

enum { PAGES = 24 };

/* A result that is a string was allocated with malloc. */
HK_FN(hk_str, title, (hk_str, server), (int, number))
{
    char page[LATE_PAGE_MAX] = "";
    int rc = late_get(server, number, page);
    const char *begin = strstr(page, "<title>");
    const char *end = begin ? strstr(begin, "</title>") : NULL;

    if (!end) {
        hk_job_fail(rc < 0 ? rc : -EINVAL);
        return NULL;
    }
    return strndup(begin + 7, (size_t)(end - begin - 7));
}

static int one_by_one(const char *server)
{
    int count = 0;

    for (int i = 0; i < PAGES; i++) {
        hk_str text = title(server, i);

        count += text != NULL;
        free((void *)text);
    }
    return count;
}

static int all_at_once(hk_executor *on, const char *server)
{
    hk_future *futures[PAGES];
    hk_str text;
    int count = 0;

    for (int i = 0; i < PAGES; i++)
        futures[i] = title_on(on, server, i);
    for (int i = 0; i < PAGES; i++) {
        count += title_await(futures[i], &text) >= 0;
        hk_future_free(futures[i]); /* and with it its text */
    }
    return count;
}

static void compare(hk_executor *on, const char *name, const char *server)
{
    int64_t start = hk_now(), middle;
    int count = one_by_one(server);
    double slow, fast;

    middle = hk_now();
    slow = (double)(middle - start) / HK_SECOND;
    printf("%-12s %d titles in %.2f s\n", "one by one", count, slow);
    count = all_at_once(on, server);
    fast = (double)(hk_now() - middle) / HK_SECOND;
    printf("%-12s %d titles in %.2f s, %.1f times as fast\n", name, count, fast,
           slow / fast);
}

static hk_executor *executor_named(const char *name)
{
    if (strcmp(name, "tasks") == 0)
        return hk_tasks();
    if (strcmp(name, "threads") == 0)
        return hk_threads();
    return strcmp(name, "processes") == 0 ? hk_processes() : NULL;
}

int main(int argc, char **argv)
{
    hk_executor *on = argc == 2 ? executor_named(argv[1]) : NULL;
    struct late_server server;

    if (!on) {
        fprintf(stderr, "usage: titles tasks|threads|processes\n");
        return 2;
    }
    if (late_server_start(&server) < 0)
        return 1;
    compare(on, argv[1], server.address);
    late_server_stop(&server);
    return 0;
}
