// SPDX-License-Identifier: MIT
//! The peer parking_lot: its mutex, in a process with a second thread.

use hocket_bench_peers::{arguments, report_cpu, Cpu, MISSING};
use std::hint::black_box;

fn main() {
    const LOCKS: usize = 40_000_000;
    let (bench, _) = arguments();
    if bench != "mutex" {
        std::process::exit(MISSING);
    }
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
