/* SPDX-License-Identifier: MIT */
/*
 * What every hocket header needs: version, time, errors, the log hook.
 *
 * Errors. Every call returns >= 0 on success and a negative errno value on
 * failure (-ECANCELED, -EBADF, ...); `errno` itself means nothing after an hk_ call.
 * Misuse (unlocking what is not held, joining the wrong scope) is not an error but
 * a bug: it panics, which prints one sentence and aborts.
 *
 * Time. All times are int64_t nanoseconds; points in time are on the monotonic clock
 * of hk_now(), so a change of the wall clock moves no deadline.
 */
#ifndef HOCKET_BASE_H
#define HOCKET_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
#define HK_BEGIN_DECLS extern "C" {
#define HK_END_DECLS }
#define HK_ZERO_INIT                                                                   \
    {                                                                                  \
    }
#else
#define HK_ZERO_INIT                                                                   \
    {                                                                                  \
        0                                                                              \
    }
#define HK_BEGIN_DECLS
#define HK_END_DECLS
#endif

#define HK_API __attribute__((visibility("default")))
#define HK_WARN_UNUSED __attribute__((warn_unused_result))

#define HK_VERSION_MAJOR 0
#define HK_VERSION_MINOR 1
#define HK_VERSION_PATCH 0

#define HK_MICROSECOND INT64_C(1000)
#define HK_MILLISECOND INT64_C(1000000)
#define HK_SECOND INT64_C(1000000000)
/* A deadline that never comes. */
#define HK_NEVER INT64_MAX

HK_BEGIN_DECLS

/* What a task runs. Returns >= 0 (success) or a negative errno value (failure). */
typedef int hk_task_fn(void *arg);

/*
 * The time now: nanoseconds on the monotonic clock, or on the virtual clock inside
 * an hk_run that was given one. Never blocks. Any task or thread.
 */
HK_API int64_t hk_now(void);

/* "0.1.0", of the library that runs, which may be newer than HK_VERSION_*. */
HK_API const char *hk_version(void);

/*
 * A short sentence for a negative errno value ("Connection refused", "cancelled").
 * Never NULL, needs no free. Any task or thread.
 */
HK_API const char *hk_error_text(int error);

/* ---- the log hook: the only way in which the library ever prints ---- */

typedef enum hk_log_level {
    HK_LOG_DEBUG,
    HK_LOG_INFO,
    HK_LOG_WARNING,
    HK_LOG_ERROR,
} hk_log_level;

/* Called with one line, without newline. May be called from any thread at once. */
typedef void hk_log_fn(hk_log_level level, const char *line, void *ctx);

/*
 * Sends the library's lines to `fn` (NULL: back to the default, which writes
 * warnings and errors to standard error, and everything when HOCKET_LOG=debug or
 * info is in the environment). Call it before hk_run. `ctx` is borrowed.
 */
HK_API void hk_log_to(hk_log_fn *fn, void *ctx);

HK_END_DECLS

#endif
