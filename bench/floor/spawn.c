/* SPDX-License-Identifier: MIT */
/*
 * The floor of a task's life: create, queue, run, finish, join, one after the other, on
 * a stack that is taken from a free list and given back; and of a parked task: one
 * touched page of a reserved stack.
 *
 * Task and stack are separate free lists and the task goes through a run queue, because
 * any runtime in which a task may be spawned without running at once must do the same.
 */
#include "../peers/bench.h"
#include "coro.h"
#include "floor.h"
#include <stdbool.h>
#include <sys/mman.h>

#ifdef CORO_HERE

#define SPAWNS 40000000L
#define STACK_BYTES (256 * 1024)

struct stack {
    struct stack *next;
};

struct task {
    struct coro context;
    struct task *next; /* in the run queue or in the free list */
    void (*fn)(void *);
    void *arg;
    struct stack *stack;
    bool done;
};

static struct task *queue_head, *queue_tail, *free_tasks, *current;
static struct stack *free_stacks;
static struct coro joiner;

static void body(void *arg)
{
    ++*(long *)arg;
}

/* Where every task starts; the last switch never comes back. */
static void entry(void)
{
    struct task *t = current;

    t->fn(t->arg);
    t->done = true;
    t->stack->next = free_stacks;
    free_stacks = t->stack;
    coro_switch(&t->context, &joiner);
    __builtin_unreachable();
}

static __attribute__((noinline)) struct task *spawn(void (*fn)(void *), void *arg)
{
    struct task *t = free_tasks;

    free_tasks = t->next;
    t->fn = fn;
    t->arg = arg;
    t->done = false;
    t->next = 0;
    if (queue_tail)
        queue_tail->next = t;
    else
        queue_head = t;
    queue_tail = t;
    return t;
}

static __attribute__((noinline)) void join(struct task *t)
{
    while (!t->done) {
        struct task *next = queue_head;

        queue_head = next->next;
        if (!queue_head)
            queue_tail = 0;
        next->stack = free_stacks;
        free_stacks = next->stack->next;
        coro_make(&next->context, next->stack, entry);
        current = next;
        coro_switch(&joiner, &next->context);
    }
    t->next = free_tasks;
    free_tasks = t;
}

void floor_spawn(int argc, char **args)
{
    static struct task tasks[4];
    long ran = 0;
    char *memory = mmap(0, STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    (void)argc;
    (void)args;
    if (memory == MAP_FAILED)
        bench_die("mmap");
    /* The free-list link stands at the stack's top, so that one page serves all. */
    free_stacks = (struct stack *)(memory + STACK_BYTES - 64);
    free_stacks->next = 0;
    for (int i = 0; i < 4; i++) {
        tasks[i].next = free_tasks;
        free_tasks = &tasks[i];
    }
    double start = bench_cpu_now_ns();
    for (long i = 0; i < SPAWNS; i++)
        join(spawn(body, &ran));
    if (ran != SPAWNS)
        abort();
    bench_report_cpu(start, SPAWNS);
}

void floor_park(int argc, char **args)
{
    long count = bench_count_arg(argc, args, 100000);
    size_t bytes = (size_t)count * STACK_BYTES;
    struct bench_memory before = bench_memory_now();
    char *slab = mmap(0, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (slab == MAP_FAILED)
        bench_die("mmap");
    if (madvise(slab, bytes, MADV_NOHUGEPAGE) && errno != EINVAL)
        bench_die("madvise"); /* EINVAL: a kernel without huge pages */
    for (long i = 1; i <= count; i++)
        slab[(size_t)i * STACK_BYTES - 1] = 1;
    bench_report_memory(before, (double)count);
}

#endif
