/* SPDX-License-Identifier: MIT */
/*
 * Shows that who is told to give up is told in time: a thread is cancelled, and has
 * left its wait, while the search that finds it in a cycle still goes on. What it is
 * told then is not for its next wait.
 */
#include "check_test.h"

#include "core/thread.h"

static struct {
    struct hki_thread *thread;
    struct hki_self *finder;
    hk_scope *scope;
    hk_waiter found, finds, next;
    uint32_t is_first, is_sought, is_next; /* atomic */
} late;

static void await_wait_of_thread(bool waits)
{
    while (!__atomic_load_n(&late.thread->waits_for, __ATOMIC_ACQUIRE) == waits)
        (void)sched_yield();
}

static size_t cancels_and_holds(const void *object, hk_holder *out, size_t max)
{
    (void)object;
    if (!__atomic_load_n(&late.is_sought, __ATOMIC_ACQUIRE) || max == 0)
        return 0;
    hk_scope_cancel(late.scope);
    await_wait_of_thread(false);
    *out = late.finder;
    return 1;
}

static size_t thread_holds(const void *object, hk_holder *out, size_t max)
{
    (void)object;
    if (max > 0)
        *out = &late.thread->self;
    return 1;
}

static const hk_wait_kind found_kind = {.name = "one", .holders = cancels_and_holds};
static const hk_wait_kind finds_kind = {.name = "other", .holders = thread_holds};
static const hk_wait_kind next_kind = {.name = "next"};

static hk_verdict let_go(hk_waiter *w)
{
    (void)w;
    return HK_ABORTED;
}

static void *waits_twice(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    late.thread = hki_thread_of(hki_self());
    hk_scope_open(&s);
    late.scope = &s;
    hk_waiter_init(&late.found, &found_kind, &late.found);
    __atomic_store_n(&late.is_first, 1, __ATOMIC_RELEASE);
    CHECK_EQ(hk_park(&late.found, let_go), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_waiter_init(&late.next, &next_kind, &late.next);
    __atomic_store_n(&late.is_next, 1, __ATOMIC_RELEASE);
    CHECK_EQ(hk_park(&late.next, let_go), 0);
    hk_wake(&late.finds, 0);
    return NULL;
}

static void *finds_it(void *arg)
{
    (void)arg;
    late.finder = hki_self();
    hk_waiter_init(&late.finds, &finds_kind, &late.finds);
    __atomic_store_n(&late.is_sought, 1, __ATOMIC_RELEASE);
    CHECK_EQ(hk_park(&late.finds, NULL), 0);
    return NULL;
}

static void a_thread_that_left_its_wait_is_not_told_in_the_next(void **state)
{
    pthread_t thread, finder;

    (void)state;
    start_checks(NULL);
    memset(&late, 0, sizeof(late));
    CHECK_EQ(pthread_create(&thread, NULL, waits_twice, NULL), 0);
    while (!__atomic_load_n(&late.is_first, __ATOMIC_ACQUIRE))
        (void)sched_yield();
    await_wait_of_thread(true);
    CHECK_EQ(pthread_create(&finder, NULL, finds_it, NULL), 0);
    while (!__atomic_load_n(&late.is_next, __ATOMIC_ACQUIRE))
        (void)sched_yield();
    hk_wake(&late.next, 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(pthread_join(finder, NULL), 0);
    stop_checks();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_left_its_wait_is_not_told_in_the_next),
    };

    return cmocka_run_group_tests_name("check_late", tests, NULL, NULL);
}
