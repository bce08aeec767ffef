/* SPDX-License-Identifier: MIT */
/*
 * The shapes of the examples in C++17: tasks in scopes, a pipeline, select, locks, jobs
 * on executors, a deadline. tests/meta/test_cpp.py compiles this with all warnings, by
 * both compilers, looks whether each public macro is in it, and runs it.
 */
#include <hocket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

/* ---- everything that can be initialised as it stands ---- */

static hk_mutex mutex = HK_MUTEX_INIT;
static hk_mutex recursive = HK_MUTEX_INIT_WITH(HK_MUTEX_RECURSIVE);
static hk_cond changed = HK_COND_INIT;
static hk_rwlock rwlock = HK_RWLOCK_INIT;
static hk_sem permits = HK_SEM_INIT(2);
static hk_event event = HK_EVENT_INIT;
static hk_once once = HK_ONCE_INIT;
static hk_barrier barrier = HK_BARRIER_INIT(2);
static hk_limiter limiter = HK_LIMITER_INIT(3);
static hk_wait_group group = HK_WAIT_GROUP_INIT;
static hk_local local = HK_LOCAL_INIT(std::free);
static hk_owner owner = HK_OWNER_INIT;

/* ---- functions for any executor (anywhere.c) ---- */

HK_FN_DECL(long, add_up, (long, begin), (long, end));

HK_FN(long, add_up, (long, begin), (long, end))
{
    long sum = 0;

    for (long i = begin; i < end; i++)
        sum += i;
    return sum;
}

HK_FN(hk_rc, wait_for, (int64_t, ms))
{
    return hk_sleep(ms * HK_MILLISECOND);
}

HK_FN(hk_str, copy_of, (hk_str, text))
{
    return strdup(text);
}

HK_FN_LOCAL_DECL(int, count_all, (std::vector<int> *, items));

HK_FN_LOCAL(int, count_all, (std::vector<int> *, items))
{
    return static_cast<int>(items->size());
}

static int use_executor(hk_executor *on)
{
    std::vector<int> items(3);
    std::vector<add_up_args> args{{0, 10}, {10, 20}};
    std::vector<long> results(args.size());
    hk_future *futures[] = {add_up_on(on, 0, 100), copy_of_on(on, "text"),
                            count_all_on(hk_in_process(on), &items)};
    hk_str text = nullptr;
    long sum = 0;
    int count = 0;

    bool good =
        add_up_await(futures[0], &sum) >= 0 && sum == 4950 &&
        copy_of_await(futures[1], &text) >= 0 && !std::strcmp(text, "text") &&
        count_all_await(futures[2], &count) >= 0 && count == 3 &&
        add_up_map(on, args.data(), args.size(), results.data(), nullptr) >= 0 &&
        results[0] + results[1] == 190;
    for (hk_future *future : futures)
        hk_future_free(future);
    return good ? 0 : -EIO;
}

/* ---- tasks and scopes, channels and select (producer_consumer.c, pipeline.c) ---- */

static int produce(void *arg)
{
    auto *numbers = static_cast<hk_chan *>(arg);

    for (int i = 1; i <= 3; i++) {
        int rc = hk_chan_send(numbers, &i);

        if (rc < 0)
            return rc;
    }
    hk_chan_close(numbers);
    hk_event_set(&event);
    return 0;
}

static int consume(hk_chan *numbers)
{
    int number = 0, sum = 0;

    for (;;) {
        hk_case cases[] = {HK_CASE_RECV(numbers, &number), HK_CASE_DEADLINE(HK_NEVER)};
        int which = hk_select(cases, 2);

        if (which < 0)
            return which;
        if (cases[which].result == -EPIPE)
            return sum == 6 ? 0 : -EIO;
        sum += number;
    }
}

static int pass_numbers(void)
{
    hk_chan *numbers;
    hk_scope scope = HK_SCOPE_INIT;
    int rc = hk_chan_new(sizeof(int), 0, &numbers);

    if (rc < 0)
        return rc;
    hk_scope_open(&scope);
    hk_spawn(&scope, produce, numbers);
    rc = consume(numbers);
    if (rc < 0)
        hk_scope_fail(&scope, rc);
    rc = hk_scope_join(&scope);
    hk_chan_free(numbers);
    return rc;
}

static int wait_for_one_of_all(hk_chan *chan, hk_future *future, hk_ready *ready)
{
    const int item = 1;
    hk_case cases[] = {HK_CASE_SEND(chan, &item), HK_CASE_EVENT(&event),
                       HK_CASE_SEM(&permits), HK_CASE_FUTURE(future),
                       HK_CASE_READY(ready)};

    return hk_try_select(cases, sizeof(cases) / sizeof(cases[0]));
}

/* ---- a deadline (move_on_after.c) ---- */

static int move_on(void)
{
    hk_scope scope = HK_SCOPE_INIT;

    hk_scope_open(&scope);
    hk_scope_deadline(&scope, hk_now() + HK_MILLISECOND);
    (void)hk_sleep(HK_SECOND);
    return hk_scope_join(&scope) == -ETIMEDOUT ? 0 : -EIO;
}

/* ---- locks (bank.c) ---- */

static int begin_once(void *arg)
{
    ++*static_cast<int *>(arg);
    return 0;
}

static int meet(void *)
{
    int rc = hk_barrier_wait(&barrier);

    return rc < 0 ? rc : 0;
}

static int use_locks(void *)
{
    hk_scope scope = HK_SCOPE_INIT;
    int begun = 0;

    for (int i = 0; i < 2; i++)
        if (hk_once_run(&once, begin_once, &begun) < 0)
            return -EIO;
    if (begun != 1 || hk_mutex_lock(&mutex) < 0 || hk_mutex_lock(&recursive) < 0)
        return -EIO;
    hk_owned_by_mutex(&owner, &mutex);
    hk_assert_owned(&owner);
    hk_cond_signal(&changed);
    hk_mutex_unlock(&recursive);
    hk_mutex_unlock(&mutex);
    if (hk_rwlock_read_lock(&rwlock) < 0 || hk_limiter_acquire(&limiter) < 0)
        return -EIO;
    hk_limiter_release(&limiter);
    hk_rwlock_unlock(&rwlock);
    hk_wait_group_add(&group, 1);
    hk_wait_group_done(&group);
    if (hk_wait_group_wait(&group) < 0 || hk_local_set(&local, std::malloc(1)) < 0)
        return -EIO;
    hk_scope_open(&scope);
    hk_spawn(&scope, meet, nullptr);
    hk_spawn(&scope, meet, nullptr);
    return hk_scope_join(&scope);
}

static int app(void *)
{
    int rc = pass_numbers();

    if (rc == 0)
        rc = move_on();
    if (rc == 0)
        rc = use_locks(nullptr);
    if (rc == 0)
        rc = use_executor(hk_tasks());
    return rc;
}

int main(int argc, char **)
{
    if (argc > 9) /* compiled, and never called */
        return wait_for_one_of_all(nullptr, wait_for_on(hk_threads(), 1), nullptr);

    int rc = hk_run(app, nullptr, nullptr);

    if (rc == 0)
        rc = use_executor(hk_threads());
    std::puts(rc == 0 ? "all shapes are good" : hk_error_text(rc));
    return rc != 0;
}
