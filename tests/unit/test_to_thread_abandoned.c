/* SPDX-License-Identifier: MIT */
/*
 * docs/rules.md, rule 32: what becomes of a blocking call, and of its argument, when
 * its caller is cancelled.
 */
#include "to_thread_test.h"

/* ---- 32: abandoned ---- */

HOMES_TEST(rule_32_a_cancelled_caller_is_back_at_once_and_the_call_goes_on)
{
    struct gate *gate = gate_new();
    hk_scope s = HK_SCOPE_INIT;
    hk_stats stats;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 5 * HK_MILLISECOND);
    CHECK_EQ(hk_scope_end(&s, hk_to_thread(wait_at_gate, gate)), -ETIMEDOUT);
    if (calls_alive()) { /* else it was given up while queued */
        CHECK_EQ(calls_alive(), 1);
        hk_stats_read(&stats);
        CHECK_EQ(stats.calls_alive, 1);
        CHECK_EQ(stats.calls_abandoned, 1);
        sem_post(&gate->open);
    }
    await_no_calls();
    hk_stats_read(&stats);
    CHECK_EQ(stats.calls_abandoned, 0);
    free(gate);
    return 0;
}

static int cancel_when_begun(void *arg)
{
    void **args = arg;

    await(&((struct gate *)args[0])->begun);
    hk_scope_cancel(args[1]);
    return 0;
}

