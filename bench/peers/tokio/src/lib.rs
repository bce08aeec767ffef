// SPDX-License-Identifier: MIT
//! What the Rust peers share: the bench contract of ../bench.h.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub const MISSING: i32 = 77;
pub const CHAN_CAPACITY: usize = 1024;
pub const TIMERS_LIVE: usize = 1_000_000;
pub const FILES_COUNT: usize = 10_000;
pub const FILES_AT_ONCE: usize = 50;
pub const FILE_BYTES: usize = 16_384;
pub const RWLOCK_WRITES: u64 = 20;

// The standard library has the next two since Rust 1.66 and 1.64; Debian 12 has 1.63.

/// A value that the compiler knows nothing about.
#[inline(always)]
pub fn black_box<T>(value: T) -> T {
    unsafe {
        std::arch::asm!("/* {0} */", in(reg) &value, options(nostack, preserves_flags));
    }
    value
}

/// A future that asks a function.
pub fn poll_fn<T>(ask: impl FnMut(&mut Context<'_>) -> Poll<T> + Unpin) -> impl Future<Output = T> {
    struct Asking<F>(F);
    impl<T, F: FnMut(&mut Context<'_>) -> Poll<T> + Unpin> Future for Asking<F> {
        type Output = T;
        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
            (self.0)(context)
        }
    }
    Asking(ask)
}

/// The bench's name and its arguments.
pub fn arguments() -> (String, Vec<String>) {
    let mut args = std::env::args().skip(1);
    match args.next() {
        Some(bench) => (bench, args.collect()),
        None => {
            eprintln!("usage: BENCH [ARGS]");
            std::process::exit(2);
        }
    }
}

/// One core is measured in CPU time, crossing cores on the wall clock; see bench.h.
pub struct Cpu(i64);

impl Cpu {
    pub fn now() -> Self {
        Cpu(cpu_ns())
    }
}

pub fn report_cpu(start: Cpu, operations: usize) {
    println!("{:.2}", (cpu_ns() - start.0) as f64 / operations as f64);
}

pub fn report_wall(start: Instant, operations: usize) {
    println!("{:.2}", start.elapsed().as_nanos() as f64 / operations as f64);
}

/// The same xorshift as in bench.h.
pub struct Random(pub u64);

impl Default for Random {
    fn default() -> Self {
        Random(88172645463325252)
    }
}

impl Random {
    pub fn timer(&mut self) -> Duration {
        let mut x = self.0;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0 = x;
        Duration::from_millis(1000 + x % 3_600_000)
    }
}

pub fn pin(cpu: usize) {
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        if libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set) != 0 {
            panic!("sched_setaffinity");
        }
    }
}

/// A line of /proc/self/status, in bytes.
pub fn status_bytes(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    for line in text.lines() {
        if line.starts_with(key) {
            let kb: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            return kb * 1024.0;
        }
    }
    0.0
}

/// The twin of bench_contend in bench.h: two pinned threads for a fixed time. A side
/// works until `has_ended` and returns its turns.
pub fn contend(side: impl Fn(&dyn Fn() -> bool) -> u64 + Send + Sync + 'static) {
    static ENDED: AtomicBool = AtomicBool::new(false);
    let side = Arc::new(side);
    let threads: Vec<_> = (0..2)
        .map(|cpu| {
            let side = side.clone();
            std::thread::spawn(move || {
                pin(cpu);
                side(&|| ENDED.load(Ordering::Relaxed))
            })
        })
        .collect();
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(300));
    ENDED.store(true, Ordering::Relaxed);
    let wall = start.elapsed().as_nanos() as f64;
    let turns: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
    println!("{:.2}", wall / turns as f64);
}

/// A side that looks at the end after every 64 turns.
pub fn take_turns(has_ended: &dyn Fn() -> bool, mut work: impl FnMut(u64)) -> u64 {
    let mut turn = 0;
    while !has_ended() {
        for _ in 0..64 {
            work(turn);
            turn += 1;
        }
    }
    turn
}

pub fn cpu_ns() -> i64 {
    unsafe {
        let mut t: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t);
        t.tv_sec * 1_000_000_000 + t.tv_nsec
    }
}
