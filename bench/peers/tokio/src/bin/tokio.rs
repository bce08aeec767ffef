// SPDX-License-Identifier: MIT
//! The peer Tokio: a current_thread runtime for each worker, without the I/O and time
//! drivers where they are not needed.

use hocket_bench_peers::*;
use std::future::Future;
use std::io::Read;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, Notify};
use tokio::task::yield_now;

fn main() {
    let (bench, args) = arguments();
    match bench.as_str() {
        "switch" => bench_switch(),
        "switch2" => bench_switch2(&args),
        "spawn" => bench_spawn(),
        "spawn1m" => bench_spawn1m(),
        "park" => bench_park(&args),
        "chan1024" => bench_chan1024(),
        "xchan" => bench_xchan(),
        "mutex" => bench_mutex(),
        "mutex2" => bench_mutex2(),
        "mutex1k" => bench_mutex1k(),
        "rwlock" => bench_rwlock(),
        "timers" => bench_timers(),
        "pool" => bench_pool(),
        "files" => bench_files(&args),
        "wake" => bench_wake(),
        "echo-server" => echo_server(),
        _ => std::process::exit(MISSING),
    }
}

fn one_worker() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

const SWITCHES: usize = 2_000_000;

async fn yield_loop() {
    for _ in 0..SWITCHES {
        yield_now().await;
    }
}

async fn yield_other_site() {
    for _ in 0..SWITCHES {
        yield_now().await;
    }
}

async fn inner() {
    yield_now().await
}

async fn outer() {
    inner().await
}

async fn yield_nested() {
    for _ in 0..SWITCHES {
        outer().await;
    }
}

async fn yield_nested_far() {
    for _ in 0..SWITCHES {
        inner().await;
    }
}

fn run_two<A, B>(a: A, b: B)
where
    A: Future<Output = ()> + Send + 'static,
    B: Future<Output = ()> + Send + 'static,
{
    one_worker().block_on(async {
        let start = Cpu::now();
        let first = tokio::spawn(a);
        let second = tokio::spawn(b);
        first.await.unwrap();
        second.await.unwrap();
        report_cpu(start, 2 * SWITCHES);
    });
}

fn bench_switch() {
    run_two(yield_loop(), yield_loop());
}

fn bench_switch2(args: &[String]) {
    if args.first().map_or(false, |a| a == "nested") {
        run_two(yield_nested(), yield_nested_far());
    } else {
        run_two(yield_loop(), yield_other_site());
    }
}

fn bench_spawn() {
    const SPAWNS: usize = 4_000_000;
    one_worker().block_on(async {
        let ran = Arc::new(AtomicUsize::new(0));
        let start = Cpu::now();
        for _ in 0..SPAWNS {
            let ran = ran.clone();
            tokio::spawn(async move {
                ran.fetch_add(1, Ordering::Relaxed);
            })
            .await
            .unwrap();
        }
        report_cpu(start, SPAWNS);
        assert_eq!(ran.load(Ordering::Relaxed), SPAWNS);
    });
}

fn bench_spawn1m() {
    const SPAWNS: usize = 1_000_000;
    let mut handles = Vec::with_capacity(SPAWNS);
    one_worker().block_on(async {
        // The first round fills the allocator; the second one is timed.
        for timed in [false, true] {
            let start = Cpu::now();
            for i in 0..SPAWNS {
                handles.push(tokio::spawn(async move { i }));
            }
            let mut sum = 0;
            for handle in handles.drain(..) {
                sum += handle.await.unwrap();
            }
            assert_eq!(sum, SPAWNS * (SPAWNS - 1) / 2);
            if timed {
                report_cpu(start, SPAWNS);
            }
        }
    });
}