HOMES_TEST(rule_32_an_abandoned_call_takes_its_argument_and_destroys_it_once)
{
    struct gate *gate = gate_new();
    hk_scope s = HK_SCOPE_INIT;
    void *arg = gate, *args[] = {gate, &s};

    hk_scope_open(&s);
    hk_spawn_thread(&s, cancel_when_begun, args);
    CHECK_EQ(hk_to_thread_owned(wait_at_gate, &arg, gate_destroy), -ECANCELED);
    CHECK(!arg);
    CHECK_EQ(peek(&gate->destroyed), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    sem_post(&gate->open);
    await(&gate->is_destroyed);
    await_no_calls();
    CHECK_EQ(peek(&gate->destroyed), 1);
    free(gate);
    return 0;
}

static void gate_destroy_with_a_value(void *gate)
{
    CHECK_EQ(hk_local_set(&local, gate), 0);
    gate_destroy(gate);
}

HOMES_TEST(an_abandoned_argument_leaves_no_local_values_either)
{
    struct gate *gate = gate_new();
    hk_scope s = HK_SCOPE_INIT;
    void *arg = gate, *args[] = {gate, &s};
    hk_stats stats;

    __atomic_store_n(&destroyed_values, 0, __ATOMIC_RELAXED);
    hk_scope_open(&s);
    hk_spawn_thread(&s, cancel_when_begun, args);
    CHECK_EQ(hk_to_thread_owned(wait_at_gate, &arg, gate_destroy_with_a_value),
             -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    sem_post(&gate->open);
    await(&gate->is_destroyed);
    for (hk_stats_read(&stats); stats.calls_abandoned; hk_stats_read(&stats))
        usleep(100);
    CHECK_EQ(peek(&destroyed_values), 1);
    free(gate);
    return 0;
}

HOMES_TEST(rule_32_a_call_that_returned_gives_its_argument_back)
{
    struct gate *gate = gate_new();
    void *arg = gate;

    sem_post(&gate->open);
    CHECK_EQ(hk_to_thread_owned(wait_at_gate, &arg, gate_destroy), 42);
    CHECK(arg == gate);
    CHECK_EQ(peek(&gate->destroyed), 0);
    free(gate);
    return 0;
}

static int cancelled_result(void *arg)
{
    (void)arg;
    return -ECANCELED;
}

HOMES_TEST(rule_32_a_call_that_returns_ecanceled_itself_is_not_abandoned)
{
    int any;
    void *arg = &any;

    CHECK_EQ(hk_to_thread_owned(cancelled_result, &arg, gate_destroy), -ECANCELED);
    CHECK(arg == &any);
    return 0;
}

HOMES_TEST(call_in_a_cancelled_scope_is_not_made)
{
    hk_scope s = HK_SCOPE_INIT;
    int count = 0;
    void *arg = &count;

    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_to_thread_owned(count_me, &arg, gate_destroy), -ECANCELED);
    CHECK(arg == &count);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(count, 0);
    return 0;
}

static int owned_call(void *arg)
{
    void *own = arg;
    int rc = hk_to_thread_owned(count_me, &own, gate_destroy);

    if (rc == -ECANCELED)
        CHECK(own == arg); /* it never began */
    return rc;
}

/* With one thread for calls, the second waits in the queue when the cancel comes. */
HOMES_TEST(rule_11_a_queued_call_that_is_cancelled_never_runs)
{
    uint32_t before = hk_to_thread_limit(1);
    struct gate *gate = gate_new();
    hk_scope s = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;
    int count = 0;

    CHECK_EQ(hk_to_thread_limit(0), 1);
    hk_scope_open(&s);
    hk_spawn_thread(&s, blocks_in_a_thread, gate);
    hk_spawn_thread(&s, blocks_in_a_thread, gate); /* this one is queued as well */
    await(&gate->begun);
    hk_scope_open(&inner);
    for (int i = 0; i < 10; i++)
        hk_spawn_thread(&inner, owned_call, &count);
    CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    hk_scope_cancel(&inner);
    CHECK_EQ(hk_scope_join(&inner), 0);
    sem_post(&gate->open);
    sem_post(&gate->open);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(peek(&count), 0);
    CHECK_EQ(hk_to_thread_limit(before), 1);
    free(gate);
    return 0;
}

struct owned {
    int *ran, *freed; /* atomic, both */
};

static int run_owned(void *arg)
{
    return count_me(((struct owned *)arg)->ran);
}

static void free_owned(void *arg)
{
    (void)count_me(((struct owned *)arg)->freed);
    free(arg);
}

static int call_and_free(void *arg)
{
    struct owned *owned = malloc(sizeof(*owned));
    void *own = owned;
    int rc;

    *owned = *(struct owned *)arg;
    rc = hk_to_thread_owned(run_owned, &own, free_owned);
    if (own)
        free_owned(own);
    return rc;
}

/* At every moment, by many repetitions: each argument is freed once. */
HOMES_TEST(rule_32_an_argument_is_destroyed_once_whenever_the_cancel_comes)
{
    enum { CALLS = 8 };
    int rounds = scaled(300, 100), ran = 0, freed = 0;

    for (int i = 0; i < rounds; i++) {
        hk_scope s = HK_SCOPE_INIT;
        struct owned owned = {&ran, &freed};

        hk_scope_open(&s);
        for (int k = 0; k < CALLS; k++)
            hk_spawn(&s, call_and_free, &owned);
        if (i % 2 == 0)
            CHECK_EQ(hk_sleep(i % 100 * HK_MICROSECOND), 0);
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
    }
    await_no_calls();
    CHECK_EQ(peek(&freed), rounds * CALLS);
    CHECK(peek(&ran) <= rounds * CALLS);
    return 0;
}

static int abandon_and_end(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    void *own = arg, *args[] = {arg, &s};

    hk_scope_open(&s);
    hk_spawn_thread(&s, cancel_when_begun, args);
    CHECK_EQ(hk_to_thread_owned(wait_at_gate, &own, gate_destroy), -ECANCELED);
    return hk_scope_join(&s);
}

static void rule_32_a_runtime_does_not_wait_for_abandoned_calls(void **state)
{
    struct gate *gate = gate_new();

    (void)state;
    CHECK_EQ(run_workers(1, abandon_and_end, gate), 0); /* with its ledger balanced */
    CHECK_EQ(calls_alive(), 1);
    CHECK_EQ(peek(&gate->destroyed), 0);
    sem_post(&gate->open);
    await(&gate->is_destroyed);
    await_no_calls();
    free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            rule_32_a_cancelled_caller_is_back_at_once_and_the_call_goes_on),
        cmocka_unit_test(
            rule_32_an_abandoned_call_takes_its_argument_and_destroys_it_once),
        cmocka_unit_test(an_abandoned_argument_leaves_no_local_values_either),
        cmocka_unit_test(rule_32_a_call_that_returned_gives_its_argument_back),
        cmocka_unit_test(rule_32_a_call_that_returns_ecanceled_itself_is_not_abandoned),
        cmocka_unit_test(call_in_a_cancelled_scope_is_not_made),
        cmocka_unit_test(rule_11_a_queued_call_that_is_cancelled_never_runs),
        cmocka_unit_test(
            rule_32_an_argument_is_destroyed_once_whenever_the_cancel_comes),
        cmocka_unit_test(rule_32_a_runtime_does_not_wait_for_abandoned_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
