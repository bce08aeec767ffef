/* SPDX-License-Identifier: MIT */
/*
 * A text that is collected in memory and goes out when nobody stands still any more: to
 * a descriptor, whose reader may be one of our own tasks, or line by line to the log.
 */
#ifndef HKI_CORE_REPORT_H
#define HKI_CORE_REPORT_H

#include "sys/backtrace.h"

#include <hocket/base.h>

struct hki_report {
    char *text;
    size_t size, used;
    int fd;        /* when the room is used up it goes here early; -1: is cut off */
    int rc;        /* the first error of a write */
    char few[512]; /* the room when there is no memory */
};

/* Never fails. */
void hki_report_init(struct hki_report *report, int fd);
void hki_report_fini(struct hki_report *report);

/* Adds to it; a single addition may have up to 511 bytes. */
void hki_report_add(struct hki_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "1.5 s", "20 ms", "3 us" */
void hki_report_add_time(struct hki_report *report, int64_t duration_ns);

/* One line for each frame that is the program's: where hocket parks, and where it
 * begins a task, is left out. */
void hki_report_add_frames(struct hki_report *report, int indent,
                           const struct hki_frames *frames);

/* All of it to the descriptor: 0, or what write(2) said. */
int hki_report_write(struct hki_report *report);
/* Its lines to the log, the first thousand; then it is empty again. */
void hki_report_log(struct hki_report *report, hk_log_level level);

#endif
