/* SPDX-License-Identifier: MIT */
/*
 * Hello, tasks: three of them wait at the same time, so the whole takes as long as the
 * longest, not as long as the sum. The scope is the block that they live in: its join
 * returns when all have ended, and never leaves one behind.
 *
 * Prints:
 *   hello from Ada, after 100 ms
 *   hello from Grace, after 200 ms
 *   hello from Barbara, after 300 ms
 *   all three took less than 500 ms, one after the other it would be 600 ms
 */
#include <hocket.h>

#include <stdio.h>

struct greeting {
    const char *name;
    int delay_ms;
};

static int greet(void *arg)
{
    const struct greeting *g = arg;
    int rc = hk_sleep(g->delay_ms * HK_MILLISECOND);

    if (rc < 0)
        return rc;
    printf("hello from %s, after %d ms\n", g->name, g->delay_ms);
    return 0;
}

static int app(void *arg)
{
    struct greeting people[] = {{"Barbara", 300}, {"Ada", 100}, {"Grace", 200}};
    int64_t start = hk_now();
    hk_scope scope;
    int rc;

    (void)arg;
    hk_scope_open(&scope);
    for (int i = 0; i < 3; i++)
        hk_spawn(&scope, greet, &people[i]);
    rc = hk_scope_join(&scope);
    if (rc == 0 && hk_now() - start < 500 * HK_MILLISECOND)
        puts("all three took less than 500 ms, one after the other it would be 600 ms");
    return rc;
}

int main(void)
{
    return hk_run(app, NULL, NULL) < 0;
}
