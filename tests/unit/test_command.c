/* SPDX-License-Identifier: MIT */
/*
 * Shows that a child gets what it was promised (arguments, environment, directory,
 * three descriptors, mask and dispositions) and nothing else, and that no way out of a
 * start or a run leaves a zombie, a running process or a descriptor. How: real commands
 * of every system (sh, cat, sleep); after each scenario the test looks for children and
 * counts its open descriptors. Each scenario runs as a task and on a plain thread. The
 * standard streams are in test_command_streams.c; what comes after a start is in
 * test_process.c.
 *
 * Run: builds=plain asan tsan-logical tsan-full clang
 *
 * Not under qemu-user: there a child that cannot run its program does not tell, and one
 * that is started while other threads are busy may hang inside the emulator.
 */
#include "command_test.h"

/* ---- helpers ---- */

/* Runs a shell line; the caller frees out->out. */
static void run_shell(const char *line, hk_output *out)
{
    hk_command c = {.args = ARGS("sh", "-c", line)};

    CHECK_EQ(hk_command_run(&c, NULL, 0, 1 << 16, out), 0);
}

/* ---- what a child gets ---- */

static int arguments_environment_and_directory_arrive(void *arg)
{
    const char *const env[] = {"GREETING=good day", NULL};
    hk_command echo = {.args = ARGS("echo", "a b", "", "c")};
    hk_command named = {.args = ARGS("other", "-c", "echo $0"), .program = "sh"};
    hk_command with_env = {
        .args = ARGS("sh", "-c", "echo $GREETING; echo ${HOME-none}"),
        .env = env,
    };
    hk_command in_dir = {.args = ARGS("pwd"), .dir = "/usr"};
    hk_command relative = {.args = ARGS("./sh", "-c", "echo here"), .dir = "/bin"};

    (void)arg;
    check_output(&echo, "a b  c\n");
    check_output(&named, "other\n");
    check_output(&with_env, "good day\nnone\n");
    check_output(&in_dir, "/usr\n");
    check_output(&relative, "here\n");
    check_no_child();
    return 0;
}

/* The shell's pattern opens the directory itself, as the lowest free number. */
static int a_child_gets_three_descriptors_only(void *arg)
{
    hk_command c = {.args = ARGS("sh", "-c", "echo /proc/self/fd/*")};
    hk_fd pipe[2];
    int extra = dup2(STDERR_FILENO, 57); /* without close-on-exec */

    (void)arg;
    CHECK_EQ(extra, 57);
    CHECK_EQ(hk_pipe(pipe), 0);
    check_output(&c,
                 "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n");
    CHECK_EQ(hk_close(pipe[0]), 0);
    CHECK_EQ(hk_close(pipe[1]), 0);
    CHECK_EQ(close(extra), 0);
    return 0;
}

static unsigned long long status_word(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    CHECK(at);
    return strtoull(at + strlen(name), NULL, 16);
}

/* SIGPIPE, which hocket ignores, is a child's to die of. */
static int mask_and_dispositions_are_the_original_ones(void *arg)
{
    hk_command c = {.args = ARGS("cat", "/proc/self/status")};
    sigset_t mask, old;
    hk_output out;

    (void)arg;
    CHECK_EQ(hk_command_run(&c, NULL, 0, 1 << 16, &out), 0);
    CHECK_EQ(status_word(out.out, "SigIgn:") & 1ull << (SIGPIPE - 1), 0);
    CHECK_EQ(status_word(out.out, "SigBlk:"), 0);
    free(out.out);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &mask, &old), 0);
    CHECK_EQ(hk_command_run(&c, NULL, 0, 1 << 16, &out), 0);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
    CHECK_EQ(status_word(out.out, "SigBlk:"), 1ull << (SIGUSR2 - 1));
    free(out.out);
    return 0;
}

static int run_cat_status(void *arg)
{
    hk_command c = {.args = ARGS("cat", "/proc/self/status")};

    return hk_command_run(&c, NULL, 0, 1 << 16, arg);
}

static void a_program_that_ignores_sigpipe_has_children_that_do(void **state)
{
    hk_output out;

    (void)state;
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK_EQ(hk_run(run_cat_status, &out, NULL), 0);
    CHECK(signal(SIGPIPE, SIG_DFL) == SIG_IGN);
    CHECK(status_word(out.out, "SigIgn:") & 1ull << (SIGPIPE - 1));
    free(out.out);
}

static int the_end_is_told_as_waitpid_does(void *arg)
{
    hk_output out;

    (void)arg;
    run_shell("exit 7", &out);
    CHECK(WIFEXITED(out.status) && WEXITSTATUS(out.status) == 7);
    CHECK_EQ(out.out_len, 0);
    CHECK_EQ(out.out[0], '\0');
    free(out.out);
    run_shell("kill -9 $$", &out);
    CHECK(WIFSIGNALED(out.status) && WTERMSIG(out.status) == SIGKILL);
    free(out.out);
    run_shell("echo half; kill -PIPE $$; echo whole", &out);
    CHECK(WIFSIGNALED(out.status) && WTERMSIG(out.status) == SIGPIPE);
    CHECK_EQ(strcmp(out.out, "half\n"), 0);
    free(out.out);
    check_no_child();
    return 0;
}

