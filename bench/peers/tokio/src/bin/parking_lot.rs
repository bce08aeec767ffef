// SPDX-License-Identifier: MIT
//! The peer parking_lot: its mutex, rwlock and condition.

use hocket_bench_peers::{
    arguments, black_box, contend, pin, report_cpu, report_wall, take_turns, Cpu,
    MISSING, RWLOCK_WRITES,
};
use std::sync::Arc;
use std::time::Instant;

fn main() {
    let (bench, args) = arguments();
    match bench.as_str() {
        "mutex" => bench_mutex(),
        "mutex2" => bench_mutex2(),
        "rwlock" => bench_rwlock(),
        "cond" if args.first().map_or(false, |a| a == "threads") => bench_cond(),
        _ => std::process::exit(MISSING),
    }
}

/// In a process with a second thread.
fn bench_mutex() {
    const LOCKS: usize = 40_000_000;
    std::thread::spawn(|| loop {
        std::thread::park();
    });
    let mutex = parking_lot::Mutex::new(0u64);
    let start = Cpu::now();
    for _ in 0..LOCKS {
        *black_box(&mutex).lock() += 1;
    }
    report_cpu(start, LOCKS);
}

fn bench_mutex2() {
    let mutex = parking_lot::Mutex::new(0u64);
    contend(move |has_ended| take_turns(has_ended, |_| *black_box(&mutex).lock() += 1));
}

fn bench_rwlock() {
    let lock = parking_lot::RwLock::new(0u64);
    contend(move |has_ended| {
        take_turns(has_ended, |turn| {
            if turn % RWLOCK_WRITES == 0 {
                *black_box(&lock).write() += 1;
            } else {
                black_box(*black_box(&lock).read());
            }
        })
    });
}

type Court = (parking_lot::Mutex<usize>, parking_lot::Condvar);

fn play(court: &Court, mine: usize, rounds: usize) {
    let mut turn = court.0.lock();
    for _ in 0..rounds {
        while *turn != mine {
            court.1.wait(&mut turn);
        }
        *turn = 1 - mine;
        court.1.notify_one();
    }
}

fn bench_cond() {
    const ROUNDS: usize = 10_000;
    let court: Arc<Court> = Arc::default();
    let other = court.clone();
    pin(0);
    let start = Instant::now();
    let thread = std::thread::spawn(move || {
        pin(1);
        play(&other, 1, ROUNDS);
    });
    play(&court, 0, ROUNDS);
    thread.join().unwrap();
    report_wall(start, 2 * ROUNDS);
}
