/* SPDX-License-Identifier: MIT */
#include "core/runtime.h"
#include "sys/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static hk_log_level threshold(void)
{
    const char *level = hki_os_environment("HOCKET_LOG");

    if (level && strcmp(level, "debug") == 0)
        return HK_LOG_DEBUG;
    return level && strcmp(level, "info") == 0 ? HK_LOG_INFO : HK_LOG_WARNING;
}

static void log_to_stderr(hk_log_level level, const char *line, void *ctx)
{
    char text[1200];
    int len;

    (void)ctx;
    if (level < threshold())
        return;
    len = snprintf(text, sizeof(text), "hocket: %s\n", line);
    if (len > 0)
        (void)hki_os_write_all(
            2, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

static hk_log_fn *log_fn = log_to_stderr;
static void *log_ctx;

void hk_log_to(hk_log_fn *fn, void *ctx)
{
    log_ctx = ctx;
    log_fn = fn ? fn : log_to_stderr;
}

void hki_log(hk_log_level level, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    log_fn(level, line, log_ctx);
}

const char *hk_version(void)
{
    return "0.1.0";
}

static const char *special_text(int error)
{
    switch (error) {
    case -ECANCELED: return "cancelled";
    case -ETIMEDOUT: return "timed out";
    case -EDEADLK: return "deadlock: nothing can ever wake this wait";
    default: return NULL;
    }
}

const char *hk_error_text(int error)
{
    const char *text = error >= 0 ? "no error" : special_text(error);

    return text ? text : hki_os_error_text(error);
}
