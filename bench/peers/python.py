#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The peers of Python's standard library, one subject for each way to do it. What this
file is called as says which; they are listed at its end."""

import collections
import concurrent.futures
import multiprocessing
import multiprocessing.shared_memory
import pathlib
import sys
import time

MISSING = 77
JOBS_OF_THREADS = 50000  # a million would take ten seconds
JOBS_OF_FUTURES = 10000
JOBS_OF_ASYNC = 20000
JOBS_OF_MAP = 100000
CHUNK = 1000  # the best of 100, 1,000, 10,000; map itself would take 12,500
ROUND_TRIPS = 3000
PIECE_BYTES = 1 << 20
PIECES = 1024
IN_FLIGHT = 4
STARTS = 5


def empty_job():
    pass


def next_number(number):
    return number + 1


def send_back(piece):
    return bytes(piece)


def report(start, operations):
    print(f"{(time.monotonic() - start) * 1e9 / operations:.2f}")


# --- concurrent.futures ------------------------------------------------------------


def futures_pool(_):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        start = time.monotonic()
        concurrent.futures.wait([pool.submit(empty_job) for _ in range(JOBS_OF_THREADS)])
        report(start, JOBS_OF_THREADS)


def futures_poolrtt(_):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        start = time.monotonic()
        for _ in range(ROUND_TRIPS):
            pool.submit(empty_job).result()
        report(start, ROUND_TRIPS)


def futures_proc(args):
    with concurrent.futures.ProcessPoolExecutor(int(args[0])) as pool:
        list(pool.map(next_number, range(1000)))
        start = time.monotonic()
        futures = [pool.submit(next_number, i) for i in range(JOBS_OF_FUTURES)]
        for i, future in enumerate(futures):
            assert future.result() == i + 1
        report(start, JOBS_OF_FUTURES)


def futures_procrtt(_):
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        pool.submit(next_number, 0).result()
        start = time.monotonic()
        for i in range(ROUND_TRIPS):
            pool.submit(next_number, i).result()
        report(start, ROUND_TRIPS)


# --- multiprocessing.Pool ----------------------------------------------------------


def map_proc(chunk):
    def run(args):
        with multiprocessing.Pool(int(args[0])) as pool:
            pool.map(next_number, range(1000))
            start = time.monotonic()
            results = pool.map(next_number, range(JOBS_OF_MAP), chunk)
            report(start, JOBS_OF_MAP)
            assert results[-1] == JOBS_OF_MAP
    return run


def async_proc(args):
    with multiprocessing.Pool(int(args[0])) as pool:
        pool.map(next_number, range(1000))
        start = time.monotonic()
        results = [pool.apply_async(next_number, (i,)) for i in range(JOBS_OF_ASYNC)]
        for i, result in enumerate(results):
            assert result.get() == i + 1
        report(start, JOBS_OF_ASYNC)


def async_procrtt(_):
    with multiprocessing.Pool(1) as pool:
        pool.apply(next_number, (0,))
        start = time.monotonic()
        for i in range(ROUND_TRIPS):
            pool.apply(next_number, (i,))
        report(start, ROUND_TRIPS)


def async_procbig(_):
    pieces = PIECES // 4  # it is slow
    piece = bytes(PIECE_BYTES)
    with multiprocessing.Pool(1) as pool:
        pool.apply(next_number, (0,))
        flying = collections.deque()
        start = time.monotonic()
        for _ in range(pieces):
            if len(flying) == IN_FLIGHT:
                assert len(flying.popleft().get()) == PIECE_BYTES
            flying.append(pool.apply_async(send_back, (piece,)))
        while flying:
            flying.popleft().get()
        print(f"{pieces * PIECE_BYTES / 2**30 / (time.monotonic() - start):.3f}")


# --- multiprocessing's pipe, and shared memory with a pipe to say when --------------


def answer_numbers(end):
    while (number := end.recv()) is not None:
        end.send(number + 1)


def pipe_procrtt(_):
    here, there = multiprocessing.Pipe()
    worker = multiprocessing.Process(target=answer_numbers, args=(there,))
    worker.start()
    here.send(0)
    here.recv()
    start = time.monotonic()
    for i in range(ROUND_TRIPS):
        here.send(i)
        here.recv()
    report(start, ROUND_TRIPS)
    here.send(None)
    worker.join()


def answer_pieces(end):
    buffer = bytearray(PIECE_BYTES)
    for _ in range(PIECES):
        end.recv_bytes_into(buffer)
        end.send_bytes(buffer)


def pipe_procbig(_):
    here, there = multiprocessing.Pipe()
    worker = multiprocessing.Process(target=answer_pieces, args=(there,))
    worker.start()
    piece, back = bytes(PIECE_BYTES), bytearray(PIECE_BYTES)
    start = time.monotonic()
    # One in flight: a second would stop both ends, each waiting for the other to read.
    for _ in range(PIECES):
        here.send_bytes(piece)
        here.recv_bytes_into(back)
    print(f"{PIECES * PIECE_BYTES / 2**30 / (time.monotonic() - start):.3f}")
    worker.join()


def answer_slots(end, name):
    memory = multiprocessing.shared_memory.SharedMemory(name)
    for _ in range(PIECES):
        slot = end.recv_bytes()[0]
        begin = slot * PIECE_BYTES
        piece = bytes(memory.buf[begin:begin + PIECE_BYTES])
        memory.buf[begin:begin + PIECE_BYTES] = piece
        end.send_bytes(bytes([slot]))
    memory.close()


def shm_procbig(_):
    memory = multiprocessing.shared_memory.SharedMemory(
        create=True, size=IN_FLIGHT * PIECE_BYTES)
    here, there = multiprocessing.Pipe()
    worker = multiprocessing.Process(target=answer_slots, args=(there, memory.name))
    worker.start()
    piece = bytes(PIECE_BYTES)

    def receive():
        begin = here.recv_bytes()[0] * PIECE_BYTES
        return bytes(memory.buf[begin:begin + PIECE_BYTES])

    start = time.monotonic()
    for i in range(PIECES):
        if i >= IN_FLIGHT:
            assert len(receive()) == PIECE_BYTES
        begin = i % IN_FLIGHT * PIECE_BYTES
        memory.buf[begin:begin + PIECE_BYTES] = piece
        here.send_bytes(bytes([i % IN_FLIGHT]))
    for _ in range(IN_FLIGHT):
        receive()
    print(f"{PIECES * PIECE_BYTES / 2**30 / (time.monotonic() - start):.3f}")
    worker.join()
    memory.close()
    memory.unlink()


# --- from no worker to the first result ---------------------------------------------


def procstart(method):
    def run(_):
        context = multiprocessing.get_context(method)
        if method == "forkserver":  # the server itself stays, and is no worker
            with context.Pool(1) as pool:
                pool.apply(next_number, (0,))
        start = time.monotonic()
        for i in range(STARTS):
            with context.Pool(1) as pool:
                assert pool.apply(next_number, (i,)) == i + 1
        report(start, STARTS)
    return run


BENCHES = {
    "py-futures": {"pool": futures_pool, "poolrtt": futures_poolrtt,
                   "proc": futures_proc, "procrtt": futures_procrtt},
    "py-map": {"proc": map_proc(1)},
    "py-map-chunks": {"proc": map_proc(CHUNK)},
    "py-async": {"proc": async_proc, "procrtt": async_procrtt,
                 "procbig": async_procbig},
    "py-pipe": {"procrtt": pipe_procrtt, "procbig": pipe_procbig},
    "py-shm": {"procbig": shm_procbig},
    "py-spawn": {"procstart": procstart("spawn")},
    "py-forkserver": {"procstart": procstart("forkserver")},
    "py-fork": {"procstart": procstart("fork")},
}


def main():
    subject = pathlib.Path(sys.argv[0]).name
    bench, *args = sys.argv[1:]
    run = BENCHES.get(subject, {}).get(bench)
    if run is None or (bench == "procrtt" and args):  # its variant, which spins
        return MISSING
    if bench == "procstart" and (subject == "py-fork") != (args == ["fork"]):
        return MISSING
    run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
