/* SPDX-License-Identifier: MIT */
/*
 * Small programs as people write them (an echo server and its clients, a file copy, a
 * pipeline of two commands, a name that is resolved and dialled, a select over handles)
 * under torture: a cancel at every point where one of their tasks waits, an error there
 * in place of what is waited for, an error in every operation and every allocation.
 * Each run ends, with that error, with what the other side sees of it, or without any;
 * and leaves no descriptor, no child process and nothing in the ledger. A run that
 * hangs is ended by the driver.
 */
#include "folder_test.h"
#include "io_test.h"

#include <sys/wait.h>

/* ---- echo over TCP ---- */

enum { CLIENTS = 3, BYTES = 1000 };

struct service {
    hk_fd listener;
    hk_addr addr;
    hk_scope *scope;
};

static int echo(hk_fd conn)
{
    char buf[300];
    ssize_t n;
    int rc = 0;

    while (rc == 0 && (n = hk_read(conn, buf, sizeof(buf))) != 0)
        rc = n < 0 ? (int)n : hk_write_all(conn, buf, (size_t)n, NULL);
    return rc;
}

struct accepted {
    hk_fd conn;
};

static int serve_client(void *arg)
{
    struct accepted *a = arg;
    int rc = echo(a->conn);

    rc = first(rc, hk_close(a->conn));
    free(a);
    return rc;
}

static int accept_clients(void *arg)
{
    struct service *s = arg;
    int rc = 0;

    for (int i = 0; rc == 0 && i < CLIENTS; i++) {
        struct accepted *a = malloc(sizeof(*a));

        rc = hk_accept(s->listener, NULL, &a->conn);
        if (rc == 0) {
            rc = hk_spawn(s->scope, serve_client, a);
            if (rc == 0)
                continue;
            (void)hk_close(a->conn);
        }
        free(a);
    }
    return rc;
}

static int ask(hk_fd conn)
{
    char said[BYTES], heard[BYTES];
    int rc;

    memset(said, 'e', sizeof(said));
    rc = hk_write_all(conn, said, sizeof(said), NULL);
    if (rc == 0)
        rc = hk_shutdown(conn, SHUT_WR);
    if (rc == 0)
        rc = hk_read_exactly(conn, heard, sizeof(heard), NULL);
    if (rc == 0)
        CHECK(memcmp(said, heard, sizeof(said)) == 0);
    return rc;
}

/* A cancelled client fails no scope, but the server would wait for it. */
static int be_a_client(void *arg)
{
    struct service *s = arg;
    hk_fd conn;
    int rc = hk_connect(&s->addr, &conn);

    if (rc == 0) {
        rc = ask(conn);
        rc = first(rc, hk_close(conn));
    }
    if (rc < 0)
        hk_scope_cancel(s->scope);
    return rc;
}

static int echo_over_tcp(void)
{
    hk_scope scope = HK_SCOPE_INIT;
    struct service s = {.scope = &scope};
    int rc;

    CHECK_EQ(hk_addr_parse("127.0.0.1:0", &s.addr), 0);
    rc = hk_listen(&s.addr, NULL, &s.listener);
    if (rc < 0)
        return rc;
    CHECK_EQ(hk_addr_local(s.listener, &s.addr), 0);
    hk_scope_open(&scope);
    for (int i = 0; i < CLIENTS; i++)
        hk_spawn(&scope, be_a_client, &s);
    rc = accept_clients(&s);
    if (rc < 0)
        hk_scope_cancel(&scope);
    rc = first(rc, hk_scope_join(&scope));
    return first(rc, hk_close(s.listener));
}

/* ---- a file copy ---- */

static int copy(hk_fd from, hk_fd to)
{
    char buf[4096];
    ssize_t n;
    int rc = 0;

    for (int64_t at = 0; rc == 0; at += n) {
        n = hk_pread(from, buf, sizeof(buf), at);
        if (n <= 0)
            return (int)n;
        rc = (int)hk_pwrite(to, buf, (size_t)n, at);
        if (rc >= 0)
            rc = rc == n ? 0 : -ENOSPC;
    }
    return rc;
}

static int copy_to(hk_fd from, const char *path)
{
    hk_fd to;
    int rc = hk_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600, &to);

    if (rc < 0)
        return rc;
    rc = copy(from, to);
    if (rc == 0)
        rc = hk_fsync(to, false);
    rc = first(rc, hk_close(to));
    return first(rc, unlink(path)); /* whatever has happened */
}

static int file_copy(void)
{
    char from[600], to[600];
    hk_fd fd;
    int rc;

    snprintf(from, sizeof(from), "%s/from", folder);
    snprintf(to, sizeof(to), "%s/to", folder);
    rc = hk_open(from, O_RDONLY, 0, &fd);
    if (rc < 0)
        return rc;
    rc = copy_to(fd, to);
    return first(rc, hk_close(fd));
}

