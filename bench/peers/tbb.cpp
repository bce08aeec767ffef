/* SPDX-License-Identifier: MIT */
/* The peer TBB (oneTBB): task groups, parallel loops, an arena of two. */
#include "parallel.h"

#include <oneapi/tbb.h>

namespace
{

using range = tbb::blocked_range<long>;

/* Two threads, one of them the caller's. */
struct two_threads {
    tbb::global_control limit{tbb::global_control::max_allowed_parallelism,
                              PARALLEL_THREADS};
    tbb::task_arena arena{PARALLEL_THREADS};
};

template <typename Work> void rounds_on_two(Work work, double operations)
{
    two_threads two;

    two.arena.execute([&] {
        bench_rounds([](void *arg) { (*static_cast<Work *>(arg))(); }, &work,
                     operations);
    });
}

void pool(int, char **)
{
    auto submit_all = [] {
        tbb::task_group jobs;

        for (long i = 0; i < POOL_JOBS; i++)
            jobs.run([] { bench_empty_job(nullptr); });
        jobs.wait();
    };
    rounds_on_two(submit_all, POOL_JOBS);
}

long fork_fib(long n, long cutoff)
{
    tbb::task_group forks;
    long first, second;

    if (n < 2)
        return n;
    if (n < cutoff)
        return bench_fib(n);
    forks.run([&first, n, cutoff] { first = fork_fib(n - 1, cutoff); });
    second = fork_fib(n - 2, cutoff);
    forks.wait();
    return first + second;
}

void forkjoin(int, char **)
{
    auto work = [] { bench_expect(fork_fib(FORKJOIN_N, 0), bench_fib(FORKJOIN_N)); };
    rounds_on_two(work, bench_fib_tasks(FORKJOIN_N));
}

void fib(int, char **)
{
    long wanted = bench_fib(FIB_N);

    rounds_on_two([wanted] { bench_expect(fork_fib(FIB_N, FIB_CUTOFF), wanted); }, 1);
}

template <typename Partitioner> double sum_roots(void *)
{
    return tbb::parallel_reduce(
        range(0, PFOR_ELEMENTS, PFOR_GRAIN), 0.0,
        [](const range &r, double sum) {
            return sum + bench_sum_roots(r.begin(), r.end());
        },
        [](double a, double b) { return a + b; }, Partitioner());
}

void pfor(int argc, char **args)
{
    bool is_static = argc > 0 && !strcmp(args[0], "static");
    two_threads two;

    two.arena.execute([is_static] {
        bench_speed_up(is_static ? sum_roots<tbb::static_partitioner>
                                 : sum_roots<tbb::auto_partitioner>,
                       nullptr);
    });
}

void region(int argc, char **args)
{
    if (argc > 0 && !strcmp(args[0], "iteration")) {
        auto loop = [] {
            tbb::parallel_for(
                range(0, REGION_ITERATIONS, 1),
                [](const range &) { bench_empty_job(nullptr); },
                tbb::simple_partitioner());
        };
        rounds_on_two(loop, REGION_ITERATIONS);
        return;
    }
    auto empty = [] {
        tbb::parallel_for(
            0, PARALLEL_THREADS, [](int) { bench_empty_job(nullptr); },
            tbb::static_partitioner());
    };
    rounds_on_two(empty, 1);
}

} // namespace

int main(int argc, char **argv)
{
    static const struct bench benches[] = {{"pool", pool},     {"forkjoin", forkjoin},
                                           {"fib", fib},       {"pfor", pfor},
                                           {"region", region}, {nullptr, nullptr}};

    return bench_main(benches, argc, argv);
}
