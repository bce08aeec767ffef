/* SPDX-License-Identifier: MIT */
/*
 * Shows what the standard streams of a child can be, and that what goes through them
 * arrives to the last byte, also when it is much, and in both directions at once. By
 * real commands, each scenario as a task and on a plain thread: as test_command.c.
 *
 * Run: builds=plain asan tsan-logical tsan-full clang
 *
 * Not under qemu-user, for the reasons of test_command.c.
 */
#include "command_test.h"

/* ---- standard streams ---- */

static int pipes_go_both_ways(void *arg)
{
    hk_command c = {.args = ARGS("cat"), .in = HK_STDIO_PIPE, .out = HK_STDIO_PIPE};
    hk_process *p;
    char text[8];
    int status = -1;

    (void)arg;
    CHECK_EQ(hk_command_start(&c, &p), 0);
    CHECK_EQ(hk_process_stderr(p).value, 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(hk_write_all(hk_process_stdin(p), "ping", 4, NULL), 0);
        CHECK_EQ(hk_read_exactly(hk_process_stdout(p), text, 4, NULL), 0);
        CHECK_EQ(memcmp(text, "ping", 4), 0);
    }
    CHECK_EQ(hk_process_close_stdin(p), 0);
    CHECK_EQ(hk_process_close_stdin(p), -EBADF);
    CHECK_EQ(hk_read(hk_process_stdout(p), text, 1), 0);
    CHECK_EQ(hk_process_wait(p, &status), 0);
    CHECK_EQ(status, 0);
    hk_process_free(p);
    check_no_child();
    return 0;
}

static int errors_are_kept_apart_or_merged(void *arg)
{
    hk_command c = {
        .args = ARGS("sh", "-c", "echo good; echo bad >&2"),
        .err = HK_STDIO_PIPE,
    };
    hk_output out;

    (void)arg;
    CHECK_EQ(hk_command_run(&c, NULL, 0, 100, &out), 0);
    CHECK_EQ(strcmp(out.out, "good\n"), 0);
    CHECK_EQ(strcmp(out.err, "bad\n"), 0);
    CHECK_EQ(out.err_len, 4);
    free(out.out);
    free(out.err);
    c.err = HK_STDIO_STDOUT;
    check_output(&c, "good\nbad\n");
    c.err = HK_STDIO_NULL;
    check_output(&c, "good\n");
    return 0;
}

/* seq | sort | head, with our pipes between them: each end is lent for one start. */
static int handles_make_a_pipeline(void *arg)
{
    hk_command seq = {.args = ARGS("seq", "20000"), .out = HK_STDIO_HANDLE};
    hk_command sort = {
        .args = ARGS("sort", "-rn"),
        .in = HK_STDIO_HANDLE,
        .out = HK_STDIO_HANDLE,
    };
    hk_command tail = {.args = ARGS("tail", "-1"), .in = HK_STDIO_HANDLE};
    hk_process *first, *second;
    hk_fd one[2], two[2];
    hk_output out;

    (void)arg;
    CHECK_EQ(hk_pipe(one), 0);
    CHECK_EQ(hk_pipe(two), 0);
    seq.out_fd = one[1];
    sort.in_fd = one[0];
    sort.out_fd = two[1];
    tail.in_fd = two[0];
    CHECK_EQ(hk_command_start(&seq, &first), 0);
    CHECK_EQ(hk_close(one[1]), 0);
    CHECK_EQ(hk_command_start(&sort, &second), 0);
    CHECK_EQ(hk_close(one[0]), 0);
    CHECK_EQ(hk_close(two[1]), 0);
    CHECK_EQ(hk_command_run(&tail, NULL, 0, 100, &out), 0);
    CHECK_EQ(hk_close(two[0]), 0);
    CHECK_EQ(strcmp(out.out, "1\n"), 0);
    free(out.out);
    CHECK_EQ(hk_process_wait(first, NULL), 0);
    CHECK_EQ(hk_process_wait(second, NULL), 0);
    hk_process_free(first);
    hk_process_free(second);
    check_no_child();
    return 0;
}

