/* SPDX-License-Identifier: MIT */
/*
 * Shows buffered streams over handles, in tasks: cancels and deadlines keep what came,
 * one task reads while one writes and a second one is busy, a failed allocation leaves
 * the stream as it was, and misuse panics (seen from outside, in a forked process).
 */
#include "stream_script.h"

#include <sys/wait.h>

/* ---- over sockets ---- */

static void stream_pair(hk_fd fds[2], hk_stream *streams[2])
{
    CHECK_EQ(hk_socket_pair(fds), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(hk_stream_new(fds[i], &streams[i]), 0);
}

static void close_pair(hk_fd fds[2], hk_stream *streams[2])
{
    for (int i = 0; i < 2; i++) {
        hk_stream_free(streams[i]);
        CHECK_EQ(hk_close(fds[i]), 0);
    }
}

static int lines_travel_to_and_fro(void *arg)
{
    hk_stream *streams[2];
    hk_fd fds[2];
    char *line;
    size_t len;

    (void)arg;
    stream_pair(fds, streams);
    CHECK_EQ(hk_stream_printf(streams[0], "hello %d\n", 1), 0);
    CHECK_EQ(hk_stream_printf(streams[0], "hello %d\r\nrest", 2), 0);
    CHECK_EQ(hk_stream_flush(streams[0]), 0);
    for (int i = 1; i <= 2; i++) {
        CHECK_EQ(hk_stream_read_line(streams[1], 100, &line, &len), 1);
        CHECK_EQ(len, 7);
        CHECK_EQ(line[6], '0' + i);
    }
    CHECK_EQ(hk_stream_write(streams[1], "back\n", 5, NULL), 0);
    CHECK_EQ(hk_stream_flush(streams[1]), 0);
    CHECK_EQ(hk_stream_read_line(streams[0], 100, &line, &len), 1);
    CHECK(strcmp(line, "back") == 0);
    CHECK_EQ(hk_shutdown(fds[0], SHUT_WR), 0);
    CHECK_EQ(hk_stream_read_line(streams[1], 100, &line, &len), 1);
    CHECK(strcmp(line, "rest") == 0);
    CHECK_EQ(hk_stream_read_line(streams[1], 100, &line, &len), 0);
    close_pair(fds, streams);
    return 0;
}

enum { BIG = 8 * 1024 * 1024 };

static int write_big(void *arg)
{
    hk_stream *stream = arg;
    unsigned char *buf = malloc(BIG);

    fill_pattern(buf, BIG);
    for (size_t at = 0, n = 1; at < BIG; at += n, n = 1 + n * 3 % 70000) {
        n = n < BIG - at ? n : BIG - at;
        CHECK_EQ(hk_stream_write(stream, buf + at, n, NULL), 0);
    }
    CHECK_EQ(hk_stream_flush(stream), 0);
    free(buf);
    return 0;
}

/* Both directions of both ends at once: a reading and a writing task for each
 * stream. */
static int eight_megabytes_pass_both_ways(void *arg)
{
    unsigned char *buf = malloc(BIG);
    hk_scope s = HK_SCOPE_INIT;
    hk_stream *streams[2];
    hk_fd fds[2];

    (void)arg;
    stream_pair(fds, streams);
    hk_scope_open(&s);
    hk_spawn(&s, write_big, streams[0]);
    hk_spawn(&s, write_big, streams[1]);
    for (int i = 0; i < 2; i++) {
        for (size_t at = 0, n = 1; at < BIG; at += n, n = 1 + n * 7 % 90000) {
            n = n < BIG - at ? n : BIG - at;
            CHECK_EQ(hk_stream_read_exactly(streams[i], buf + at, n), 0);
        }
        check_pattern(buf, BIG);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    close_pair(fds, streams);
    free(buf);
    return 0;
}

/* ---- cancel ---- */

static int expect_cancelled_reads(void *arg)
{
    hk_stream *stream = arg;
    char buf[100], *line;
    const char *data;

    CHECK_EQ(hk_stream_read_exactly(stream, buf, sizeof(buf)), -ECANCELED);
    CHECK_EQ(hk_stream_read(stream, buf, sizeof(buf)), -ECANCELED); /* even buffered */
    CHECK_EQ(hk_stream_read_until(stream, "x", 1, 100, &data), -ECANCELED);
    CHECK_EQ(hk_stream_read_line(stream, 100, &line, NULL), -ECANCELED);
    CHECK_EQ(hk_stream_write(stream, "x", 1, NULL), -ECANCELED);
    CHECK_EQ(hk_stream_printf(stream, "x"), -ECANCELED);
    CHECK_EQ(hk_stream_flush(stream), -ECANCELED);
    return 0;
}

static int a_cancelled_read_keeps_what_came(void *arg)
{
    hk_stream *streams[2];
    hk_fd fds[2];
    const char *data;

    (void)arg;
    stream_pair(fds, streams);
    CHECK_EQ(hk_write(fds[0], "abc", 3), 3);
    CHECK_EQ(cancel_while_waiting(expect_cancelled_reads, streams[1]), 0);
    CHECK_EQ(hk_write(fds[0], "def\n", 4), 4);
    CHECK_EQ(hk_stream_read_until(streams[1], "\n", 1, 100, &data), 7);
    CHECK(memcmp(data, "abcdef\n", 7) == 0);
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_stream_read_until(streams[1], "\n", 1, 100, &data), 0); /* no "x" */
    hk_stream_free(streams[0]);
    hk_stream_free(streams[1]);
    CHECK_EQ(hk_close(fds[1]), 0);
    return 0;
}

static int read_a_line(void *arg)
{
    char *line;

    return hk_stream_read_line(arg, 100, &line, NULL);
}

static int a_deadline_ends_a_read(void *arg)
{
    hk_stream *streams[2];
    hk_fd fds[2];
    char *line;

    (void)arg;
    stream_pair(fds, streams);
    CHECK_EQ(hk_write(fds[0], "half", 4), 4);
    run_to_the_deadline(read_a_line, streams[1]);
    CHECK_EQ(hk_write(fds[0], " whole\n", 7), 7);
    CHECK_EQ(hk_stream_read_line(streams[1], 100, &line, NULL), 1);
    CHECK(strcmp(line, "half whole") == 0);
    close_pair(fds, streams);
    return 0;
}

struct writing {
    hk_stream *stream;
    unsigned char *buf;
    size_t done;
};

static int write_too_much(void *arg)
{
    struct writing *w = arg;

    CHECK_EQ(hk_stream_write(w->stream, w->buf, BIG, &w->done), -ECANCELED);
    return 0;
}

static int write_the_rest(void *arg)
{
    struct writing *w = arg;
    size_t left = BIG - w->done;

    CHECK_EQ(hk_stream_write(w->stream, w->buf + w->done, left, NULL), 0);
    CHECK_EQ(hk_stream_flush(w->stream), 0);
    return 0;
}

static int a_cancelled_write_goes_on_where_it_stopped(void *arg)
{
    struct writing w = {.buf = malloc(BIG), .done = BIG};
    unsigned char *buf = malloc(BIG);
    hk_scope s = HK_SCOPE_INIT;
    hk_stream *streams[2];
    hk_fd fds[2];

    (void)arg;
    stream_pair(fds, streams);
    fill_pattern(w.buf, BIG);
    w.stream = streams[0];
    CHECK_EQ(cancel_while_waiting(write_too_much, &w), 0);
    CHECK(w.done < BIG);
    hk_scope_open(&s);
    hk_spawn(&s, write_the_rest, &w);
    CHECK_EQ(hk_stream_read_exactly(streams[1], buf, BIG), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    check_pattern(buf, BIG);
    close_pair(fds, streams);
    free(w.buf);
    free(buf);
    return 0;
}

/* ---- tasks ---- */

static int expect_one_line(void *arg)
{
    CHECK_EQ(read_a_line(arg), 1);
    return 0;
}

static int a_second_reader_or_writer_is_busy(void *arg)
{
    struct writing w = {.buf = calloc(1, BIG)};
    hk_scope outer = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;
    hk_stream *streams[2];
    hk_fd fds[2];
    char buf[4], *line;
    const char *data;
    size_t done = 99;

    (void)arg;
    stream_pair(fds, streams);
    w.stream = streams[0];
    hk_scope_open(&outer);
    hk_spawn(&outer, expect_one_line, streams[0]);
    hk_scope_open(&inner);
    hk_spawn(&inner, write_too_much, &w);
    let_others_wait();
    CHECK_EQ(hk_stream_read(streams[0], buf, 4), -EBUSY);
    CHECK_EQ(hk_stream_read_exactly(streams[0], buf, 4), -EBUSY);
    CHECK_EQ(hk_stream_read_until(streams[0], "x", 1, 9, &data), -EBUSY);
    CHECK_EQ(hk_stream_read_line(streams[0], 9, &line, NULL), -EBUSY);
    CHECK_EQ(hk_stream_write(streams[0], "x", 1, &done), -EBUSY);
    CHECK_EQ(done, 0);
    CHECK_EQ(hk_stream_printf(streams[0], "x"), -EBUSY);
    CHECK_EQ(hk_stream_flush(streams[0]), -EBUSY);
    hk_scope_cancel(&inner);
    CHECK_EQ(hk_scope_join(&inner), 0);
    CHECK_EQ(hk_write(fds[1], "\n", 1), 1);
    CHECK_EQ(hk_scope_join(&outer), 0);
    CHECK_EQ(hk_stream_read_until(streams[1], "\0", 1, 1, &data), 1); /* free again */
    close_pair(fds, streams);
    free(w.buf);
    return 0;
}

static int say_that_we_ran(void *arg)
{
    bool *ran = arg;

    __atomic_store_n(ran, true, __ATOMIC_RELEASE); /* a yield orders nothing */
    return 0;
}

/* Calls that find all they need in the buffer still give way. */
static int buffered_calls_yield_by_budget(void *arg)
{
    char *text = calloc(1, ROOM);

    (void)arg;
    for (int how = 0; how < 2; how++) {
        struct script s = {.data = text, .len = ROOM, .piece = SIZE_MAX};
        hk_stream *stream = over(&s);
        hk_scope scope = HK_SCOPE_INIT;
        bool ran = false;
        char byte;

        CHECK_EQ(hk_stream_read(stream, &byte, 1), 1);
        hk_scope_open(&scope);
        hk_spawn(&scope, say_that_we_ran, &ran);
        for (int i = 0; i < 300; i++)
            if (how)
                CHECK_EQ(hk_stream_write(stream, "x", 1, NULL), 0);
            else
                CHECK_EQ(hk_stream_read(stream, &byte, 1), 1);
        CHECK(__atomic_load_n(&ran, __ATOMIC_ACQUIRE));
        CHECK_EQ(s.calls, 1);
        CHECK_EQ(hk_scope_join(&scope), 0);
        hk_stream_free(stream);
    }
    free(text);
    return 0;
}

/* ---- memory ---- */

static int every_allocation_may_fail(void *arg)
{
    enum { LEN = 3 * ROOM };
    char *text = malloc(LEN), *buf = malloc(LEN);
    int rc = -ENOMEM;

    (void)arg;
    memset(text, 'm', LEN);
    text[LEN - 1] = '\n';
    for (uint64_t nth = 1; rc < 0; nth++) {
        struct script s = {.data = text, .len = LEN, .piece = 5000};
        hk_stream *stream = NULL;
        char *line;

        CHECK(nth < 100);
        s.sink = buf;
        s.sink_size = LEN;
        hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
        rc = hk_stream_new_io(&script_io, &s, &stream);
        if (rc == 0)
            rc = hk_stream_read_exactly(stream, buf, 2 * ROOM);
        if (rc == 0)
            rc = hk_stream_read_line(stream, LEN, &line, NULL);
        if (rc == 1)
            rc = hk_stream_write(stream, text, 10, NULL);
        if (rc == 0)
            rc = hk_stream_printf(stream, "%0*d", 2 * ROOM, 1);
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        CHECK(rc == 0 || rc == -ENOMEM);
        if (rc < 0 && stream) { /* it is as good as before */
            size_t left = LEN - s.at + hk_stream_peek(stream, (const char **)&line);

            if (left > 0)
                CHECK_EQ(hk_stream_read_exactly(stream, buf, left), 0);
            CHECK_EQ(hk_stream_write(stream, "x", 1, NULL), 0);
            CHECK_EQ(hk_stream_flush(stream), 0);
        }
        hk_stream_free(stream);
    }
    free(text);
    free(buf);
    return 0;
}

static int a_huge_buffer_is_given_back(void *arg)
{
    enum { LEN = 2 * 1024 * 1024 };
    char *text = malloc(LEN), *line;
    struct script s = {.data = text, .len = LEN, .piece = SIZE_MAX};
    hk_stream *stream = over(&s);
    hk_ledger before, huge, after;

    (void)arg;
    memset(text, 'h', LEN);
    memcpy(text + LEN - 3, "\nx\n", 3);
    hk_ledger_read(&before);
    CHECK_EQ(hk_stream_read_line(stream, LEN, &line, NULL), 1);
    hk_ledger_read(&huge);
    CHECK(huge.bytes >= before.bytes + LEN);
    CHECK_EQ(hk_stream_read_line(stream, LEN, &line, NULL), 1);
    CHECK(strcmp(line, "x") == 0);
    CHECK_EQ(hk_stream_read_line(stream, LEN, &line, NULL), 0);
    hk_ledger_read(&after);
    CHECK(after.bytes < before.bytes + 3 * ROOM);
    hk_stream_free(stream);
    free(text);
    return 0;
}
/* ---- misuse ---- */

static hk_stream *reentered;

static ssize_t free_inside(void *ctx, void *buf, size_t len)
{
    (void)ctx, (void)buf, (void)len;
    hk_stream_free(reentered);
    return 0;
}

static ssize_t claim_too_much(void *ctx, void *buf, size_t len)
{
    (void)ctx, (void)buf;
    return (ssize_t)len + 1;
}

/* What a process says that reads over this function; it must abort. */
static void expect_panic(ssize_t (*read_fn)(void *, void *, size_t), const char *want)
{
    char said[512] = "";
    size_t len = 0;
    ssize_t n;
    int status, fds[2];
    pid_t pid;

    CHECK_EQ(pipe(fds), 0);
    fflush(stdout);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        hk_stream_io io = {read_fn, NULL};
        struct rlimit no_core = {0, 0};
        char buf[4];

        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)dup2(fds[1], STDERR_FILENO);
        if (hk_stream_new_io(&io, NULL, &reentered) == 0)
            (void)!hk_stream_read(reentered, buf, sizeof(buf));
        _exit(0);
    }
    CHECK_EQ(close(fds[1]), 0);
    while (len < sizeof(said) - 1 &&
           (n = read(fds[0], said + len, sizeof(said) - 1 - len)) > 0)
        len += (size_t)n;
    CHECK_EQ(close(fds[0]), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, want));
}

static void misuse_panics_with_a_sentence(void **state)
{
    (void)state;
    expect_panic(free_inside, "hk_stream_free: a task is still reading");
    expect_panic(claim_too_much, "bytes were moved of at most");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_panics_with_a_sentence), /* forks: first */
        IN_A_TASK(lines_travel_to_and_fro),
        ON_A_THREAD(lines_travel_to_and_fro),
        IN_A_TASK(eight_megabytes_pass_both_ways),
        ON_A_THREAD(eight_megabytes_pass_both_ways),
        IN_A_TASK(a_cancelled_read_keeps_what_came),
        ON_A_THREAD(a_cancelled_read_keeps_what_came),
        IN_A_TASK(a_deadline_ends_a_read),
        ON_A_THREAD(a_deadline_ends_a_read),
        IN_A_TASK(a_cancelled_write_goes_on_where_it_stopped),
        ON_A_THREAD(a_cancelled_write_goes_on_where_it_stopped),
        IN_A_TASK(a_second_reader_or_writer_is_busy),
        IN_A_TASK(buffered_calls_yield_by_budget),
        IN_A_TASK(every_allocation_may_fail),
        IN_A_TASK(a_huge_buffer_is_given_back),
        ON_A_THREAD(a_huge_buffer_is_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
