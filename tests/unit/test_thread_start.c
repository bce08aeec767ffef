/* SPDX-License-Identifier: MIT */
/*
 * How a thread of a scope begins and ends: its options, each way in which it cannot be
 * started, and the destructors of its values, which run before the join.
 */
#include "homes_test.h"

/* ---- options ---- */

static int look_at_myself(void *arg)
{
    pthread_attr_t attr;
    cpu_set_t cpus;
    size_t size;
    char name[16];

    CHECK(strcmp(hk_task_name(), "a name of more ") == 0); /* 15 bytes of it */
    CHECK_EQ(pthread_getname_np(pthread_self(), name, sizeof(name)), 0);
    CHECK(strcmp(name, "a name of more ") == 0);
    CHECK_EQ(pthread_getattr_np(pthread_self(), &attr), 0);
    CHECK_EQ(pthread_attr_getstacksize(&attr, &size), 0);
    CHECK(size >= (23 << 20)); /* less a guard; more, if it had been used before */
    pthread_attr_destroy(&attr);
    CHECK_EQ(pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus), 0);
    CHECK_EQ(CPU_COUNT(&cpus), 1);
    CHECK(CPU_ISSET(*(uint32_t *)arg, &cpus));
    return 0;
}

static uint32_t first_cpu(void)
{
    cpu_set_t cpus;
    uint32_t cpu = 0;

    CHECK_EQ(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
    while (!CPU_ISSET(cpu, &cpus))
        cpu++;
    return cpu;
}

HOMES_TEST(thread_has_the_name_stack_and_processors_of_its_options)
{
    hk_scope s = HK_SCOPE_INIT;
    uint32_t cpu = first_cpu();
    hk_thread_options options = {
        .name = "a name of more than fifteen bytes",
        .stack_size_bytes = 24 << 20,
        .cpus = &cpu,
        .cpu_count = 1,
    };

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn_thread_with(&s, &options, look_at_myself, &cpu, NULL), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

/* ---- failing ---- */

static void expect_failure(const hk_thread_options *options, int want)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_thread thread = {0};
    int rc;

    hk_scope_open(&s);
    hk_spawn_thread(&s, sleep_and_swallow, NULL);
    hk_spawn(&s, sleep_and_swallow, NULL);
    rc = hk_spawn_thread_with(&s, options, sleep_for_ever, NULL, &thread);
    CHECK(want ? rc == want : rc == -EAGAIN || rc == -ENOMEM);
    CHECK(!thread.hki_record);
    CHECK_EQ(hk_cancelled(), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), rc);
}

HOMES_TEST(thread_that_cannot_be_started_fails_its_scope)
{
    const uint32_t no_cpu = 1 << 20, far_cpu = 1000;

    expect_failure(&(hk_thread_options){.stack_size_bytes = 1}, -EINVAL);
    expect_failure(&(hk_thread_options){.cpus = &no_cpu, .cpu_count = 1}, -EINVAL);
    expect_failure(&(hk_thread_options){.cpus = &far_cpu, .cpu_count = 1}, -EINVAL);
    expect_failure(&(hk_thread_options){.stack_size_bytes = (size_t)1 << 47}, 0);
    return 0;
}

HOMES_TEST(no_memory_for_a_thread_fails_its_scope)
{
    int failed = 0;

    for (uint64_t nth = 1;; nth++) {
        hk_scope s = HK_SCOPE_INIT;
        int count = 0, rc;

        hk_scope_open(&s);
        hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
        rc = hk_spawn_thread(&s, count_me, &count);
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        CHECK_EQ(hk_scope_join(&s), rc);
        CHECK_EQ(count, rc == 0);
        if (rc == 0)
            break;
        CHECK_EQ(rc, -ENOMEM);
        failed++;
    }
    CHECK_EQ(failed, 1);
    return 0;
}

/* ---- what runs on it last ---- */

static pthread_key_t key;
static int destroyed; /* atomic */

static void destroy_value(void *value)
{
    CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    __atomic_add_fetch(&destroyed, *(int *)value, __ATOMIC_RELAXED);
}

static hk_local local = HK_LOCAL_INIT(destroy_value);

static int set_values(void *arg)
{
    CHECK_EQ(pthread_setspecific(key, arg), 0);
    CHECK_EQ(hk_local_set(&local, arg), 0);
    return 0;
}

HOMES_TEST(join_comes_after_the_destructors_of_a_threads_values)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_thread thread;
    int one = 1;

    CHECK_EQ(pthread_key_create(&key, destroy_value), 0);
    destroyed = 0;
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn_thread_with(&s, NULL, set_values, &one, &thread), 0);
    CHECK_EQ(hk_thread_join(thread), 0);
    CHECK_EQ(peek(&destroyed), 2);
    CHECK_EQ(hk_scope_join(&s), 0);
    pthread_key_delete(key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_has_the_name_stack_and_processors_of_its_options),
        cmocka_unit_test(thread_that_cannot_be_started_fails_its_scope),
        cmocka_unit_test(no_memory_for_a_thread_fails_its_scope),
        cmocka_unit_test(join_comes_after_the_destructors_of_a_threads_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
