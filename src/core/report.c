/* SPDX-License-Identifier: MIT */
#include "core/report.h"

#include "core/runtime.h"
#include "sys/os.h"
#include "sys/symbols.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    SHOWN_MAX = 12,   /* frames of a stack */
    LINES_MAX = 1000, /* given to the log */
};

/* Address space, of which only what is written costs memory. */
#define ROOM_MAX ((size_t)1 << 30)
#define ROOM_MIN ((size_t)1 << 16)

void hki_report_init(struct hki_report *report, int fd)
{
    report->text = NULL;
    for (report->size = ROOM_MAX; report->size >= ROOM_MIN && !report->text;)
        if (!(report->text = hki_os_reserve(report->size)))
            report->size /= 16; /* a limit on address space, perhaps */
    if (!report->text) {
        report->text = report->few;
        report->size = sizeof(report->few);
    }
    report->used = 0;
    report->fd = fd;
    report->rc = 0;
}

void hki_report_fini(struct hki_report *report)
{
    if (report->text != report->few)
        hki_os_release(report->text, report->size);
}

static void flush(struct hki_report *report)
{
    if (report->fd >= 0 && report->rc == 0)
        report->rc = hki_os_write_all(report->fd, report->text, report->used);
    if (report->fd >= 0)
        report->used = 0;
}

void hki_report_add(struct hki_report *report, const char *format, ...)
{
    va_list args;

    for (int tries = 0; tries < 2; tries++) {
        size_t room = report->size - report->used;
        int len;

        va_start(args, format);
        len = vsnprintf(report->text + report->used, room, format, args);
        va_end(args);
        if (len >= 0 && (size_t)len < room) {
            report->used += (size_t)len;
            return;
        }
        flush(report);
    }
}

void hki_report_add_time(struct hki_report *report, int64_t duration_ns)
{
    long long ns = duration_ns > 0 ? duration_ns : 0;

    if (ns < HK_MILLISECOND)
        hki_report_add(report, "%lld us", ns / HK_MICROSECOND);
    else if (ns < HK_SECOND)
        hki_report_add(report, "%lld ms", ns / HK_MILLISECOND);
    else
        hki_report_add(report, "%lld.%lld s", ns / HK_SECOND,
                       ns % HK_SECOND / (HK_SECOND / 10));
}

/* ---- frames ---- */

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* What the checks do inside a lock or a park. */
static bool is_of_checks(const char *name)
{
    return strcmp(name, "park_registered") == 0 || strcmp(name, "park_holding") == 0 ||
           strcmp(name, "complain") == 0 || strcmp(name, "meet") == 0;
}

/* The way into a park: innermost frames of every stack that waits. */
static bool is_park(const char *name)
{
    return begins_with(name, "hki_switch") || begins_with(name, "hki_context_") ||
           begins_with(name, "hk_park") || begins_with(name, "hki_wait_park") ||
           begins_with(name, "hki_check_") || is_of_checks(name);
}

/* Below is nothing but how hocket calls a task. */
static bool is_begin(const char *name)
{
    return strcmp(name, "task_main") == 0 || strcmp(name, "hki_entry_thunk") == 0 ||
           strcmp(name, "hki_call_as_first") == 0 || strcmp(name, "run_child") == 0 ||
           strcmp(name, "hki_task_run_children") == 0;
}

void hki_report_add_frames(struct hki_report *report, int indent,
                           const struct hki_frames *frames)
{
    bool parking = !frames->first_is_exact;
    int shown = 0;

    for (int i = 0; i < frames->count && shown < SHOWN_MAX; i++) {
        struct hki_symbol symbol;
        char text[192];

        hki_symbol_find(frames->pc[i], i == 0 && frames->first_is_exact, true, &symbol);
        parking = parking && is_park(symbol.name);
        if (parking)
            continue;
        if (is_begin(symbol.name))
            return;
        (void)hki_symbol_text(&symbol, text, sizeof(text));
        hki_report_add(report, "%*s%s\n", indent, "", text);
        shown++;
    }
}

/* ---- out ---- */

int hki_report_write(struct hki_report *report)
{
    flush(report);
    return report->rc;
}

void hki_report_log(struct hki_report *report, hk_log_level level)
{
    const char *at = report->text, *end = report->text + report->used;

    for (int lines = 0; at < end; lines++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((newline ? newline : end) - at);

        if (lines == LINES_MAX) {
            hki_log(level, "(and more: hk_dump_tasks writes all of it)");
            break;
        }
        hki_log(level, "%.*s", (int)len, at);
        at += len + 1;
    }
    report->used = 0;
}
