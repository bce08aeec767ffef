// SPDX-License-Identifier: MIT
//! The peer rayon: scopes, join, parallel iterators, on a pool of two threads.

use hocket_bench_peers::{arguments, black_box, MISSING};
use rayon::prelude::*;
use std::time::{Duration, Instant};

// The twin of ../../../parallel.h.
const THREADS: usize = 2;
const POOL_JOBS: usize = 1_000_000;
const POOL_ROUND_TRIPS: usize = 20_000;
const FORKJOIN_N: u64 = 30;
const FIB_N: u64 = 32;
const FIB_CUTOFF: u64 = 12;
const PFOR_ELEMENTS: u64 = 100_000_000;
const PFOR_GRAIN: u64 = 16_384;
const REGION_ITERATIONS: usize = 1_000_000;

fn main() {
    let (bench, args) = arguments();
    let variant = args.first().map(String::as_str);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .build()
        .unwrap();
    if bench == "poolrtt" {
        return bench_poolrtt(&pool);
    }
    // As the other peers: from a thread of the pool.
    pool.install(|| match (bench.as_str(), variant) {
        ("pool", _) => bench_pool(),
        ("forkjoin", _) => bench_fork(FORKJOIN_N, 0, fib_tasks(FORKJOIN_N)),
        ("fib", _) => bench_fork(FIB_N, FIB_CUTOFF, 1.0),
        ("pfor", Some(schedule)) => bench_pfor(schedule),
        ("region", Some("iteration")) => bench_iteration(),
        ("region", _) => rounds(1.0, || {
            rayon::broadcast(|_| empty_job());
        }),
        _ => std::process::exit(MISSING),
    });
}

#[inline(never)]
fn empty_job() {
    black_box(());
}

fn rounds(operations: f64, work: impl Fn()) {
    const LEAST: Duration = Duration::from_millis(300);
    work();
    let mut count = 0;
    let start = Instant::now();
    while count == 0 || start.elapsed() < LEAST {
        work();
        count += 1;
    }
    let spent = start.elapsed().as_nanos() as f64;
    println!("{:.2}", spent / (count as f64 * operations));
}

fn bench_pool() {
    rounds(POOL_JOBS as f64, || {
        rayon::scope(|scope| {
            for _ in 0..POOL_JOBS {
                scope.spawn(|_| empty_job());
            }
        })
    });
}

fn bench_poolrtt(pool: &rayon::ThreadPool) {
    rounds(POOL_ROUND_TRIPS as f64, || {
        for _ in 0..POOL_ROUND_TRIPS {
            pool.install(empty_job);
        }
    });
}

fn plain_fib(n: u64) -> u64 {
    if n < 2 {
        n
    } else {
        plain_fib(n - 1) + plain_fib(n - 2)
    }
}

fn fib_tasks(n: u64) -> f64 {
    let (mut before, mut now) = (0.0, 0.0);
    for _ in 2..=n {
        (before, now) = (now, before + now + 1.0);
    }
    now
}

fn fork_fib(n: u64, cutoff: u64) -> u64 {
    if n < 2 {
        return n;
    }
    if n < cutoff {
        return plain_fib(n);
    }
    let (first, second) = rayon::join(|| fork_fib(n - 1, cutoff), || fork_fib(n - 2, cutoff));
    first + second
}

fn bench_fork(n: u64, cutoff: u64, operations: f64) {
    let wanted = plain_fib(n);
    rounds(operations, || assert_eq!(fork_fib(black_box(n), cutoff), wanted));
}

#[inline(never)]
fn sum_roots(begin: u64, end: u64) -> f64 {
    (begin..end).map(|i| (i as f64).sqrt()).sum()
}

/// Its iterators divide and steal: there is no static schedule but pieces by hand.
fn sum_in_pieces(grain: u64) -> f64 {
    (0..(PFOR_ELEMENTS + grain - 1) / grain)
        .into_par_iter()
        .map(|i| sum_roots(i * grain, PFOR_ELEMENTS.min((i + 1) * grain)))
        .sum()
}

fn bench_pfor(schedule: &str) {
    const TURNS: usize = 3;
    let grain = match schedule {
        "static" => PFOR_ELEMENTS / THREADS as u64,
        _ => PFOR_GRAIN,
    };
    let (mut one, mut two) = (Duration::MAX, Duration::MAX);
    for _ in 0..TURNS {
        let start = Instant::now();
        let alone = black_box(sum_roots(0, black_box(PFOR_ELEMENTS)));
        let middle = Instant::now();
        let together = black_box(sum_in_pieces(black_box(grain)));
        two = two.min(middle.elapsed());
        one = one.min(middle - start);
        assert!((together / alone - 1.0).abs() < 1e-6);
    }
    println!("{:.3}", one.as_secs_f64() / two.as_secs_f64());
}

fn bench_iteration() {
    rounds(REGION_ITERATIONS as f64, || {
        (0..REGION_ITERATIONS)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|_| empty_job())
    });
}
