/* SPDX-License-Identifier: MIT */
/*
 * The same function over many inputs, with a bound on how much is under way: neither
 * all inputs nor all results need be in memory.
 *
 *     static hk_future *next_title(void *ctx)      (a source: starts the next job)
 *     {
 *         struct urls *u = (struct urls *)ctx;
 *
 *         return u->next < u->count ? title_on(u->where, u->url[u->next++]) : NULL;
 *     }
 *
 *     hk_imap it;
 *     hk_future *f;
 *     size_t i;
 *     hk_imap_begin(&it, next_title, &urls, 32, HK_ORDERED);
 *     while (hk_imap_next(&it, &f, &i) > 0) {
 *         ... title_await(f, &title) ...           (is done: does not wait)
 *         hk_future_free(f);
 *     }
 *     hk_imap_end(&it);
 *
 * For an array of small inputs there is do_math_map(on, args, n, results, NULL), made
 * by HK_FN, which puts several into one job.
 */
#ifndef HOCKET_MAP_H
#define HOCKET_MAP_H

#include <hocket/executor.h>

HK_BEGIN_DECLS

/* Starts the next job, and returns its future, which it gives away; NULL: there are no
 * more. May wait, as starters do when the queue is full. */
typedef hk_future *hk_source_fn(void *ctx);

typedef enum hk_imap_order {
    HK_ORDERED,   /* futures come in the order of the source */
    HK_UNORDERED, /* in the order in which they are done */
} hk_imap_order;

/* In the caller's storage; fields are private. One task or thread uses it at a time. */
typedef struct hk_imap {
    struct hki_imap *hki_imap;
    uint64_t hki_reserved[3];
} hk_imap;

/*
 * Begins: at most `ahead` (1 to 1 million) jobs of the source are started and not yet
 * given out. `ctx` is borrowed until the end. Never blocks. Returns 0; -ENOMEM, which
 * hk_imap_next returns, too; -EINVAL (ahead).
 */
HK_API int hk_imap_begin(hk_imap *it, hk_source_fn *source, void *ctx, size_t ahead,
                         hk_imap_order order);

/*
 * Starts jobs up to the bound, and waits for the next one that is done.
 *
 * Cancel:  -ECANCELED; nothing is lost, it may be called again.
 * Returns: 1: *out is its future, the caller's now; *out_index (may be NULL) tells
 *          which of the source it was, from 0. 0: there are no more. -ECANCELED,
 *          -EDEADLK.
 */
HK_API int hk_imap_next(hk_imap *it, hk_future **out, size_t *out_index);

/* Ends it; jobs that were not given out are cancelled. Never blocks. */
HK_API void hk_imap_end(hk_imap *it);

/* ---- arrays ---- */

/* Told how far it is, on the task or thread that called; total 0: not known. */
typedef void hk_progress_fn(void *ctx, uint64_t done, uint64_t total);

/* Valid when zeroed: every zero means the default. */
typedef struct hk_map_options {
    size_t chunk; /* inputs in one job; default: a 256th of all */
    size_t ahead; /* jobs under way at once; default 16 */
    hk_progress_fn *progress;
    void *progress_ctx;
    uint64_t reserved[4];
} hk_map_options;

struct hk_fn;

/*
 * Calls `fn` for each of `count` structs of arguments at `args`, on `on`; results[i] is
 * that of args[i] (NULL: not wanted). The typed form is do_math_map. `options` may be
 * NULL. Results that are hk_bytes and hk_str are to be freed, as of the plain function;
 * zero them before, so that after an error it can be told which of them are there.
 *
 * Blocks:  until all are done, or one has failed.
 * Cancel:  -ECANCELED: some have happened, and their results are there.
 * Returns: 0; the first error of a job, or of a function that has called hk_job_fail,
 *          or whose hk_rc is one; then the jobs under way are cancelled and waited for;
 *          -EINVAL (ahead), -ENOMEM, -EDEADLK.
 */
HK_API int hk_fn_map(hk_executor *on, const struct hk_fn *fn, const void *args,
                     size_t count, void *results, const hk_map_options *options);

/* A line at standard error that says how far it is: pass hk_progress_show as
 * `progress`, and one of these, valid when zeroed, as `progress_ctx`. */
typedef struct hk_progress_line {
    const char *label; /* "pages"; may be NULL */
    int64_t hki_begun_ns, hki_shown_ns;
    uint64_t hki_reserved[2];
} hk_progress_line;

/* Shows the line, at most 10 times a second, and the last one in any case. */
HK_API void hk_progress_show(void *line, uint64_t done, uint64_t total);

HK_END_DECLS

#endif
