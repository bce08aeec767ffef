/* SPDX-License-Identifier: MIT */
/*
 * Where every course on threads begins: greeters. One that is joined; two at a time,
 * joined by their scope; one for whom nobody has the patience, joined with a deadline,
 * which is the scope's and no argument of the call, and cancelled by it; and a daemon,
 * which does not keep the program from ending.
 *
 * Prints:
 *   1. Hello there, Ada
 *   2. Hello there, Ada
 *   Ada is done
 *   1. Hello there, ...
 *   ...
 *   Ben and Cleo are done
 *   1. Hello there, Dora
 *   Dora was told to stop
 *   no patience with Dora: timed out
 *   1. Hello there, daemon
 *   good bye
 */
#include <hocket.h>

#include <stdio.h>

struct greeter {
    const char *name;
    int times;
    int64_t pause_ns;
    hk_event has_greeted;
};

/* On a thread of its own; any hocket call that waits is where it can be cancelled. */
static int greet(void *arg)
{
    struct greeter *g = arg;

    for (int i = 1; i <= g->times; i++) {
        printf("%d. Hello there, %s\n", i, g->name);
        hk_event_set(&g->has_greeted);
        if (hk_sleep(g->pause_ns) < 0) {
            printf("%s was told to stop\n", g->name);
            return -ECANCELED;
        }
    }
    return 0;
}

static int join_one(void)
{
    struct greeter ada = {.name = "Ada", .times = 2};
    hk_scope scope;
    hk_thread thread;

    hk_scope_open(&scope);
    if (hk_spawn_thread_with(&scope, NULL, greet, &ada, &thread) == 0 &&
        hk_thread_join(thread) == 0)
        puts("Ada is done");
    return hk_scope_join(&scope);
}

static int join_all(void)
{
    struct greeter ben = {.name = "Ben", .times = 3, .pause_ns = HK_MILLISECOND};
    struct greeter cleo = {.name = "Cleo", .times = 2, .pause_ns = HK_MILLISECOND};
    hk_scope scope;
    int rc;

    hk_scope_open(&scope);
    hk_spawn_thread(&scope, greet, &ben);
    hk_spawn_thread(&scope, greet, &cleo);
    rc = hk_scope_join(&scope);
    puts("Ben and Cleo are done");
    return rc;
}

static void join_with_a_deadline(void)
{
    struct greeter dora = {.name = "Dora", .times = 1000, .pause_ns = 3600 * HK_SECOND};
    hk_scope scope;
    int rc;

    hk_scope_open(&scope);
    hk_spawn_thread(&scope, greet, &dora);
    (void)hk_event_wait(&dora.has_greeted);
    hk_scope_deadline(&scope, hk_now() + 20 * HK_MILLISECOND);
    rc = hk_scope_join(&scope);
    printf("no patience with Dora: %s\n", hk_error_text(rc));
}

static int start_daemon(void)
{
    static struct greeter imp = {.name = "daemon", .times = 2, .pause_ns = HK_NEVER};
    const hk_thread_options options = {.name = "greeter", .daemon = true};
    int rc = hk_spawn_thread_with(NULL, &options, greet, &imp, NULL);

    return rc < 0 ? rc : hk_event_wait(&imp.has_greeted);
}

int main(void)
{
    if (join_one() < 0 || join_all() < 0)
        return 1;
    join_with_a_deadline();
    if (start_daemon() < 0)
        return 1;
    puts("good bye");
    return 0;
}
