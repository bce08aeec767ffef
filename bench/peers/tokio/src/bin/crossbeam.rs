// SPDX-License-Identifier: MIT
//! The peer crossbeam: its bounded channel between two threads.

use hocket_bench_peers::{arguments, pin, report_wall, CHAN_CAPACITY, MISSING};
use std::time::Instant;

fn main() {
    const ITEMS: u64 = 20_000_000;
    let (bench, _) = arguments();
    if bench != "xchan" {
        std::process::exit(MISSING);
    }
    let (sender, receiver) = crossbeam_channel::bounded(CHAN_CAPACITY);
    let start = Instant::now();
    let thread = std::thread::spawn(move || {
        pin(1);
        for i in 0..ITEMS {
            sender.send(i).unwrap();
        }
    });
    pin(0);
    let sum: u64 = receiver.iter().sum();
    thread.join().unwrap();
    assert_eq!(sum, ITEMS * (ITEMS - 1) / 2);
    report_wall(start, ITEMS as usize);
}
