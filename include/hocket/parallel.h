/* SPDX-License-Identifier: MIT */
/*
 * Parallel computation on the threads of hk_threads(): loops, reductions, scans, sorts,
 * and the fork-join underneath.
 *
 *     static int scale(int64_t begin, int64_t end, void *ctx)
 *     {
 *         struct image *image = (struct image *)ctx;
 *
 *         for (int64_t i = begin; i < end; i++)
 *             image->pixels[i] *= image->factor;
 *         return 0;
 *     }
 *
 *     rc = hk_parallel_for(0, image.count, 0, scale, &image);
 *
 * Who computes. A plain thread takes part itself, and so does a job of hk_threads(); a
 * task of hk_run parks, so that its worker goes on with other tasks, while the pool
 * computes. (In a job of a pool of one's own, that pool computes.) All calls share the
 * threads of one pool: loops inside of loops, and many callers at once, do not make
 * more threads compute than there are processors. Where no thread can be had the caller
 * does all of it: no call here fails for lack of threads.
 *
 * Bodies may do what tasks may: wait, lock, start jobs, run loops of their own. A body
 * on a thread of the pool that waits lends the thread to others meanwhile; one on a
 * plain thread blocks it. Bodies run in no order and at the same time, so what they
 * share needs a lock or an atomic.
 *
 * Errors and cancel. A body returns >= 0, or a negative errno value. The first error
 * (in time) ends the call: no further body is begun, those that run are cancelled as
 * the siblings in a scope are, and it is returned when the last has ended. A cancel or
 * deadline of the caller's scopes does the same with -ECANCELED. A call that had begun
 * all bodies by then returns what they made of it.
 */
#ifndef HOCKET_PARALLEL_H
#define HOCKET_PARALLEL_H

#include <hocket/base.h>

HK_BEGIN_DECLS

struct hki_work;

/* ---- loops ---- */

/* Deals with the elements from `begin` up to and without `end`, at least one. Returns
 * >= 0 to go on, or the error that ends the loop. */
typedef int hk_range_fn(int64_t begin, int64_t end, void *ctx);

/*
 * Calls `body` for ranges that together are begin <= i < end, each i once.
 *
 * `grain` is the most elements of one call (with the guided schedule, the least): so
 * many that they take some microseconds, so few that there are many times more ranges
 * than threads. 0 lets the library choose, by the number of elements and threads alone,
 * which suits elements that cost about the same. (In a loop of more than 4 billion
 * ranges they are longer than `grain`.)
 *
 * Blocks:  until every body that was begun has returned.
 * Cancel:  partial: some ranges have been dealt with, and none is half done unless its
 *          body gave up; which ones is for the bodies to note.
 * Returns: 0; the first error of a body; -ECANCELED; -EINVAL (grain < 0). An empty
 *          loop (end <= begin) is 0, in a cancelled scope, too -ECANCELED.
 * Threads: any task or thread.
 */
HK_API HK_WARN_UNUSED int hk_parallel_for(int64_t begin, int64_t end, int64_t grain,
                                          hk_range_fn *body, void *ctx);

typedef enum hk_schedule {
    /* Each thread takes ranges of `grain` from a part of its own, and, when that is
     * used up, half of what another has left. */
    HK_SCHEDULE_DYNAMIC,
    /* As many equal parts as threads; each part is one thread's, from front to back, in
     * one call or by `grain`. The cheapest, for elements that all cost the same on
     * processors that have nothing else to do. */
    HK_SCHEDULE_STATIC,
    /* As dynamic, but the ranges are long in the beginning and shrink to `grain`: a
     * quarter of what the thread has left. Fewer calls. */
    HK_SCHEDULE_GUIDED,
} hk_schedule;

/* Valid when zeroed: every zero means the default. */
typedef struct hk_parallel_options {
    hk_schedule schedule;
    uint32_t threads_max; /* that take part at once; default: all of the pool */
    int64_t grain;        /* as of hk_parallel_for */
    const char *name;     /* for dumps; lives as long as the program */
    uint64_t reserved[4];
} hk_parallel_options;

/* The same with options; may be NULL. Also -EINVAL: no such schedule. */
HK_API HK_WARN_UNUSED int hk_parallel_for_with(int64_t begin, int64_t end,
                                               const hk_parallel_options *options,
                                               hk_range_fn *body, void *ctx);

/* ---- one result from all elements ---- */

/*
 * Adds the elements of the range to `*partial`, which holds the result of those before
 * them, or the neutral element. (That is less to do than it sounds, and fast when the
 * loop works on a local variable.)
 *
 *     static int sum(int64_t begin, int64_t end, void *partial, void *ctx)
 *     {
 *         const double *numbers = (const double *)ctx;
 *         double total = *(double *)partial;
 *
 *         for (int64_t i = begin; i < end; i++)
 *             total += numbers[i];
 *         *(double *)partial = total;
 *         return 0;
 *     }
 */
typedef int hk_reduce_fn(int64_t begin, int64_t end, void *partial, void *ctx);

/* `*into` becomes what `*into` and `*next` are together, where `next` is the result of
 * the elements that follow those of `into`. */
typedef void hk_combine_fn(void *into, const void *next, void *ctx);

/*
 * Reduces the elements to one result of `size` bytes, plain data that may be copied.
 * `*result` holds the neutral element (0 for a sum) and then the result:
 *
 *     double total = 0;
 *     rc = hk_parallel_reduce(0, n, 0, sum, hk_combine_sum, numbers, &total,
 *                             sizeof(total));
 *
 * Partial results are combined in the order of the elements, so `combine` need be
 * associative but not commutative. Which elements make one, and in which order they are
 * combined, depends on begin, end and grain alone: the result, with all its roundings,
 * is the same on every machine, for every number of threads, every time. There are at
 * most 256 of them, which live until the end: `grain` may keep them few when they are
 * large. Grain 0 is a 256th of the range.
 *
 * Blocks, Cancel, Threads: as hk_parallel_for; `*result` is untouched unless 0 is
 *          returned.
 * Returns: as hk_parallel_for; -ENOMEM.
 */
