#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How the schedulers behave on more cores than there are here: a simulation.

    bench/simulate/simulate.py [tree] [queue] [loop] [processes] [--workers N]... [--jobs N]
                               [--line NS] [--wake NS] [--woken NS] ...

A discrete-event model: threads are generators that yield how long they take; a cache line
that several want is a resource that one has at a time. What threads cost each other is given
by the options, whose defaults were measured (costs.c) or are named as assumed in
docs/design/scaling.md, which has the tables. The same options print the same numbers: random
choices come from a seed.

    tree       a tree of forks on the work-stealing deques of a thread pool
    queue      jobs from one thread outside, through the pool's queue
    loop       a parallel loop: pieces from one counter, and by splitting and stealing
    processes  jobs through one courier to worker processes (src/exec/courier.c)

Times are in nanoseconds; a speed-up is the time of the jobs alone, one after another,
divided by the time it took.
"""

import argparse
import dataclasses
import heapq
import itertools
import random
from collections import deque

# --- the machine ----------------------------------------------------------------------


@dataclasses.dataclass
class Costs:
    """In nanoseconds."""

    line: float = 100  # a cache line comes from another core
    hit: float = 2  # a look at a line that nobody wrote meanwhile
    take: float = 10  # an own deque: push and take
    job: float = 15  # around a job: becoming a task, its end
    submit: float = 25  # a job, by a thread outside, besides lines and locks
    wake: float = 6500  # FUTEX_WAKE, for who wakes
    woken: float = 19000  # until the sleeper runs
    fence: float = 2500  # membarrier, before a sleep
    search: float = 4000  # looking around before a sleep
    look: float = 20  # the courier at a seat
    send: float = 150  # a job into a channel
    collect: float = 450  # a result out of it, and its future set


class Line:
    """A cache line: who wants it while another has it waits for his turn."""

    def __init__(self, costs):
        self.costs = costs
        self.free_at = 0.0
        self.owner = None

    def access(self, now, who, hold=0.0):
        """How long it takes until `who` has had it, and has held it so long."""
        begin = max(now, self.free_at)
        mine = self.owner is who
        self.owner = who
        self.free_at = begin + (self.costs.hit if mine else self.costs.line) + hold
        return self.free_at - now


class Machine:
    def __init__(self):
        self.now = 0.0
        self.events = []
        self.order = itertools.count()

    def start(self, thread, delay=0.0):
        heapq.heappush(self.events, (self.now + delay, next(self.order), thread))

    def run(self, is_over):
        """Until it is over; threads that yield None sleep until somebody starts them."""
        while self.events and not is_over():
            self.now, _, thread = heapq.heappop(self.events)
            delay = next(thread, None)
            if delay is not None:
                self.start(thread, delay)
        return self.now


# --- a pool of threads ----------------------------------------------------------------


class Seat:
    def __init__(self, index, costs):
        self.index = index
        self.deque = deque()
        self.top = Line(costs)  # what thieves write
        self.writes = 0  # changes of the deque: a thief's copy of it is old then
        self.seen = {}  # of others, by their index
        self.asleep = True  # it may be woken
        self.is_gone = True  # it does sleep: it was not woken on its way to bed


class Pool:
    """As it is: one searcher at a time is woken, and wakes the next when there is more.
    With `fan` it wakes so many, as long as there is more than searchers; `groups` divides
    thieves and the queue."""

    GRAB_MAX = 32

    def __init__(self, workers, costs, fan=1, groups=1, seed=1):
        self.costs = costs
        self.machine = Machine()
        self.random = random.Random(seed)
        self.seats = [Seat(i, costs) for i in range(workers)]
        self.groups = min(groups, workers)
        self.queues = [deque() for _ in range(self.groups)]
        self.locks = [Line(costs) for _ in range(self.groups)]
        self.demand = Line(costs)
        self.fan = fan
        self.searchers = 0
        self.room = workers
        self.done = 0
        self.steals = self.probes = self.wakes = 0
        self.all_awake_at = None
        self.items = 0  # in queues and deques

    # Each returns how long it took the caller.

    def wake_one(self, who, searchers_max=1):
        if self.room <= 0 or self.searchers >= searchers_max:
            return self.costs.hit
        spent = self.demand.access(self.machine.now, who)
        for position, seat in enumerate(reversed(self.seats)):
            if seat.asleep:
                seat.asleep = False
                self.room -= 1
                self.searchers += 1
                self.wakes += 1
                spent += position * self.costs.hit + self.costs.wake
                if seat.is_gone:
                    seat.is_gone = False
                    self.machine.start(self.worker(seat), spent - self.costs.wake +
                                       self.costs.woken)
                if self.room == 0 and self.all_awake_at is None:
                    self.all_awake_at = self.machine.now + spent
                return spent
        return spent

    def push(self, seat, item):
        seat.deque.append(item)
        seat.writes += 1
        self.items += 1
        return self.costs.take + self.wake_one(seat)

    def submit(self, group, item, who):
        spent = self.locks[group].access(self.machine.now, who)
        self.queues[group].append(item)
        self.items += 1
        return spent + self.wake_one(who)

    def group_of(self, seat):
        return seat.index * self.groups // len(self.seats)

    def grab(self, seat):
        """(time, item or None), from the queue of the group, else from the others'."""
        spent = 0.0
        own = self.group_of(seat)
        for i in range(self.groups):
            group = (own + i) % self.groups
            queue = self.queues[group]
            spent += self.costs.hit
            if not queue:
                continue
            members = len(self.seats) / self.groups
            share = min(self.GRAB_MAX, int(len(queue) / (2 * members)) + 1)
            spent += self.locks[group].access(self.machine.now + spent, seat,
                                              self.costs.line + 2 * share)
            item = None
            for _ in range(min(share, len(queue))):
                if item is not None:
                    seat.deque.append(item)
                item = queue.popleft()
            seat.writes += 1
            return spent, item
        return spent, None

    def steal(self, thief):
        """(time, item or None). The group comes first, then everybody."""
        spent = 0.0
        count = len(self.seats)
        size = max(1, count // self.groups)
        base = thief.index // size * size
        near, far = self.random.randrange(size), self.random.randrange(count)
        order = [base + (near + i) % size for i in range(size)]
        if self.groups > 1:
            order += [(far + i) % count for i in range(count)]
        for index in order:
            victim = self.seats[index]
            if victim is thief:
                continue
            self.probes += 1
            is_old = thief.seen.get(index) != victim.writes
            thief.seen[index] = victim.writes
            spent += 2 * self.costs.line if is_old else self.costs.hit
            if victim.deque:
                spent += victim.top.access(self.machine.now + spent, thief)
                item = victim.deque.popleft()
                victim.writes += 1
                self.steals += 1
                return spent, item
        return spent, None

    def find(self, seat):
        if seat.deque:
            spent, item = self.costs.take, seat.deque.pop()
        else:
            spent, item = self.grab(seat)
        if item is None:
            more, item = self.steal(seat)
            spent += more
        self.items -= item is not None
        return spent, item

    def worker(self, seat):
        searching = True  # it was woken to
        while True:
            spent, item = self.find(seat)
            yield spent
            if item is not None:
                if searching:
                    searching = False
                    self.searchers -= 1
                    yield self.demand.access(self.machine.now, seat)
                    for _ in range(self.fan):
                        if self.items > self.searchers:
                            yield self.wake_one(seat, self.fan ** 4)
                yield from item(self, seat)
                continue
            if not searching and self.searchers == 0:
                searching = True
                self.searchers += 1
            end = self.machine.now + (self.costs.search if searching else 0)
            while self.machine.now < end and not self.items:
                yield 50 + len(self.seats) * self.costs.hit
            if searching and self.items:
                continue
            self.searchers -= searching
            self.room += 1
            seat.asleep = True
            yield (self.demand.access(self.machine.now, seat) + self.costs.fence +
                   len(self.seats) * self.costs.hit)
            searching = not seat.asleep  # somebody woke it
            if not searching and not self.items:
                seat.is_gone = True
                return
            if not searching:
                seat.asleep = False
                self.room -= 1


def leaf_job(length):
    def job(pool, _):
        yield pool.costs.job + length
        pool.done += 1
    return job


def tree_job(leaves, length):
    def job(pool, seat):
        count = leaves
        while count > 1:
            half = count // 2
            yield pool.push(seat, tree_job(half, length))
            count -= half
        yield pool.costs.job + length
        pool.done += 1
    return job


def simulate_tree(workers, leaves, length, costs, **how):
    """A job that divides itself: what fork-join, sort and loops do."""
    pool = Pool(workers, costs, **how)
    pool.submit(0, tree_job(leaves, length), None)
    time = pool.machine.run(lambda: pool.done == leaves)
    return time, pool


def simulate_queue(workers, jobs, length, costs, **how):
    """One thread outside submits all jobs, as fast as it can."""
    pool = Pool(workers, costs, **how)

    def submitter():
        for i in range(jobs):
            group = i // Pool.GRAB_MAX % pool.groups
            yield costs.submit + pool.submit(group, leaf_job(length), submitter)

    pool.machine.start(submitter())
    time = pool.machine.run(lambda: pool.done == jobs)
    return time, pool


def simulate_counter(workers, pieces, length, costs):
    """A dynamic loop: each piece is taken from one counter."""
    machine = Machine()
    counter = Line(costs)
    state = {"next": 0, "done": 0}

    def worker(me):
        while state["next"] < pieces:
            state["next"] += 1
            yield counter.access(machine.now, me)
            yield length
            state["done"] += 1

    for i in range(workers):
        machine.start(worker(i))
    return machine.run(lambda: state["done"] == pieces)


# --- a pool of processes (src/exec/courier.c) --------------------------------------------


class Couriers:
    """Each looks after his seats: goes round as long as anything changes, then sleeps
    until one of his workers rings."""

    def __init__(self, workers, jobs, length, costs, couriers):
        self.machine = Machine()
        self.costs = costs
        self.length = length
        self.waiting, self.done, self.jobs = jobs, 0, jobs
        self.depth = max(1, min(32, int(200000 / length)))
        self.sent = [0] * workers
        self.finished = [0] * workers
        self.worker_sleeps = [True] * workers
        self.courier_sleeps = [False] * couriers
        self.queue = Line(costs)  # the lock of the queue that couriers share
        self.longest_round = 0.0
        for who in range(couriers):
            self.machine.start(self.courier(who))

    def worker(self, index):
        mine = index % len(self.courier_sleeps)
        while self.sent[index] > 0:
            yield self.length + self.costs.line
            self.sent[index] -= 1
            self.finished[index] += 1
            if self.courier_sleeps[mine]:
                self.courier_sleeps[mine] = False
                self.machine.start(self.courier(mine), self.costs.woken)
                yield self.costs.wake
        self.worker_sleeps[index] = True

    def visit(self, index, now, who):
        spent = self.costs.look
        if self.finished[index]:
            spent += self.costs.line + self.finished[index] * self.costs.collect
            self.done += self.finished[index]
            self.finished[index] = 0
        room = min(self.depth - self.sent[index], self.waiting)
        if room <= 0:
            return spent
        self.waiting -= room
        self.sent[index] += room
        spent += room * self.costs.send
        if len(self.courier_sleeps) > 1:
            spent += self.queue.access(now + spent, who)
        if self.worker_sleeps[index]:
            self.worker_sleeps[index] = False
            spent += self.costs.wake
            self.machine.start(self.worker(index), spent - self.costs.wake +
                               self.costs.woken)
        return spent

    def courier(self, who):
        seats = range(who, len(self.sent), len(self.courier_sleeps))
        is_idle = False
        while not is_idle:
            begin, before = self.machine.now, (self.done, self.waiting)
            for index in seats:
                yield self.visit(index, self.machine.now, who)
            is_idle = before == (self.done, self.waiting)
            if not is_idle:
                self.longest_round = max(self.longest_round, self.machine.now - begin)
        self.courier_sleeps[who] = not any(self.finished[i] for i in seats)
        if not self.courier_sleeps[who]:
            self.machine.start(self.courier(who))


def simulate_processes(workers, jobs, length, costs, couriers=1):
    """Jobs that are all in the queue. Returns the time, and a courier's longest round."""
    pool = Couriers(workers, jobs, length, costs, couriers)
    time = pool.machine.run(lambda: pool.done == jobs)
    return time, pool.longest_round


# --- tables -----------------------------------------------------------------------------


def table(title, head, rows):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    print(f"{title}\n")
    for row in [head, ["-" * w for w in widths], *rows]:
        print("| " + " | ".join(str(x).rjust(w) for x, w in zip(row, widths)) + " |")
    print()


def speed_up(jobs, length, time):
    return f"{jobs * length / time:.1f}"


def us(ns):
    return "-" if ns is None else f"{ns / 1000:.0f}"


def show_tree(options, costs):
    rows = []
    leaves = options.jobs or 100000
    for length in 1000, 10000:
        for workers in options.workers:
            time, pool = simulate_tree(workers, leaves, length, costs)
            wide, wide_pool = simulate_tree(workers, leaves, length, costs,
                                            fan=options.fan)
            near, near_pool = simulate_tree(workers, leaves, length, costs,
                                            fan=options.fan,
                                            groups=max(1, workers // 16))
            rows.append([length, workers, speed_up(leaves, length, time),
                         us(pool.all_awake_at), f"{pool.probes / max(1, pool.steals):.0f}",
                         speed_up(leaves, length, wide), us(wide_pool.all_awake_at),
                         speed_up(leaves, length, near),
                         f"{near_pool.probes / max(1, near_pool.steals):.0f}"])
    table(f"tree: {leaves} leaves; then with a fan of {options.fan}; then with groups "
          "of 16, too",
          ["leaf ns", "workers", "speed-up", "all awake us", "probes/steal", "speed-up",
           "all awake us", "speed-up", "probes/steal"], rows)


def show_queue(options, costs):
    rows = []
    jobs = options.jobs or 100000
    for length in 100, 1000, 10000:
        for workers in options.workers:
            time, _ = simulate_queue(workers, jobs, length, costs)
            wide, _ = simulate_queue(workers, jobs, length, costs,
                                     fan=options.fan,
                                     groups=max(1, workers // 16))
            rows.append([length, workers, f"{time / jobs:.0f}",
                         speed_up(jobs, length, time), f"{wide / jobs:.0f}",
                         speed_up(jobs, length, wide)])
    table(f"queue: {jobs} jobs from one thread; then with a fan of {options.fan} and "
          "a queue for each 16",
          ["job ns", "workers", "ns/job", "speed-up", "ns/job", "speed-up"], rows)


def show_loop(options, costs):
    rows = []
    pieces = options.jobs or 65536
    for length in 100, 1000, 10000:
        for workers in options.workers:
            counter = simulate_counter(workers, pieces, length, costs)
            split, _ = simulate_tree(workers, pieces, length, costs)
            rows.append([length, workers, speed_up(pieces, length, counter),
                         speed_up(pieces, length, split)])
    table(f"loop: {pieces} pieces, from one counter by threads that are awake; by splitting, "
          "from sleep",
          ["piece ns", "workers", "counter", "split"], rows)


def show_processes(options, costs):
    rows = []
    jobs = options.jobs or 50000
    for length in 1000, 10000, 100000, 1000000:
        for workers in options.workers:
            count = min(jobs, max(20 * workers, int(4e9 / length)))
            time, longest = simulate_processes(workers, count, length, costs)
            many, _ = simulate_processes(workers, count, length, costs,
                                         couriers=max(1, workers // 32))
            rows.append([length, workers, f"{time / count:.0f}",
                         speed_up(count, length, time), us(longest),
                         speed_up(count, length, many)])
    table(f"processes: one courier, {costs.send + costs.collect:.0f} ns a job; then one for "
          "each 32 workers",
          ["job ns", "workers", "ns/job", "speed-up", "longest round us", "speed-up"], rows)


SHOWS = {"tree": show_tree, "queue": show_queue, "loop": show_loop,
         "processes": show_processes}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[*SHOWS, []])
    parser.add_argument("--workers", type=int, action="append")
    parser.add_argument("--jobs", type=int, help="leaves, jobs, pieces in all")
    parser.add_argument("--fan", type=int, default=2, metavar="N")
    for field in dataclasses.fields(Costs):
        parser.add_argument(f"--{field.name}", type=float, default=field.default,
                            metavar="NS")
    options = parser.parse_args()
    options.workers = options.workers or [2, 16, 64, 256]
    costs = Costs(**{f.name: getattr(options, f.name) for f in dataclasses.fields(Costs)})
    for what in options.what or SHOWS:
        SHOWS[what](options, costs)


if __name__ == "__main__":
    main()
