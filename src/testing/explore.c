/* SPDX-License-Identifier: MIT */
/*
 * Seed after seed, in one runtime: to make one for each would cost ten times what the
 * schedules do. A task of ours runs each schedule in a scope of its own and judges it.
 */
#include "core/runtime.h"
#include "core/scope.h"
#include "sys/os.h"
#include "testing/schedule.h"

#include <hocket/testing.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS_DEFAULT = 1000 };

struct exploration {
    hk_task_fn *scenario;
    void *arg;
    hk_explore_options options;
    hk_explore_result result;
    uint64_t end; /* the first seed that does not run any more */
    int rc;
};

/* ---- a panic tells the seed, too ---- */

static const struct exploration *running; /* NULL: none */
static struct sigaction action_before;

/* Async-signal-safe, as snprintf is not. Returns its end. */
static char *add_text(char *to, const char *text)
{
    size_t length = strlen(text);

    memcpy(to, text, length);
    return to + length;
}

static char *add_number(char *to, uint64_t number)
{
    char digits[20];
    size_t count = 0;

    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count > 0)
        *to++ = digits[--count];
    return to;
}

static void tell_seed(int signal)
{
    char text[160], *end = add_text(text, "hocket: this was schedule HOCKET_EXPLORE=");
    char name[64] = {0};

    memcpy(name, running->options.name, strnlen(running->options.name, 63));
    end = add_text(add_number(add_text(add_text(end, name), ":"), running->result.seed),
                   "\n");
    (void)hki_os_write_all(2, text, (size_t)(end - text)); /* nobody left to tell */
    (void)sigaction(signal, &action_before, NULL); /* abort(3) raises it once more */
}

static void watch_abort(const struct exploration *exploration)
{
    struct sigaction action = {.sa_handler = tell_seed};

    running = exploration;
    (void)sigaction(SIGABRT, &action, &action_before); /* cannot fail for SIGABRT */
}

static void unwatch_abort(void)
{
    (void)sigaction(SIGABRT, &action_before, NULL);
    running = NULL;
}

/* ---- one schedule ---- */

static bool is_balanced(const hk_ledger *before, const hk_ledger *after)
{
    return after->tasks == before->tasks && after->fds == before->fds &&
           after->ops == before->ops && after->bytes == before->bytes;
}

static void report(const struct exploration *e, int rc)
{
    hki_log(HK_LOG_ERROR,
            "exploring '%s': schedule %llu fails (%s); HOCKET_EXPLORE=%s:%llu "
            "replays it",
            e->options.name, (unsigned long long)e->result.seed,
            rc == -ENOTRECOVERABLE ? "the ledger is not balanced" : hk_error_text(rc),
            e->options.name, (unsigned long long)e->result.seed);
}

static int run_schedule(struct exploration *e, uint64_t seed)
{
    struct hki_worker *worker = hki_worker_current;
    hk_scope scope = HK_SCOPE_INIT;
    hk_ledger before, after;
    int rc, failure;

    hk_ledger_read(&before);
    e->result.seed = seed;
    e->result.schedules++;
    hk_scope_open_with(&scope, 0, "schedule");
    hki_schedule_begin(worker, &scope, seed, &e->options);
    (void)hk_spawn_named(&scope, e->options.name, e->scenario, e->arg, NULL);
    rc = hk_scope_join(&scope); /* a failed spawn is in it */
    failure = hki_schedule_end(worker);
    e->result.trace = hki_schedule_trace();
    e->result.steps += hki_schedule_steps();
    hk_ledger_read(&after);
    if (failure < 0)
        return failure;
    if (rc < 0)
        return rc;
    return is_balanced(&before, &after) ? 0 : -ENOTRECOVERABLE;
}

static int run_schedules(void *arg)
{
    struct exploration *e = arg;

    for (uint64_t seed = e->options.first_seed; seed != e->end && e->rc == 0; seed++) {
        e->rc = run_schedule(e, seed);
        /* What grows once is a cache; what grows each time is a leak. */
        if (e->rc == -ENOTRECOVERABLE) {
            e->result.schedules--;
            e->rc = run_schedule(e, seed);
        }
        if (e->rc < 0)
            report(e, e->rc);
    }
    return 0;
}

/* ---- all of them ---- */

/* HOCKET_EXPLORE=name:seed. 1: it names another exploration; -EINVAL: no seed. */
static int heed_environment(hk_explore_options *o)
{
    const char *wish = hki_os_environment("HOCKET_EXPLORE");
    size_t length = strlen(o->name);
    char *end;

    if (!wish || !*wish)
        return 0;
    if (strncmp(wish, o->name, length) != 0 || wish[length] != ':') {
        hki_log(HK_LOG_INFO,
                "exploring '%s': left out, HOCKET_EXPLORE=%s names another", o->name,
                wish);
        return 1;
    }
    o->first_seed = strtoull(wish + length + 1, &end, 10);
    if (*end || o->first_seed == 0) {
        hki_log(HK_LOG_ERROR, "HOCKET_EXPLORE=%s: '%s' is no seed", wish,
                wish + length + 1);
        return -EINVAL;
    }
    o->seeds = 1;
    o->trace = true;
    return 0;
}

int hk_explore(hk_task_fn *scenario, void *arg, const hk_explore_options *options,
               hk_explore_result *out)
{
    struct exploration e = {.scenario = scenario, .arg = arg};
    hk_options how = {.virtual_clock = true, .stall_ns = -1, .seed = 1};
    int rc;

    if (options)
        e.options = *options;
    if (!e.options.name)
        e.options.name = "scenario";
    if (!e.options.first_seed)
        e.options.first_seed = 1;
    if (!e.options.seeds)
        e.options.seeds = SEEDS_DEFAULT;
    rc = heed_environment(&e.options);
    if (rc == 0) {
        e.end = e.options.first_seed + e.options.seeds;
        watch_abort(&e);
        rc = hk_run(run_schedules, &e, &how);
        unwatch_abort();
        hki_schedule_forget();
    }
    if (out)
        *out = e.result;
    return rc < 0 ? rc : e.rc;
}
