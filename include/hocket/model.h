/* SPDX-License-Identifier: MIT */
/*
 * The model explorer: runs a small program of a few threads in every order that needs
 * no more than a given number of preemptions. For lock-free code, whose bugs hide
 * between two instructions.
 *
 * The code in question, as it is, is compiled once more with its atomic operations
 * taken over by <hocket/model_atomics.h>:
 *
 *     cc -include hocket/model_atomics.h -c queue.c -o model_queue.o
 *
 * and called from the threads of a model:
 *
 *     static const hk_model model = {
 *         .name = "queue", .world = &world, .begin = fill, .end = is_all_there,
 *         .threads = {producer, producer, consumer},
 *     };
 *     int rc = hk_model_run(&model, NULL);
 *
 * The threads are coroutines of the caller. Before each atomic operation another one
 * may come in; where a thread waits or ends, any other goes on. All such choices are
 * made, one after the other, by running the program again and again: so `begin` must
 * make the world anew and nothing may depend on chance, time, or addresses. Two
 * preemptions find most bugs, and there are few enough ways to place them (Musuvathi
 * and Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded
 * Programs", PLDI 2007).
 *
 * Memory is sequentially consistent. With `delays`, so many stores of a run, at most,
 * stay in the buffer of their thread until it fences, waits or ends, so that others do
 * not see them yet: what an x86 processor does to all but sequentially consistent
 * stores. Orders that are too weak for other processors only are not found.
 */
#ifndef HOCKET_MODEL_H
#define HOCKET_MODEL_H

#include <hocket/base.h>

HK_BEGIN_DECLS

enum { HK_MODEL_THREADS_MAX = 6 };

/* Valid when zeroed, but for a thread. */
typedef struct hk_model {
    /* For messages, and for HOCKET_MODEL. Default "model". */
    const char *name;
    void *world;                /* the argument of the following */
    void (*begin)(void *world); /* makes the world anew, before each run; may be NULL */
    bool (*end)(void *world);   /* after each: is all as it must be? may be NULL */
    void (*threads[HK_MODEL_THREADS_MAX])(void *world); /* up to the first NULL */
    uint32_t preemptions;                               /* default 2 */
    uint32_t delays;                                    /* default 0 */
    uint64_t runs_max; /* gives up after so many; default: never */
    uint64_t reserved[4];
} hk_model;

typedef struct hk_model_result {
    uint64_t runs;
    uint64_t points;   /* atomic operations of the longest run */
    char choices[240]; /* of the run that failed, as HOCKET_MODEL takes them */
    uint64_t reserved[4];
} hk_model_result;

/*
 * Runs them all, or until one fails. A failure is logged (level error) with the choices
 * that lead to it: HOCKET_MODEL=name:choices replays that one run, and logs (level
 * info) each operation. `out` may be NULL; it is filled in any case.
 *
 * Blocks:  until all have run.
 * Returns: 0; -EPROTO (`end` said no, or hk_model_fail), -EDEADLK (all threads wait),
 *          -ELOOP (a run of 100,000 operations), -E2BIG (runs_max), -EILSEQ (the
 *          program did not run alike when run again), -EINVAL (no thread; or choices
 *          in HOCKET_MODEL that cannot be read), -ENOMEM.
 * Threads: a plain thread, one model at a time in a process.
 */
HK_API int hk_model_run(const hk_model *model, hk_model_result *out);

/* Inside a thread of a model; elsewhere they do nothing. */

/* The run has failed; `what` is logged. */
HK_API void hk_model_fail(const char *what);

/* Others come in if they can: for loops that wait for one of them. */
HK_API void hk_model_yield(void);

/* As the futex calls: sleeps while *word == expected, until woken; wakes up to `count`.
 * `may_time_out`: returns also when all others wait. */
HK_API void hk_model_wait(uint32_t *word, uint32_t expected, bool may_time_out);
HK_API void hk_model_wake(uint32_t *word, uint32_t count);

/* All stores of all threads become visible. */
HK_API void hk_model_fence_everywhere(void);

/* ---- what <hocket/model_atomics.h> calls; outside of models they just do it ---- */

typedef enum hk_model_op {
    HK_MODEL_EXCHANGE,
    HK_MODEL_ADD,
    HK_MODEL_SUB,
    HK_MODEL_AND,
    HK_MODEL_OR,
    HK_MODEL_XOR,
} hk_model_op;

HK_API uint64_t hk_model_load(const volatile void *address, size_t size);
HK_API void hk_model_store(volatile void *address, size_t size, uint64_t value,
                           int order);
/* The value before; `want_new`: after. */
HK_API uint64_t hk_model_update(volatile void *address, size_t size, hk_model_op op,
                                uint64_t operand, bool want_new);
HK_API bool hk_model_compare_exchange(volatile void *address, void *expected,
                                      size_t size, uint64_t desired);
HK_API void hk_model_fence(int order);

HK_END_DECLS

#endif