/* ---- what cannot be started ---- */

static void check_no_start(const hk_command *c, int error)
{
    int before = open_descriptors();
    hk_process *p = NULL;

    CHECK_EQ(hk_command_start(c, &p), error);
    CHECK(!p);
    CHECK_EQ(open_descriptors(), before);
    check_no_child();
}

static int what_cannot_run_is_told_and_leaves_nothing(void *arg)
{
    const char *const none[] = {NULL};
    hk_command absent = {.args = ARGS("hocket-no-such-program")};
    hk_command no_path = {.args = ARGS("/no/such/program")};
    hk_command no_dir = {.args = ARGS("true"), .dir = "/no/such/directory"};
    hk_command not_dir = {.args = ARGS("true"), .dir = "/etc/passwd"};
    hk_command not_program = {.args = ARGS("/etc/passwd")};
    hk_command nothing = {.args = none};
    hk_command wrong = {.args = ARGS("true"), .out = HK_STDIO_STDOUT};
    hk_command closed = {.args = ARGS("true"), .in = HK_STDIO_HANDLE};
    hk_command piped;

    (void)arg;
    check_output(&(hk_command){.args = ARGS("true")}, ""); /* opens what stays open */
    check_no_start(&absent, -ENOENT);
    piped = absent;
    piped.in = piped.out = piped.err = HK_STDIO_PIPE;
    check_no_start(&piped, -ENOENT);
    check_no_start(&no_path, -ENOENT);
    check_no_start(&no_dir, -ENOENT);
    check_no_start(&not_dir, -ENOTDIR);
    check_no_start(&not_program, -EACCES);
    check_no_start(&nothing, -EINVAL);
    check_no_start(&wrong, -EINVAL);
    check_no_start(&closed, -EBADF);
    return 0;
}

static int an_argument_that_is_too_long_is_told(void *arg)
{
    char *text = malloc(BIG);
    hk_command c;

    (void)arg;
    CHECK(text);
    memset(text, 'x', BIG - 1);
    text[BIG - 1] = '\0';
    c = (hk_command){.args = ARGS("true", text), .out = HK_STDIO_PIPE};
    check_output(&(hk_command){.args = ARGS("true")}, "");
    check_no_start(&c, -E2BIG);
    free(text);
    return 0;
}

/* With any number of free descriptors, from none on, it starts or leaves nothing. */
static int a_start_without_descriptors_leaves_nothing(void *arg)
{
    hk_command c = {
        .args = ARGS("true"),
        .in = HK_STDIO_PIPE,
        .out = HK_STDIO_PIPE,
        .err = HK_STDIO_PIPE,
    };
    int spare[16], rc = -EMFILE;

    (void)arg;
    check_output(&(hk_command){.args = ARGS("true")}, "");
    for (int free_ones = 0; rc < 0; free_ones++) {
        hk_process *p;
        int before;
        rlim_t old;

        CHECK(free_ones < 16);
        for (int i = 0; i < free_ones; i++)
            spare[i] = dup(STDERR_FILENO);
        old = forbid_descriptors();
        for (int i = 0; i < free_ones; i++)
            CHECK_EQ(close(spare[i]), 0);
        before = open_descriptors();
        rc = hk_command_start(&c, &p);
        CHECK(rc == 0 || rc == -EMFILE);
        if (rc == 0)
            hk_process_free(p);
        CHECK_EQ(open_descriptors(), before);
        restore_descriptors(old);
        check_no_child();
    }
    return 0;
}

/* ---- many, cancelled anywhere, failing anywhere ---- */

static int run_one(void *arg)
{
    char number[16];
    hk_command c = {.args = ARGS("echo", number), .err = HK_STDIO_PIPE};
    hk_output out;
    int rc;

    snprintf(number, sizeof(number), "%d", *(const int *)arg);
    rc = hk_command_run(&c, "input", 5, 100, &out);
    if (rc < 0)
        return rc;
    CHECK_EQ(atoi(out.out), *(const int *)arg);
    free(out.out);
    free(out.err);
    return 0;
}

static int a_hundred_run_at_once(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int numbers[CROWD];

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, "crowd");
    for (int i = 0; i < CROWD; i++) {
        numbers[i] = i;
        CHECK_EQ(hk_spawn(&s, run_one, &numbers[i]), 0);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    check_no_child();
    return 0;
}

static void a_hundred_run_on_several_workers(void **state)
{
    hk_options options = {.workers = 3, .check_ledger = true};

    (void)state;
    assert_int_equal(hk_run(a_hundred_run_at_once, NULL, &options), 0);
}

static int start_and_forget(void *arg)
{
    hk_command c = {.args = ARGS("sleep", "1000"), .out = HK_STDIO_PIPE};
    hk_process *p;
    int rc = hk_command_start(&c, &p);

    *(int *)arg = rc;
    if (rc == 0)
        hk_process_free(p);
    return rc;
}