/* A pipe that hocket has read from, and so may have made non-blocking, blocks again. */
static int a_lent_end_blocks(void *arg)
{
    hk_command c = {.args = ARGS("cat"), .in = HK_STDIO_HANDLE, .out = HK_STDIO_PIPE};
    hk_fd pipe[2], pair[2];
    hk_process *p;
    char text[4];

    (void)arg;
    CHECK_EQ(hk_pipe(pipe), 0);
    CHECK_EQ(hk_write(pipe[1], "a", 1), 1);
    CHECK_EQ(hk_read(pipe[0], text, 1), 1);
    CHECK_EQ(hk_socket_pair(pair), 0);
    CHECK_EQ(hk_write(pair[1], "a", 1), 1);
    CHECK_EQ(hk_read(pair[0], text, 1), 1);
    for (int i = 0; i < 2; i++) {
        hk_fd *ends = i == 0 ? pipe : pair;

        c.in_fd = ends[0];
        CHECK_EQ(hk_command_start(&c, &p), 0);
        CHECK_EQ(hk_close(ends[0]), 0);
        CHECK_EQ(hk_sleep(20 * HK_MILLISECOND), 0); /* cat reads, and finds nothing */
        CHECK_EQ(hk_write_all(ends[1], "late", 4, NULL), 0);
        CHECK_EQ(hk_close(ends[1]), 0);
        CHECK_EQ(hk_read_exactly(hk_process_stdout(p), text, 4, NULL), 0);
        CHECK_EQ(memcmp(text, "late", 4), 0);
        CHECK_EQ(hk_process_wait(p, NULL), 0);
        hk_process_free(p);
    }
    return 0;
}

static int eight_megabytes_go_through_and_back(void *arg)
{
    hk_command c = {.args = ARGS("cat"), .err = HK_STDIO_PIPE};
    unsigned char *input = malloc(BIG);
    hk_output out;

    (void)arg;
    CHECK(input);
    fill_pattern(input, BIG);
    CHECK_EQ(hk_command_run(&c, input, BIG, BIG, &out), 0);
    CHECK_EQ(out.status, 0);
    CHECK_EQ(out.out_len, BIG);
    check_pattern((unsigned char *)out.out, BIG);
    CHECK_EQ(out.err_len, 0);
    free(out.out);
    free(out.err);
    free(input);
    check_no_child();
    return 0;
}

static int input_that_is_not_read_is_dropped(void *arg)
{
    hk_command c = {.args = ARGS("sh", "-c", "exec <&-; echo done")};
    char *input = calloc(1, BIG);
    hk_output out;

    (void)arg;
    CHECK(input);
    CHECK_EQ(hk_command_run(&c, input, BIG, 100, &out), 0);
    CHECK_EQ(strcmp(out.out, "done\n"), 0);
    free(out.out);
    free(input);
    return 0;
}

static int output_has_a_limit(void *arg)
{
    hk_command endless = {.args = ARGS("yes")};
    hk_command ten = {.args = ARGS("printf", "0123456789")};
    hk_command errors = {.args = ARGS("sh", "-c", "yes >&2"), .err = HK_STDIO_PIPE};
    char *input = calloc(1, BIG);
    hk_output out = {.status = 77};

    (void)arg;
    CHECK_EQ(hk_command_run(&endless, NULL, 0, 100000, &out), -EFBIG);
    CHECK_EQ(hk_command_run(&endless, input, BIG, 100000, &out), -EFBIG);
    CHECK_EQ(hk_command_run(&errors, input, BIG, 100000, &out), -EFBIG);
    CHECK_EQ(hk_command_run(&ten, NULL, 0, 9, &out), -EFBIG);
    CHECK_EQ(hk_command_run(&ten, NULL, 0, 0, &out), -EFBIG);
    CHECK_EQ(out.status, 77);
    check_no_child();
    CHECK_EQ(hk_command_run(&ten, NULL, 0, 10, &out), 0);
    CHECK_EQ(out.out_len, 10);
    free(out.out);
    CHECK_EQ(hk_command_run(&ten, NULL, 0, SIZE_MAX, &out), 0);
    free(out.out);
    free(input);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(pipes_go_both_ways),
        ON_A_THREAD(pipes_go_both_ways),
        IN_A_TASK(errors_are_kept_apart_or_merged),
        ON_A_THREAD(errors_are_kept_apart_or_merged),
        IN_A_TASK(handles_make_a_pipeline),
        ON_A_THREAD(handles_make_a_pipeline),
        IN_A_TASK(a_lent_end_blocks),
        ON_A_THREAD(a_lent_end_blocks),
        IN_A_TASK(eight_megabytes_go_through_and_back),
        ON_A_THREAD(eight_megabytes_go_through_and_back),
        IN_A_TASK(input_that_is_not_read_is_dropped),
        ON_A_THREAD(input_that_is_not_read_is_dropped),
        IN_A_TASK(output_has_a_limit),
        ON_A_THREAD(output_has_a_limit),
    };
    sigset_t none;

    /* What the test's own parent has left behind is not the subject. */
    sigemptyset(&none);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &none, NULL), 0);
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
