/* SPDX-License-Identifier: MIT */
/*
 * Runs a small runtime on each poller and says what it found: the first thing to look
 * at when a program behaves differently on another machine.
 */
#include "command.h"

#include <hocket/run.h>
#include <hocket/scope.h>
#include <hocket/task.h>

#include <stdio.h>
#include <unistd.h>

enum { SWITCHES = 100000 };

static int yielder(void *arg)
{
    (void)arg;
    for (int i = 0; i < SWITCHES; i++)
        hk_yield();
    return 0;
}

static int measure(void *arg)
{
    double *switch_ns = arg;
    int64_t start = hk_now();
    hk_scope scope;
    int rc;

    hk_scope_open(&scope);
    hk_spawn(&scope, yielder, NULL);
    hk_spawn(&scope, yielder, NULL);
    rc = hk_scope_join(&scope);
    *switch_ns = (double)(hk_now() - start) / (2.0 * SWITCHES);
    return rc;
}

static bool try_poller(const char *name, hk_poller_choice choice)
{
    hk_options options = {.poller = choice};
    double switch_ns = 0;
    int rc = hk_run(measure, &switch_ns, &options);

    if (rc < 0)
        printf("%-10s no: %s\n", name, hk_error_text(rc));
    else
        printf("%-10s yes (a switch between tasks takes %.1f ns)\n", name, switch_ns);
    return rc >= 0;
}

int command_probe(int argc, char **args)
{
    bool uring, epoll;

    if (argc > 1) {
        fprintf(stderr, "hocket probe: it takes no '%s'\n", args[1]);
        return 2;
    }
    printf("%-10s %s\n", "hocket", hk_version());
    printf("%-10s %ld\n", "cores", sysconf(_SC_NPROCESSORS_ONLN));
    uring = try_poller("io_uring", HK_POLLER_URING);
    epoll = try_poller("epoll", HK_POLLER_EPOLL);
    if (!uring && epoll)
        puts("programs run on epoll here; a container's seccomp profile or the "
             "kernel.io_uring_disabled sysctl may forbid io_uring");
    return epoll ? 0 : 1;
}