static int a_start_is_cancelled_anywhere(void *arg)
{
    (void)arg;
    for (int yields = 0; yields < 30; yields++) {
        hk_scope s = HK_SCOPE_INIT;
        int rc = 1;

        hk_scope_open(&s);
        CHECK_EQ(hk_spawn(&s, start_and_forget, &rc), 0);
        for (int i = 0; i < yields; i++)
            CHECK_EQ(hk_yield(), 0);
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK(rc == 0 || rc == -ECANCELED);
        if (yields == 0 && hk_worker_count() == 1)
            CHECK_EQ(rc, -ECANCELED); /* it had not begun */
        check_no_child();
    }
    return 0;
}

static int run_endless(void *arg)
{
    hk_command c = {.args = ARGS("cat", "-", "/dev/zero"), .err = HK_STDIO_PIPE};
    hk_output out;
    int rc = hk_command_run(&c, "x", 1, SIZE_MAX, &out);

    *(int *)arg = rc;
    return rc;
}

static int run_sleeping(void *arg)
{
    hk_command c = {.args = ARGS("sh", "-c", "exec sleep 1000 >&-")};
    hk_output out;
    int rc = hk_command_run(&c, NULL, 0, 100, &out);

    if (arg)
        *(int *)arg = rc;
    return rc;
}

static int a_cancelled_run_kills_and_reaps(void *arg)
{
    int rc = 0;

    (void)arg;
    CHECK_EQ(cancel_while_waiting(run_endless, &rc), 0);
    CHECK_EQ(rc, -ECANCELED);
    check_no_child();
    CHECK_EQ(cancel_while_waiting(run_sleeping, &rc), 0);
    CHECK_EQ(rc, -ECANCELED);
    check_no_child();
    run_to_the_deadline(run_sleeping, NULL);
    check_no_child();
    CHECK_EQ(run_cancelled(run_sleeping, NULL), -ECANCELED);
    check_no_child();
    return 0;
}

/* A child that is already there when its wait fails is killed by the run. */
static void fail_every(hk_fault kind, int error)
{
    int number = 1;

    for (uint64_t nth = 1;; nth++) {
        uint64_t calls;
        int rc;

        hk_fault_arm(kind, nth, error);
        rc = run_one(&number);
        calls = hk_fault_count(kind);
        hk_fault_arm(kind, 0, 0);
        CHECK(rc == 0 || rc == error);
        check_no_child();
        if (calls < nth)
            break;
    }
}

static int every_call_may_fail(void *arg)
{
    int number = 1;

    (void)arg;
    CHECK_EQ(run_one(&number), 0);
    fail_every(HK_FAULT_ALLOC, -ENOMEM);
    fail_every(HK_FAULT_IO, -EIO);
    CHECK_EQ(run_one(&number), 0);
    return 0;
}

static void a_run_survives_a_cancel_at_every_point(void **state)
{
    int number = 1, point = -1;

    (void)state;
    if (hk_cancel_torture(run_one, &number, NULL, &point) < 0)
        fail_msg("at point %d", point);
    check_no_child();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: later the background runtime has taken SIGPIPE for good. */
        cmocka_unit_test(a_program_that_ignores_sigpipe_has_children_that_do),
        IN_A_TASK(arguments_environment_and_directory_arrive),
        ON_A_THREAD(arguments_environment_and_directory_arrive),
        IN_A_TASK(a_child_gets_three_descriptors_only),
        ON_A_THREAD(a_child_gets_three_descriptors_only),
        IN_A_TASK(mask_and_dispositions_are_the_original_ones),
        ON_A_THREAD(mask_and_dispositions_are_the_original_ones),
        IN_A_TASK(the_end_is_told_as_waitpid_does),
        ON_A_THREAD(the_end_is_told_as_waitpid_does),
        IN_A_TASK(what_cannot_run_is_told_and_leaves_nothing),
        ON_A_THREAD(what_cannot_run_is_told_and_leaves_nothing),
        IN_A_TASK(an_argument_that_is_too_long_is_told),
        IN_A_TASK(a_start_without_descriptors_leaves_nothing),
        ON_A_THREAD(a_start_without_descriptors_leaves_nothing),
        IN_A_TASK(a_hundred_run_at_once),
        ON_A_THREAD(a_hundred_run_at_once),
        cmocka_unit_test(a_hundred_run_on_several_workers),
        IN_A_TASK(a_start_is_cancelled_anywhere),
        ON_A_THREAD(a_start_is_cancelled_anywhere),
        IN_A_TASK(a_cancelled_run_kills_and_reaps),
        ON_A_THREAD(a_cancelled_run_kills_and_reaps),
        IN_A_TASK(every_call_may_fail),
        ON_A_THREAD(every_call_may_fail),
        cmocka_unit_test(a_run_survives_a_cancel_at_every_point),
    };
    sigset_t none;

    /* What the test's own parent has left behind is not the subject. */
    sigemptyset(&none);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &none, NULL), 0);
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
