/* SPDX-License-Identifier: MIT */
/*
 * Shows that the dump is whole and safe at scale and under fire: a chain of 100,000
 * nested tasks and 100,000 siblings (each name is found, no stack is used up), dumps by
 * several threads at once while tasks come, go and change workers, while plain threads
 * spawn into the background runtime, and while runtimes start and end.
 *
 * Run: full, limit=300
 */
#include "base/annotate.h"

#include <hocket.h>
#include <hocket/inspect.h>

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(HKI_ASAN) || defined(HKI_TSAN)
enum { MANY = 2000, ROUNDS = 20, SECONDS = 2 };
#else
enum { MANY = 100000, ROUNDS = 200, SECONDS = 2 };
#endif

/* ---- large trees ---- */

/* How often `words` is in the dump. */
static size_t count_in_dump(const char *words)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);
    struct stat status;
    size_t count = 0;
    char *text;

    if (fd < 0 || hk_dump_tasks(fd) != 0 || fstat(fd, &status) < 0)
        return 0;
    text = mmap(NULL, (size_t)status.st_size + 1, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text == MAP_FAILED)
        return 0;
    for (const char *at = text, *end = text + status.st_size;
         (at = memmem(at, (size_t)(end - at), words, strlen(words))); at++)
        count++;
    printf("# a dump of %lld bytes\n", (long long)status.st_size);
    (void)munmap(text, (size_t)status.st_size + 1);
    (void)close(fd);
    return count;
}

static hk_event gate;

static int waits(void *arg)
{
    (void)arg;
    return hk_event_wait(&gate);
}

static int app_wide(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    size_t found;

    hk_event_clear(&gate);
    hk_scope_open(&s);
    for (int i = 0; i < MANY; i++)
        hk_spawn_named(&s, "sibling", waits, NULL, NULL);
    for (int i = 0; i < MANY / 64; i++)
        (void)hk_yield();
    found = count_in_dump("task 'sibling' ");
    hk_event_set(&gate);
    *(size_t *)arg = found;
    return hk_scope_join(&s);
}

static void many_siblings_are_all_shown(void **state)
{
    size_t found = 0;

    (void)state;
    assert_int_equal(hk_run(app_wide, &found, NULL), 0);
    assert_int_equal(found, MANY);
}

static size_t found_deep;

static int nested(void *arg)
{
    int depth = (int)(intptr_t)arg;
    hk_scope s = HK_SCOPE_INIT;

    if (depth == 0) {
        found_deep = count_in_dump("task 'nested' ");
        return 0;
    }
    hk_scope_open(&s);
    hk_spawn_named(&s, "nested", nested, (void *)(intptr_t)(depth - 1), NULL);
    return hk_scope_join(&s);
}

static void a_deep_nest_is_shown_to_its_end(void **state)
{
    (void)state;
    assert_int_equal(hk_run(nested, (void *)(intptr_t)MANY, NULL), 0);
    assert_int_equal(found_deep, MANY);
}

/* ---- dumps while everything moves ---- */

static uint32_t over; /* atomic */

static bool is_over(void)
{
    return __atomic_load_n(&over, __ATOMIC_RELAXED);
}

/* Its count of dumps comes back. */
static void *dumper(void *arg)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    uintptr_t dumps = 0;

    (void)arg;
    while (!is_over()) {
        if (hk_dump_tasks(null) != 0)
            abort();
        dumps++;
    }
    (void)close(null);
    return (void *)dumps;
}

static pthread_t dumpers[2];

static void start_dumpers(void)
{
    over = 0;
    for (int i = 0; i < 2; i++)
        if (pthread_create(&dumpers[i], NULL, dumper, NULL) != 0)
            abort();
}

static uintptr_t stop_dumpers(void)
{
    uintptr_t dumps = 0;

    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) {
        void *one;

        (void)pthread_join(dumpers[i], &one);
        dumps += (uintptr_t)one;
    }
    return dumps;
}

static int naps(void *arg)
{
    return hk_sleep((int64_t)(intptr_t)arg * HK_MICROSECOND);
}