/// A multi_thread runtime with two workers; as rayon, from a task of one of them.
fn bench_pool() {
    const JOBS: usize = 1_000_000;
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let rounds = runtime.spawn(async {
        for timed in [false, true] {
            let start = Instant::now();
            let left = Arc::new((AtomicUsize::new(JOBS), Notify::new()));
            for _ in 0..JOBS {
                let left = left.clone();
                tokio::spawn(async move {
                    if left.0.fetch_sub(1, Ordering::AcqRel) == 1 {
                        left.1.notify_one();
                    }
                });
            }
            left.1.notified().await;
            if timed {
                report_wall(start, JOBS);
            }
        }
    });
    runtime.block_on(rounds).unwrap();
}

fn bench_park(args: &[String]) {
    let count: usize = args.first().map_or(100_000, |a| a.parse().unwrap());
    one_worker().block_on(async {
        let rss = status_bytes("VmRSS");
        let tables = status_bytes("VmPTE");
        for _ in 0..count {
            tokio::spawn(std::future::pending::<()>());
        }
        yield_now().await;
        println!(
            "{:.0}\t{:.0}",
            (status_bytes("VmRSS") - rss) / count as f64,
            (status_bytes("VmPTE") - tables) / count as f64
        );
    });
}

const ITEMS: u64 = 10_000_000;

async fn send_items(sender: mpsc::Sender<u64>) {
    for i in 0..ITEMS {
        sender.send(i).await.unwrap();
    }
}

async fn receive_items(mut receiver: mpsc::Receiver<u64>) {
    let mut sum = 0;
    while let Some(i) = receiver.recv().await {
        sum += i;
    }
    assert_eq!(sum, ITEMS * (ITEMS - 1) / 2);
}

fn bench_chan1024() {
    one_worker().block_on(async {
        let (sender, receiver) = mpsc::channel(CHAN_CAPACITY);
        let start = Cpu::now();
        tokio::spawn(send_items(sender));
        tokio::spawn(receive_items(receiver)).await.unwrap();
        report_cpu(start, ITEMS as usize);
    });
}

/// Two current_thread runtimes, a thread each: measured 80 to 105 ns an item, where a
/// multi_thread runtime with two workers took 110 to 220.
fn bench_xchan() {
    let (sender, receiver) = mpsc::channel(CHAN_CAPACITY);
    let start = Instant::now();
    let thread = std::thread::spawn(move || {
        pin(1);
        one_worker().block_on(send_items(sender));
    });
    pin(0);
    one_worker().block_on(receive_items(receiver));
    thread.join().unwrap();
    report_wall(start, ITEMS as usize);
}

fn bench_mutex() {
    const LOCKS: usize = 10_000_000;
    let mutex = Arc::new(tokio::sync::Mutex::new(0u64));
    std::thread::spawn(|| loop {
        std::thread::park();
    });
    // Unconstrained: the budget would only add a yield to every 128th lock.
    one_worker().block_on(tokio::task::unconstrained(async {
        let start = Cpu::now();
        for _ in 0..LOCKS {
            *mutex.lock().await += 1;
        }
        report_cpu(start, LOCKS);
    }));
}

/// A runtime on each thread, one task in each.
fn bench_mutex2() {
    let mutex = tokio::sync::Mutex::new(0u64);
    contend(move |has_ended| {
        let mut turns = 0;
        one_worker().block_on(async {
            while !has_ended() {
                for _ in 0..64 {
                    *mutex.lock().await += 1;
                    turns += 1;
                }
            }
        });
        turns
    });
}

fn bench_rwlock() {
    let lock = tokio::sync::RwLock::new(0u64);
    contend(move |has_ended| {
        let mut turn = 0;
        one_worker().block_on(async {
            while !has_ended() {
                for _ in 0..64 {
                    if turn % RWLOCK_WRITES == 0 {
                        *lock.write().await += 1;
                    } else {
                        black_box(*lock.read().await);
                    }
                    turn += 1;
                }
            }
        });
        turn
    });
}

