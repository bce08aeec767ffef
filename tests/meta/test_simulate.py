#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the simulation of many cores (bench/simulate, docs/design/scaling.md) is one: the
same each time, no faster than the cores allow, slow where it must be."""

import sys

from tap import ROOT, check, finish, output_of

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench/simulate"))
import simulate  # noqa: E402

COSTS = simulate.Costs()


def near(name, got, wanted, tolerance=0.1):
    """A line of text when they differ by more than that part."""
    if abs(got - wanted) > tolerance * wanted:
        yield f"{name}: {got:.3g}, not {wanted:.3g}"


def all_times(workers, jobs, length, costs):
    yield "tree", simulate.simulate_tree(workers, jobs, length, costs)[0]
    yield "tree, fan of 2", simulate.simulate_tree(workers, jobs, length, costs, fan=2)[0]
    yield "tree, groups", simulate.simulate_tree(workers, jobs, length, costs, groups=2)[0]
    yield "queue", simulate.simulate_queue(workers, jobs, length, costs)[0]
    yield "queues", simulate.simulate_queue(workers, jobs, length, costs, groups=2)[0]
    yield "counter", simulate.simulate_counter(workers, jobs, length, costs)
    yield "processes", simulate.simulate_processes(workers, jobs, length, costs)[0]
    yield "two couriers", simulate.simulate_processes(workers, jobs, length, costs, 2)[0]


def too_fast():
    for workers in 1, 4, 16:
        for name, time in all_times(workers, 500, 1000, COSTS):
            if time < 500 * 1000 / workers:
                yield f"{name}: {workers} workers made it in {time:.0f} ns"


def not_filled():
    """Long jobs fill the machine, whatever the overhead."""
    for name, time in all_times(4, 400, 1e6, COSTS):
        yield from near(name, time, 400 * 1e6 / 4)


def wrong_limits():
    costs = simulate.Costs(wake=0, woken=0)
    time, _ = simulate.simulate_processes(16, 5000, 1000, costs)
    yield from near("the courier's", time / 5000, costs.send + costs.collect, 0.2)
    time = simulate.simulate_counter(16, 5000, 10, COSTS)
    yield from near("the counter's", time / 5000, COSTS.line)
    one, wide = (simulate.simulate_tree(64, 4000, 10000, COSTS, fan=fan)[1].all_awake_at
                 for fan in (1, 2))
    yield from near("the chain's", one, 63 * (COSTS.wake + COSTS.woken), 0.5)
    if wide > one / 2:
        yield f"a fan of 2 wakes all in {wide:.0f} ns, a chain in {one:.0f} ns"


def printed(*arguments):
    status, text = output_of([ROOT / "bench/simulate/simulate.py", "--jobs", "300",
                              "--workers", "2", "--workers", "8", *arguments])
    return text if status == 0 else f"status {status}: {text}"


check("no simulated machine is faster than its cores", too_fast())
check("long jobs fill a simulated machine", not_filled())
check("what has one place to go through is as slow as that place", wrong_limits())
first, second = printed(), printed()
check("the tables are the same each time", [] if first == second else [first, second])
tables = sum(set(line) == set("| -") for line in first.splitlines())
check("there are four tables", [] if tables == 4 else [first])
check("an option changes them", [] if first != printed("--line", "500") else [first])
finish()