static int yields(void *arg)
{
    for (intptr_t i = (intptr_t)arg; i > 0; i--)
        if (hk_yield() < 0)
            return 0;
    return 0;
}

static int leaves_at_once(void *arg)
{
    (void)arg;
    return 0;
}

/* A few tasks, nested, of every kind, in scopes that end and are cancelled. */
static int churns(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    hk_scope_open_with(&s, depth % 2 ? HK_SCOPE_PARALLEL : 0, "churn");
    hk_scope_deadline(&s, hk_now() + 20 * HK_MILLISECOND);
    for (intptr_t i = 1; i <= 5; i++) {
        hk_spawn_named(&s, "naps", naps, (void *)(i * 37), NULL);
        hk_spawn_named(&s, "yields", yields, (void *)(i * 3), NULL);
        hk_spawn_named(&s, "leaves", leaves_at_once, NULL, NULL);
    }
    if (depth > 0)
        hk_spawn_named(&s, "churns", churns, (void *)(depth - 1), NULL);
    if (depth == 2)
        hk_scope_cancel(&s);
    rc = hk_scope_join(&s);
    return rc == -ETIMEDOUT || rc == -ECANCELED ? 0 : rc;
}

static int app_churns(void *arg)
{
    int64_t end_ns = hk_now() + SECONDS * HK_SECOND;

    (void)arg;
    while (hk_now() < end_ns) {
        int rc = churns((void *)(intptr_t)4);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static void dumps_among_tasks_that_come_and_go(void **state)
{
    const hk_options options = {.workers = 3, .check_ledger = true};
    uintptr_t dumps;

    (void)state;
    start_dumpers();
    assert_int_equal(hk_run(app_churns, NULL, &options), 0);
    dumps = stop_dumpers();
    printf("# %lu dumps\n", (unsigned long)dumps);
    assert_true(dumps > 10);
}

/* Tasks dump too: each stands still while another looks. */
static int dumping_task(void *arg)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int rc = 0;

    (void)arg;
    for (int i = 0; i < 30 && rc == 0; i++) {
        rc = hk_dump_tasks(null);
        (void)hk_yield();
    }
    (void)close(null);
    return rc;
}

static int app_tasks_dump(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 6; i++)
        hk_spawn_named(&s, "dumps", dumping_task, NULL, NULL);
    return hk_scope_join(&s);
}

static void tasks_of_several_workers_dump_at_once(void **state)
{
    const hk_options options = {.workers = 3, .stall_ns = -1};

    (void)state;
    start_dumpers();
    assert_int_equal(hk_run(app_tasks_dump, NULL, &options), 0);
    assert_true(stop_dumpers() > 0);
}

static void dumps_while_runtimes_start_and_end(void **state)
{
    const hk_options options = {.workers = 2};

    (void)state;
    start_dumpers();
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(hk_run(leaves_at_once, NULL, i % 2 ? &options : NULL), 0);
        assert_int_equal(hk_run(churns, (void *)(intptr_t)1, NULL), 0);
    }
    assert_true(stop_dumpers() > 0);
}

static void *spawns_from_a_thread(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open_with(&s, 0, "threads'");
        for (intptr_t t = 1; t <= 10; t++)
            hk_spawn_named(&s, "naps", naps, (void *)(t * 11), NULL);
        hk_spawn_named(&s, "churns", churns, (void *)(intptr_t)1, NULL);
        if (hk_scope_join(&s) < 0)
            abort();
    }
    return arg;
}

static void dumps_while_threads_spawn(void **state)
{
    pthread_t threads[2];

    (void)state;
    start_dumpers();
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, spawns_from_a_thread, NULL),
                         0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(stop_dumpers() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_siblings_are_all_shown),
        cmocka_unit_test(a_deep_nest_is_shown_to_its_end),
        cmocka_unit_test(dumps_among_tasks_that_come_and_go),
        cmocka_unit_test(tasks_of_several_workers_dump_at_once),
        cmocka_unit_test(dumps_while_runtimes_start_and_end),
        cmocka_unit_test(dumps_while_threads_spawn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