/// Half of the tasks in each of two runtimes.
fn bench_mutex1k() {
    const TASKS: usize = 1000;
    const LOCKS: usize = 1000;
    let mutex = Arc::new(tokio::sync::Mutex::new(0u64));
    let start = Instant::now();
    let threads: Vec<_> = (0..2)
        .map(|cpu| {
            let mutex = mutex.clone();
            std::thread::spawn(move || {
                pin(cpu);
                one_worker().block_on(async {
                    let tasks: Vec<_> = (0..TASKS / 2)
                        .map(|_| {
                            let mutex = mutex.clone();
                            tokio::spawn(async move {
                                for _ in 0..LOCKS {
                                    *mutex.lock().await += 1;
                                }
                            })
                        })
                        .collect();
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    report_wall(start, TASKS * LOCKS);
}

/// Every timer in place in one pinned slice: no allocation in the loop.
fn bench_timers() {
    const OPERATIONS: usize = 2_000_000;
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let mut random = Random::default();
    runtime.block_on(tokio::task::unconstrained(async {
        let mut live: Pin<Box<[_]>> = (0..TIMERS_LIVE)
            .map(|_| tokio::time::sleep(random.timer()))
            .collect::<Vec<_>>()
            .into_boxed_slice()
            .into();
        poll_fn(|context| {
            // Sound: the slice is pinned and an element is only replaced in place.
            let slice = unsafe { live.as_mut().get_unchecked_mut() };
            for timer in slice.iter_mut() {
                let timer = unsafe { Pin::new_unchecked(timer) };
                assert!(timer.poll(context).is_pending()); // a sleep starts when polled
            }
            let start = Cpu::now();
            for i in 0..OPERATIONS {
                let timer = &mut slice[i % TIMERS_LIVE];
                let mut timer = unsafe { Pin::new_unchecked(timer) };
                timer.set(tokio::time::sleep(random.timer()));
                assert!(timer.poll(context).is_pending());
            }
            report_cpu(start, OPERATIONS);
            Poll::Ready(())
        })
        .await;
    }));
    std::process::exit(0);
}

fn bench_files(args: &[String]) {
    const ROUNDS: usize = 2;
    let paths: Arc<Vec<String>> = Arc::new(
        (0..FILES_COUNT)
            .map(|i| format!("{}/f{:05}", args[0], i))
            .collect(),
    );
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let start = Cpu::now();
        for _ in 0..ROUNDS {
            let next = Arc::new(AtomicUsize::new(0));
            let mut tasks = Vec::new();
            for _ in 0..FILES_AT_ONCE {
                let (paths, next) = (paths.clone(), next.clone());
                tasks.push(tokio::spawn(async move {
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        if i >= FILES_COUNT {
                            break;
                        }
                        // One trip to the blocking pool for open, read and close.
                        let bytes = tokio::fs::read(&paths[i]).await.unwrap();
                        assert_eq!(bytes.len(), FILE_BYTES);
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
        }
        report_cpu(start, ROUNDS * FILES_COUNT);
    });
}

/// Two current_thread runtimes on two pinned threads: two tasks of one multi_thread
/// runtime would end on the same worker, and nothing would cross.
fn bench_wake() {
    const ROUND_TRIPS: usize = 15_000;
    let there = Arc::new(Notify::new());
    let back = Arc::new(Notify::new());
    let (far_there, far_back) = (there.clone(), back.clone());
    let thread = std::thread::spawn(move || {
        pin(1);
        one_worker().block_on(async {
            for _ in 0..ROUND_TRIPS {
                far_there.notified().await;
                far_back.notify_one();
            }
        });
    });
    pin(0);
    one_worker().block_on(async {
        let start = Instant::now();
        for _ in 0..ROUND_TRIPS {
            there.notify_one();
            back.notified().await;
        }
        report_wall(start, ROUND_TRIPS);
    });
    thread.join().unwrap();
}

async fn serve(mut stream: tokio::net::TcpStream) {
    let mut buffer = [0u8; 4096];
    while let Ok(n) = stream.read(&mut buffer).await {
        if n == 0 || stream.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
}

fn echo_server() {
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        println!("cpu_ns {}", cpu_ns());
        std::process::exit(0);
    });
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("port {}", listener.local_addr().unwrap().port());
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        }
    });
}
