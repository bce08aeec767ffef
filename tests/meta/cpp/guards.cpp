/* SPDX-License-Identifier: MIT */
/*
 * The guards of docs/cpp.md, at work: scopes, locks and futures that end with their
 * block, lambdas as tasks, exceptions that stay inside of tasks and jobs.
 * tests/meta/test_cpp.py compiles this with all warnings, by both compilers, and runs
 * it.
 */
#include <hocket.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

/* ---- errors ---- */

/* For functions that would rather throw: an error of hocket as an exception. */
static void must(int rc)
{
    if (rc < 0)
        throw std::system_error(-rc, std::generic_category());
}

/* The way back: no exception leaves a task or a job. */
template <class F> static int no_throw(F &&body) noexcept
{
    try {
        return body();
    } catch (const std::system_error &error) {
        return error.code().category() == std::generic_category()
                   ? -error.code().value()
                   : -EIO;
    } catch (const std::bad_alloc &) {
        return -ENOMEM;
    } catch (...) {
        return -EIO;
    }
}

/* ---- scopes ---- */

/* Joined at the end of its block; cancelled first when that is left by an exception. */
class Scope {
public:
    explicit Scope(int64_t deadline_ns = HK_NEVER)
    {
        hk_scope_open(&scope);
        hk_scope_deadline(&scope, deadline_ns);
    }
    ~Scope()
    {
        if (is_open)
            hk_scope_cancel(&scope);
        (void)join();
    }
    Scope(const Scope &) = delete;
    Scope &operator=(const Scope &) = delete;

    int join()
    {
        return std::exchange(is_open, false) ? hk_scope_join(&scope) : 0;
    }

    template <class F> void spawn(F body);

private:
    hk_scope scope = HK_SCOPE_INIT;
    bool is_open = true;
};

/* A lambda as a task, which always runs, so it can free what it was given. */
template <class F> void Scope::spawn(F body)
{
    auto own = std::make_unique<F>(std::move(body));

    must(hk_spawn(
        &scope,
        [](void *arg) {
            std::unique_ptr<F> mine(static_cast<F *>(arg));

            return no_throw(*mine);
        },
        own.get()));
    (void)own.release();
}

/* ---- locks ---- */

/* What std::unique_lock and std::scoped_lock ask for. A cancel is an exception. */
class Mutex {
public:
    void lock()
    {
        must(hk_mutex_lock(&mutex));
    }
    bool try_lock()
    {
        return hk_mutex_try_lock(&mutex) == 0;
    }
    void unlock()
    {
        hk_mutex_unlock(&mutex);
    }

private:
    hk_mutex mutex = HK_MUTEX_INIT;
};

/* ---- futures ---- */

struct FreeFuture {
    void operator()(hk_future *future) const
    {
        hk_future_free(future);
    }
};
using Future = std::unique_ptr<hk_future, FreeFuture>;

/* ---- functions for any executor ---- */

namespace text
{

/* std::string is no value that crosses; hk_str is, and inside it may be a string. */
HK_FN(hk_str, repeated, (hk_str, part), (int, times))
{
    std::string all;
    int rc = no_throw([&] {
        if (times < 0)
            throw std::out_of_range("times");
        for (int i = 0; i < times; i++)
            all += part;
        return 0;
    });

    if (rc < 0)
        hk_job_fail(rc);
    return rc < 0 ? nullptr : strdup(all.c_str());
}

} /* namespace text */

static bool use_futures(hk_executor *on)
{
    Future good(text::repeated_on(on, "ab", 3)), bad(text::repeated_on(on, "ab", -1));
    hk_str result = nullptr;

    return text::repeated_await(good.get(), &result) >= 0 &&
           std::string(result) == "ababab" &&
           text::repeated_await(bad.get(), &result) == -EIO;
}

/* ---- in use ---- */

static bool tasks_are_lambdas()
{
    Mutex mutex;
    int sum = 0;
    Scope scope;

    for (int i = 1; i <= 3; i++)
        scope.spawn([&, i] {
            std::lock_guard<Mutex> lock(mutex);

            must(hk_sleep(HK_MILLISECOND));
            sum += i;
            return 0;
        });
    return scope.join() == 0 && sum == 6;
}

static bool an_exception_is_the_error_of_its_task()
{
    Scope scope;

    scope.spawn([] { return hk_sleep(HK_NEVER); }); /* cancelled by the other */
    scope.spawn([] {
        must(-ENOENT);
        return 0;
    });
    return scope.join() == -ENOENT;
}

static bool an_exception_ends_the_scopes_that_it_passes()
{
    bool was_cancelled = false;

    try {
        Scope scope;

        scope.spawn([&] {
            was_cancelled = hk_sleep(HK_NEVER) == -ECANCELED;
            return 0;
        });
        must(hk_yield());
        throw std::runtime_error("out of here");
    } catch (const std::runtime_error &) {
        must(hk_yield()); /* a catch block may wait */
    }
    return was_cancelled;
}

static bool a_deadline_is_an_exception_inside()
{
    Scope scope(hk_now() + HK_MILLISECOND);

    try {
        must(hk_sleep(HK_NEVER));
    } catch (const std::system_error &error) {
        return error.code() == std::errc::operation_canceled &&
               scope.join() == -ETIMEDOUT;
    }
    return false;
}

static int app(void *)
{
    return no_throw([] {
        return tasks_are_lambdas() && an_exception_is_the_error_of_its_task() &&
                       an_exception_ends_the_scopes_that_it_passes() &&
                       a_deadline_is_an_exception_inside() && use_futures(hk_tasks())
                   ? 0
                   : -EINVAL;
    });
}

int main()
{
    int rc = hk_run(app, nullptr, nullptr);

    if (rc == 0 && (!use_futures(hk_threads()) || !use_futures(hk_processes())))
        rc = -EINVAL;
    std::puts(rc == 0 ? "all guards are good" : hk_error_text(rc));
    return rc != 0;
}