/* ---- a pipeline ---- */

static int feed(void *arg)
{
    hk_process *sort = arg;
    int rc = hk_write_all(hk_process_stdin(sort), "b\na\nc\n", 6, NULL);

    return first(rc, hk_process_close_stdin(sort));
}

static int read_sorted(void *arg)
{
    hk_process *last = arg;
    hk_stream *stream;
    char *line;
    int rc = hk_stream_new(hk_process_stdout(last), &stream), lines = 0;

    if (rc < 0)
        return rc;
    while ((rc = hk_stream_read_line(stream, 100, &line, NULL)) == 1)
        lines++;
    hk_stream_free(stream);
    return rc;
}

static int start(const char *const *args, hk_fd in, hk_process **out)
{
    hk_command command = {
        .args = args,
        .in = in.value ? HK_STDIO_HANDLE : HK_STDIO_PIPE,
        .in_fd = in,
        .out = HK_STDIO_PIPE,
    };

    return hk_command_start(&command, out);
}

static int run_both(hk_process *sort, hk_process *last)
{
    hk_scope scope = HK_SCOPE_INIT;
    int rc;

    hk_scope_open(&scope);
    hk_spawn(&scope, feed, sort);
    hk_spawn(&scope, read_sorted, last);
    rc = hk_process_wait(sort, NULL);
    if (rc == 0)
        rc = hk_process_wait(last, NULL);
    if (rc < 0)
        hk_scope_cancel(&scope);
    return first(rc, hk_scope_join(&scope));
}

static int pipeline(void)
{
    const char *sort_args[] = {"sort", NULL}, *cat_args[] = {"cat", NULL};
    hk_process *sort, *cat;
    int rc = start(sort_args, HK_FD_NONE, &sort);

    if (rc < 0)
        return rc;
    rc = start(cat_args, hk_process_stdout(sort), &cat);
    if (rc == 0) {
        rc = run_both(sort, cat);
        hk_process_free(cat);
    }
    hk_process_free(sort);
    return rc;
}

/* ---- resolved and dialled ---- */

struct dialled {
    hk_fd listener;
    hk_scope *scope;
};

static int accept_one(void *arg)
{
    struct dialled *d = arg;
    hk_fd conn;
    int rc = hk_accept(d->listener, NULL, &conn);

    if (rc == 0)
        return hk_close(conn);
    hk_scope_cancel(d->scope); /* or the other side would wait for ever */
    return rc;
}

static int resolve_and_dial(void)
{
    hk_scope scope = HK_SCOPE_INIT;
    struct dialled d = {.scope = &scope};
    hk_addr addr, found[4];
    hk_fd conn;
    char byte;
    int rc;

    CHECK_EQ(hk_addr_parse("127.0.0.1:0", &addr), 0);
    rc = hk_listen(&addr, NULL, &d.listener);
    if (rc < 0)
        return rc;
    CHECK_EQ(hk_addr_local(d.listener, &addr), 0);
    hk_scope_open(&scope);
    hk_spawn(&scope, accept_one, &d);
    rc = hk_resolve("localhost", 80, found, 4);
    if (rc >= 0)
        rc = hk_dial("localhost", hk_addr_port(&addr), &conn);
    if (rc == 0) {
        rc = (int)hk_read(conn, &byte, 1);
        rc = first(rc, hk_close(conn));
    }
    if (rc < 0)
        hk_scope_cancel(&scope);
    rc = first(rc, hk_scope_join(&scope));
    return first(rc, hk_close(d.listener));
}

/* ---- a select over handles ---- */

static int answer(void *arg)
{
    hk_ready in;
    hk_case cases[] = {HK_CASE_READY(&in), HK_CASE_DEADLINE(hk_now() + HK_SECOND)};
    char byte;
    int rc;

    hk_ready_init(&in, *(hk_fd *)arg, POLLIN);
    rc = hk_select(cases, 2);
    if (rc == 0)
        rc = cases[0].result;
    if (rc > 0)
        rc = (int)hk_read(*(hk_fd *)arg, &byte, 1);
    return rc < 0 ? rc : (int)hk_write(*(hk_fd *)arg, "a", 1);
}