HK_API HK_WARN_UNUSED int hk_parallel_reduce(int64_t begin, int64_t end, int64_t grain,
                                             hk_reduce_fn *body, hk_combine_fn *combine,
                                             void *ctx, void *result, size_t size);

/* The sum of two doubles, of two int64_t. `ctx` is not used. */
HK_API void hk_combine_sum(void *into, const void *next, void *ctx);
HK_API void hk_combine_sum_int64(void *into, const void *next, void *ctx);

/* ---- a result for each element ---- */

/*
 * As hk_reduce_fn; when `is_final`, `*partial` holds the result of all elements before
 * `begin`, and the body also notes, for each element, what it has come to. It is called
 * twice for nearly every element: first not final.
 *
 *     for (int64_t i = begin; i < end; i++) {
 *         total += numbers[i];
 *         if (is_final)
 *             sums[i] = total;
 *     }
 */
typedef int hk_scan_fn(int64_t begin, int64_t end, void *partial, bool is_final,
                       void *ctx);

/*
 * A scan, also called prefix sum: all that is said of hk_parallel_reduce holds. On
 * -ECANCELED and errors some of the notes have been made.
 */
HK_API HK_WARN_UNUSED int hk_parallel_scan(int64_t begin, int64_t end, int64_t grain,
                                           hk_scan_fn *body, hk_combine_fn *combine,
                                           void *ctx, void *result, size_t size);

/* ---- sorting ---- */

/* Below 0: `*a` comes first; 0: they are equal; above 0: `*b` comes first. */
typedef int hk_compare_fn(const void *a, const void *b, void *ctx);

/*
 * Sorts `count` items of `size` bytes at `items`. Stable: equal items keep their order.
 * Needs as much memory again.
 *
 * Blocks:  as hk_parallel_for.
 * Cancel:  partial: the items are all there, in some order.
 * Returns: 0; -ECANCELED; -EINVAL (size is 0); -ENOMEM (nothing has happened).
 * Threads: any task or thread. `compare` must not change its mind, and it is not to
 *          wait or to fail.
 */
HK_API HK_WARN_UNUSED int hk_parallel_sort(void *items, size_t count, size_t size,
                                           hk_compare_fn *compare, void *ctx);

/* ---- fork and join ---- */

/*
 * A function that may run elsewhere, while the caller goes on: in the caller's storage,
 * from the fork to the join. 80 bytes. For work that splits itself (trees, searches,
 * divide and conquer):
 *
 *     static int64_t count(const struct node *node)
 *     {
 *         struct half left = {node->left}, right = {node->right};
 *         hk_forked forked;
 *
 *         hk_fork(&forked, count_half, &left);
 *         count_half(&right);
 *         rc = hk_join(&forked);
 *         ...
 *     }
 *
 * A fork costs a few nanoseconds, as the join, unless another thread has taken it, is
 * but a call of the function. It is taken only by a thread that has nothing to do.
 */
typedef struct hk_forked {
    void (*hki_run)(struct hki_work *work);
    void *hki_scope;
    const char *hki_name;
    bool hki_is_counted;
    uint8_t hki_flags;
    uint16_t hki_depth;
    int32_t hki_result;
    hk_task_fn *hki_fn;
    void *hki_arg;
    const void *hki_owner;
    uintptr_t hki_state; /* atomic; values in exec/fork.c */
    uint64_t hki_reserved[2];
} hk_forked;

/*
 * Lets `fn(arg)` run, somewhere, until the join. On a thread of the pool, inside of
 * hk_parallel_run and on a plain thread it stays at hand; a task of hk_run hands it
 * to the pool, which costs more: it rather moves there with hk_parallel_run.
 *
 * It belongs to the innermost scope around the fork, which must be open until the join.
 * Blocks: never. Threads: any task or thread.
 */
HK_API void hk_fork(hk_forked *forked, hk_task_fn *fn, void *arg);

/*
 * Waits until the function has returned. One that nobody has taken is called here and
 * now. The forks of a task or thread are joined in reverse order, on it, and before the
 * function that forked returns: anything else panics.
 *
 * Blocks:  until then. While it waits, the thread of a task runs other tasks; nothing
 *          else ever runs on top of the caller, so it may hold locks.
 * Cancel:  uninterruptible for what has begun, which sees the cancel itself. What has
 *          not begun never will.
 * Returns: what the function returned; -ECANCELED: it may also be that it was not
 *          called, as the caller is inside a cancelled scope.
 */
HK_API int hk_join(hk_forked *forked);

/* Joins all of an array that was forked from front to back. Returns 0, or the error of
 * the first, by its place, that has one. */
HK_API int hk_join_all(hk_forked *forked, size_t count);

/*
 * Runs `fn(arg)` where forks and loops are cheap: on a plain thread and in a job of the
 * pool it is a call; a task of hk_run waits while it runs on the pool.
 *
 * Blocks:  until it has returned.
 * Cancel:  uninterruptible once begun; `fn` sees the cancel of scopes around it.
 * Returns: what `fn` returned; -ECANCELED, it may be without having called it.
 * Threads: any task or thread.
 */
HK_API int hk_parallel_run(hk_task_fn *fn, void *arg);

/* Threads that may compute at once, at least 1: for programs that split work by it. */
HK_API uint32_t hk_parallel_threads(void);

HK_END_DECLS

#endif
