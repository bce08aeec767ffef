/* SPDX-License-Identifier: MIT */
/* For the tests of the checks: collects what they report, instead of printing it. */
#ifndef TESTS_UNIT_CHECK_TEST_H
#define TESTS_UNIT_CHECK_TEST_H

#include "support/core_test.h"

#include <hocket/check.h>

static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;
static char said_text[1 << 18]; /* guarded by said_lock */
static size_t said_size;

static inline void collect(hk_log_level level, const char *line, void *ctx)
{
    size_t len = strlen(line);

    (void)ctx;
    if (level < HK_LOG_WARNING)
        return;
    pthread_mutex_lock(&said_lock);
    if (said_size + len + 2 < sizeof(said_text)) {
        memcpy(said_text + said_size, line, len);
        said_text[said_size + len] = '\n';
        said_size += len + 1;
        said_text[said_size] = '\0';
    }
    pthread_mutex_unlock(&said_lock);
}

/* Switches the checks on, with nothing said so far. */
static inline void start_checks(const hk_check_options *options)
{
    hk_log_to(collect, NULL);
    pthread_mutex_lock(&said_lock);
    said_size = 0;
    said_text[0] = '\0';
    pthread_mutex_unlock(&said_lock);
    CHECK_EQ(hk_check(HK_CHECK_LOCKS, options), 0);
}

static inline void stop_checks(void)
{
    CHECK_EQ(hk_check(0, NULL), 0);
    hk_log_to(NULL, NULL);
}

/* How often it was said. */
static inline int times_said(const char *words)
{
    int times = 0;

    pthread_mutex_lock(&said_lock);
    for (const char *at = said_text; (at = strstr(at, words)); at++)
        times++;
    pthread_mutex_unlock(&said_lock);
    return times;
}

static inline void expect_said(const char *words, int times)
{
    if (times_said(words) == times)
        return;
    printf("# not said %d times: \"%s\" in:\n", times, words);
    pthread_mutex_lock(&said_lock);
    for (char *line = said_text, *end; (end = strchr(line, '\n')); line = end + 1)
        printf("# | %.*s\n", (int)(end - line), line);
    (void)fflush(stdout);
    _exit(1);
}

static inline bool silent(void)
{
    return times_said("\n") == 0;
}

/* Two at a time: each waits until the other has come, too. Plain threads and tasks. */
struct meeting {
    hk_event here[2];
};

static inline void meet_as(struct meeting *meeting, int side)
{
    hk_event_set(&meeting->here[side]);
    CHECK_EQ(hk_event_wait(&meeting->here[!side]), 0);
}

#endif
