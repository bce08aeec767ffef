/* SPDX-License-Identifier: MIT */
/*
 * Futures under fire: tasks of two runtimes and plain threads wait for the same ones in
 * every way there is, give up at any moment, and give their references back at once,
 * while others set and cancel. Everybody gets the one result, or was cancelled; nobody
 * is forgotten, and nothing is left (ASan, TSan, the ledger).
 */
#include "support/core_test.h"

#include <sched.h>

enum {
    FUTURES = 3,
    TASKS = 6,    /* in each runtime */
    THREADS = 2,  /* plain ones that wait */
    SET_RC = 1000 /* and the number of the future */
};

struct round {
    hk_future *futures[FUTURES];
    uint64_t seed;
};

static void check_result(int rc, size_t which)
{
    CHECK(rc == SET_RC + (int)which || rc == -EIDRM || rc == -ECANCELED);
}

static int tell(hk_future *done, void *ctx, hk_result *result)
{
    (void)ctx;
    (void)result;
    return hk_future_try(done, NULL);
}

/* ---- the ways to wait; each has references of its own ---- */

static void await_one(hk_future *const *futures, size_t which)
{
    check_result(hk_future_await(futures[which], NULL), which);
}

static void await_through_a_shield(hk_future *const *futures, size_t which)
{
    hk_future *shield = hk_shield_future(futures[which]);

    check_result(hk_future_await(shield, NULL), which);
    hk_future_free(shield);
}

static void await_all(hk_future *const *futures, size_t which)
{
    hk_future *all = hk_gather(futures, FUTURES);
    int rc;

    if (which == 0)
        (void)hk_future_cancel(all, HK_CANCEL); /* and with it all of them */
    rc = hk_future_await(all, NULL);
    CHECK(rc == 0 || rc == -EIDRM || rc == -ECANCELED);
    hk_future_free(all);
}

static void await_a_continuation(hk_future *const *futures, size_t which)
{
    hk_future *then = hk_then(futures[which], hk_tasks(), tell, NULL);

    check_result(hk_future_await(then, NULL), which);
    hk_future_free(then);
}

static void wait_until_one_has_failed(hk_future *const *futures, size_t which)
{
    int rc = hk_wait(futures, FUTURES, which ? HK_UNTIL_FAILED : HK_UNTIL_FIRST);

    CHECK(rc == -ECANCELED || (rc >= 1 && rc <= FUTURES));
}

static void select_one(hk_future *const *futures, size_t which)
{
    hk_case cases[] = {HK_CASE_FUTURE(futures[which]), HK_CASE_FUTURE(futures[0]),
                       HK_CASE_FUTURE(futures[which])};
    int rc = hk_select(cases, 3);

    CHECK(rc == -ECANCELED || (rc >= 0 && rc < 3));
    if (rc >= 0)
        check_result(cases[rc].result, rc == 1 ? 0 : which);
}

static void go_through_all(hk_future *const *futures, size_t which)
{
    bool seen[FUTURES] = {false};
    hk_completed it;
    long i;

    CHECK_EQ(hk_as_completed(&it, futures, FUTURES), 0);
    for (size_t n = 0; n <= which && (i = hk_completed_next(&it)) >= 0; n++) {
        CHECK(i < FUTURES && !seen[i]);
        seen[i] = true;
        check_result(hk_future_try(futures[i], NULL), (size_t)i);
    }
    hk_completed_end(&it);
}

static void set_one(hk_future *const *futures, size_t which)
{
    (void)hk_yield();
    (void)hk_future_set(futures[which], SET_RC + (int)which, "0123456789", 10);
}

static void cancel_one(hk_future *const *futures, size_t which)
{
    (void)hk_yield();
    (void)hk_future_cancel(futures[which], HK_CANCEL);
}

/* ---- who waits ---- */

static void (*const ways[])(hk_future *const *futures, size_t which) = {
    await_one,  await_through_a_shield,    await_all,      await_a_continuation,
    select_one, wait_until_one_has_failed, go_through_all, set_one,
    cancel_one,
};

/* `own` are references that it gives back. */
static void use_and_free(hk_future **own, uint64_t random)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    if (random % 3 == 0)
        hk_scope_deadline(&s, hk_now() + (int64_t)(random % 100) * 1000);
    ways[random % (sizeof(ways) / sizeof(ways[0]))](own, random / 16 % FUTURES);
    (void)hk_scope_join(&s); /* its deadline may have passed */
    for (int i = 0; i < FUTURES; i++)
        hk_future_free(own[i]);
}

struct user {
    hk_future *own[FUTURES];
    uint64_t random;
};

static struct user *user_new(const struct round *round, uint64_t *random)
{
    struct user *user = malloc(sizeof(*user));

    CHECK(user);
    for (int i = 0; i < FUTURES; i++)
        user->own[i] = hk_future_ref(round->futures[i]);
    user->random = next_random(random);
    return user;
}

static int use_in_a_task(void *arg)
{
    struct user *user = arg;

    use_and_free(user->own, user->random);
    free(user);
    return 0;
}

static void *use_in_a_thread(void *arg)
{
    (void)use_in_a_task(arg);
    return NULL;
}

static int use_in_tasks(void *arg)
{
    struct round *round = arg;
    uint64_t random = round->seed + (uint64_t)(uintptr_t)&random;
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, "users");
    for (int i = 0; i < TASKS; i++)
        CHECK_EQ(hk_spawn(&s, use_in_a_task, user_new(round, &random)), 0);
    return hk_scope_join(&s);
}

static void *use_in_a_runtime(void *arg)
{
    const hk_options options = {.workers = 2};

    CHECK_EQ(hk_run(use_in_tasks, arg, &options), 0);
    return NULL;
}

static void everybody_waits_sets_and_cancels(void **state)
{
    int rounds = is_long_run() ? scaled(30000, 3000) : scaled(3000, 100);
    uint64_t random = seed_of_run(1);

    (void)state;
    for (int n = 0; n < rounds; n++) {
        struct round round = {.seed = next_random(&random)};
        pthread_t threads[2 + THREADS];

        for (int i = 0; i < FUTURES; i++)
            round.futures[i] = hk_future_new();
        for (int i = 0; i < 2; i++)
            pthread_create(&threads[i], NULL, use_in_a_runtime, &round);
        for (int i = 2; i < 2 + THREADS; i++)
            pthread_create(&threads[i], NULL, use_in_a_thread,
                           user_new(&round, &random));
        for (int i = 0; i < FUTURES; i++) {
            sched_yield();
            (void)hk_future_set(round.futures[i], SET_RC + i, NULL, 0);
        }
        for (int i = 0; i < 2 + THREADS; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i < FUTURES; i++)
            hk_future_free(round.futures[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_waits_sets_and_cancels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
