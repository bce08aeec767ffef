/* SPDX-License-Identifier: MIT */
/*
 * Shows that writing to a buffered stream neither loses nor doubles a byte, when any
 * call below is cancelled or takes only a part, and that any other error stays.
 */
#include "stream_script.h"

/* ---- writing ---- */

/* Writes in pieces of `step`, going on after each cancel where it says it stopped. */
static int write_and_flush(hk_stream *stream, const char *text, size_t len, size_t step)
{
    size_t at = 0;
    int rc, cancels = 0;

    while (at < len) {
        size_t n = step < len - at ? step : len - at, done = 99;

        rc = hk_stream_write(stream, text + at, n, &done);
        CHECK(done <= n && (rc == 0) == (done == n));
        CHECK(rc == 0 || rc == -ECANCELED);
        cancels += rc < 0;
        at += done;
    }
    while ((rc = hk_stream_flush(stream)) == -ECANCELED)
        cancels++;
    CHECK_EQ(rc, 0);
    return cancels;
}

static void cancel_each_write(size_t len, size_t step, size_t piece)
{
    char *text = make_text(len), *sink = malloc(len + 1);
    int cancels = 1;

    for (int fail_at = 1; cancels > 0; fail_at++) {
        struct script s = {.piece = piece, .sink = sink, .sink_size = len + 1};
        hk_stream *stream = over(&s);

        s.fail_at = fail_at;
        s.error = -ECANCELED;
        cancels = write_and_flush(stream, text, len, step);
        CHECK_EQ(s.sunk, len);
        CHECK(memcmp(sink, text, len) == 0);
        hk_stream_free(stream);
    }
    free(text);
    free(sink);
}

static int a_cancelled_write_loses_nothing(void *arg)
{
    const size_t lens[] = {1, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM, 5 * ROOM + 3};
    const size_t steps[] = {1000, ROOM - 1, ROOM, ROOM + 1, 5 * ROOM};

    (void)arg;
    for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++)
        for (size_t j = 0; j < sizeof(steps) / sizeof(*steps); j++) {
            cancel_each_write(lens[i], steps[j], SIZE_MAX);
            cancel_each_write(lens[i], steps[j], 777);
        }
    return 0;
}

static int a_failed_write_fails_for_ever(void *arg)
{
    char *text = make_text(2 * ROOM);

    (void)arg;
    for (int how = 0; how < 3; how++) {
        struct script s = {.piece = 100, .sink = malloc(ROOM), .sink_size = ROOM};
        hk_stream *stream = over(&s);
        size_t done;

        s.fail_at = 3;
        s.error = -EPIPE;
        if (how == 0) {
            CHECK_EQ(hk_stream_write(stream, text, 2 * ROOM, &done), -EPIPE);
        } else {
            CHECK_EQ(hk_stream_write(stream, text, 10000, &done), 0);
            CHECK_EQ(how == 1 ? hk_stream_flush(stream)
                              : hk_stream_printf(stream, "%010000d", 1),
                     -EPIPE);
        }
        done = 99;
        CHECK_EQ(hk_stream_write(stream, "x", 1, &done), -EPIPE);
        CHECK_EQ(done, 0);
        CHECK_EQ(hk_stream_flush(stream), -EPIPE);
        CHECK_EQ(hk_stream_printf(stream, "x"), -EPIPE);
        CHECK_EQ(s.calls, 3);
        free(s.sink);
        hk_stream_free(stream);
    }
    free(text);
    return 0;
}