static int select_over_handles(void)
{
    hk_scope scope = HK_SCOPE_INIT;
    hk_fd p[2];
    char byte;
    int rc = hk_socket_pair(p);

    if (rc < 0)
        return rc;
    hk_scope_open(&scope);
    hk_spawn(&scope, answer, &p[1]);
    rc = hk_yield();
    if (rc == 0)
        rc = (int)hk_write(p[0], "q", 1);
    if (rc > 0) {
        hk_scope patience = HK_SCOPE_INIT; /* the other may have been cancelled */

        hk_scope_open(&patience);
        hk_scope_deadline(&patience, hk_now() + 20 * HK_MILLISECOND);
        rc = (int)hk_read(p[0], &byte, 1);
        rc = hk_scope_end(&patience, rc);
        rc = rc == -ETIMEDOUT ? 0 : rc;
    }
    if (rc < 0)
        hk_scope_cancel(&scope);
    rc = first(rc, hk_scope_join(&scope));
    CHECK_EQ(hk_close(p[0]), 0);
    CHECK_EQ(hk_close(p[1]), 0);
    return rc;
}

/* ---- the torture ---- */

struct scenario {
    const char *name;
    int (*run)(void);
};

static const struct scenario scenarios[] = {
    {"echo over TCP", echo_over_tcp},  {"a file copy", file_copy},
    {"a pipeline", pipeline},          {"resolve and dial", resolve_and_dial},
    {"a select", select_over_handles},
};

enum { SCENARIOS = sizeof(scenarios) / sizeof(*scenarios) };

static int run_checked(void *arg)
{
    const struct scenario *scenario = arg;
    int before = open_descriptors();
    int rc = scenario->run();

    CHECK_EQ(open_descriptors(), before);
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1); /* no child */
    return first(rc, 0);
}

/* What the other side of one that has given up sees, or whoever waits for its file. */
static bool is_echo(int rc)
{
    return rc == -EPIPE || rc == -ECONNRESET || rc == -EPROTO || rc == -ENODATA ||
           rc == -ECANCELED;
}

static int run_in_torture(void *arg)
{
    int rc = run_checked(arg);

    return is_echo(rc) ? 0 : rc;
}

static void a_cancel_at_every_wait(void **state)
{
    hk_options options = {.check_ledger = true};

    (void)state;
    for (int i = 0; i < SCENARIOS; i++) {
        int point = -1;
        int runs = hk_cancel_torture(run_in_torture, (void *)(uintptr_t)&scenarios[i],
                                     &options, &point);

        printf("# %s: %d runs\n", scenarios[i].name, runs);
        if (runs < 0)
            fail_msg("%s: %s at point %d", scenarios[i].name, hk_error_text(runs),
                     point);
    }
}

static void an_error_at_every_wait(void **state)
{
    hk_options options = {.check_ledger = true};

    (void)state;
    for (int i = 0; i < SCENARIOS; i++) {
        int point = -1;
        int runs = hk_error_torture(run_in_torture, (void *)(uintptr_t)&scenarios[i],
                                    &options, -EIO, &point);

        printf("# %s: %d runs\n", scenarios[i].name, runs);
        if (runs < 0)
            fail_msg("%s: %s at point %d", scenarios[i].name, hk_error_text(runs),
                     point);
    }
}

static void fail_each(const struct scenario *scenario, hk_fault kind, int error)
{
    hk_options options = {.check_ledger = true};
    uint64_t nth = 0, calls;
    int rc;

    do {
        hk_fault_arm(kind, ++nth, error);
        rc = hk_run(run_checked, (void *)(uintptr_t)scenario, &options);
        calls = hk_fault_count(kind);
        hk_fault_arm(kind, 0, 0);
        if (rc < 0 && rc != error && !is_echo(rc))
            fail_msg("%s: %s after call %d", scenario->name, hk_error_text(rc),
                     (int)nth);
        CHECK(nth < 1000);
    } while (calls >= nth);
    printf("# %s: %d calls\n", scenario->name, (int)nth - 1);
}

static void an_error_in_every_operation(void **state)
{
    (void)state;
    for (int i = 0; i < SCENARIOS; i++)
        fail_each(&scenarios[i], HK_FAULT_IO, -EIO);
}

static void an_error_in_every_allocation(void **state)
{
    (void)state;
    for (int i = 0; i < SCENARIOS; i++)
        fail_each(&scenarios[i], HK_FAULT_ALLOC, -ENOMEM);
}

static int make_folder_with_a_file(void **state)
{
    char path[600];
    FILE *file;

    if (make_folder(state) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/from", folder);
    file = fopen(path, "w");
    for (int i = 0; file && i < 1500; i++)
        fputs("some text", file);
    return file ? fclose(file) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancel_at_every_wait),
        cmocka_unit_test(an_error_at_every_wait),
        cmocka_unit_test(an_error_in_every_operation),
        cmocka_unit_test(an_error_in_every_allocation),
    };

    return cmocka_run_group_tests(tests, make_folder_with_a_file, remove_folder);
}