static int small_writes_are_gathered_and_large_ones_pass(void *arg)
{
    enum { LEN = 10 * ROOM };
    char *text = make_text(LEN);
    struct script s = {.piece = SIZE_MAX, .sink = malloc(LEN), .sink_size = LEN};
    hk_stream *stream = over(&s);

    (void)arg;
    for (int i = 0; i < ROOM; i++)
        CHECK_EQ(hk_stream_write(stream, text + i, 1, NULL), 0);
    CHECK_EQ(s.calls, 0);
    CHECK_EQ(hk_stream_write(stream, text + ROOM, 1, NULL), 0);
    CHECK_EQ(s.calls, 1);
    CHECK_EQ(hk_stream_flush(stream), 0);
    CHECK_EQ(s.calls, 2);
    CHECK_EQ(hk_stream_flush(stream), 0);
    CHECK_EQ(s.calls, 2);
    CHECK_EQ(hk_stream_write(stream, text + ROOM + 1, 8 * ROOM, NULL), 0);
    CHECK_EQ(s.calls, 3);
    CHECK_EQ(s.asked, 8 * ROOM);
    CHECK_EQ(s.sunk, 9 * ROOM + 1);
    CHECK(memcmp(s.sink, text, s.sunk) == 0);
    free(s.sink);
    free(text);
    hk_stream_free(stream);
    return 0;
}

static int printf_takes_all_or_nothing(void *arg)
{
    enum { SINK = 16 * ROOM };
    const int lens[] = {0,        1,    10,       ROOM - 11, ROOM - 10,
                        ROOM - 9, ROOM, ROOM + 1, 99999};

    (void)arg;
    for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++)
        for (int fail_at = 0; fail_at < 3; fail_at++) {
            struct script s = {.piece = 6, .sink = malloc(SINK), .sink_size = SINK};
            hk_stream *stream = over(&s);
            char *want = malloc(SINK);
            int rc, tries = 0;

            s.fail_at = fail_at;
            s.error = -ECANCELED;
            CHECK_EQ(hk_stream_printf(stream, "%s", "0123456789"), 0);
            while ((rc = hk_stream_printf(stream, "%-*s", lens[i], "")) == -ECANCELED)
                tries++;
            CHECK_EQ(rc, 0);
            CHECK(tries <= 1);
            s.piece = SIZE_MAX;
            s.fail_at = 0;
            CHECK_EQ(hk_stream_printf(stream, "%d", 42), 0);
            CHECK_EQ(hk_stream_flush(stream), 0);
            CHECK_EQ(s.sunk, 10 + lens[i] + 2);
            snprintf(want, SINK, "0123456789%-*s42", lens[i], "");
            CHECK(memcmp(s.sink, want, s.sunk) == 0);
            hk_stream_free(stream);
            free(s.sink);
            free(want);
        }
    return 0;
}

static int odd_functions_are_survived(void *arg)
{
    static const hk_stream_io none = {NULL, NULL};
    struct script full = {.piece = SIZE_MAX}; /* takes nothing */
    hk_stream *stream = over(&full);
    char buf[4];

    (void)arg;
    CHECK_EQ(hk_stream_write(stream, "abcd", 4, NULL), 0);
    CHECK_EQ(hk_stream_flush(stream), -EIO);
    hk_stream_free(stream);
    CHECK_EQ(hk_stream_new_io(&none, NULL, &stream), 0);
    CHECK_EQ(hk_stream_read(stream, buf, 4), -EBADF);
    CHECK_EQ(hk_stream_read_exactly(stream, buf, 4), -EBADF);
    CHECK_EQ(hk_stream_write(stream, "abcd", 4, NULL), 0);
    CHECK_EQ(hk_stream_flush(stream), -EBADF);
    hk_stream_free(stream);
    hk_stream_free(NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(a_cancelled_write_loses_nothing),
        ON_A_THREAD(a_cancelled_write_loses_nothing),
        IN_A_TASK(a_failed_write_fails_for_ever),
        ON_A_THREAD(a_failed_write_fails_for_ever),
        IN_A_TASK(small_writes_are_gathered_and_large_ones_pass),
        ON_A_THREAD(small_writes_are_gathered_and_large_ones_pass),
        IN_A_TASK(printf_takes_all_or_nothing),
        ON_A_THREAD(printf_takes_all_or_nothing),
        IN_A_TASK(odd_functions_are_survived),
        ON_A_THREAD(odd_functions_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
