/* SPDX-License-Identifier: MIT */
/*
 * Shows that a program on top of io/ survives a cancel at every point where it waits,
 * and an error in every operation that it starts: each time it ends with that error or
 * without any, and nothing stays open or allocated. The program is a conversation of
 * two tasks over TCP streams, with handles, datagrams, files and foreign descriptors.
 */
#include "folder_test.h"
#include "io_test.h"

#include "support/torture.h"

/* ---- streams over TCP ---- */

static int converse(hk_fd conn, const char *say)
{
    hk_stream *stream;
    char *line;
    int rc = hk_stream_new(conn, &stream);

    if (rc < 0)
        return rc;
    for (int i = 0; rc >= 0 && i < 2; i++) {
        rc = hk_stream_printf(stream, "%s %d\n", say, i);
        if (rc == 0)
            rc = hk_stream_flush(stream);
        if (rc == 0)
            rc = hk_stream_read_line(stream, 100, &line, NULL);
        if (rc == 0)
            rc = -EPIPE; /* the other side has given up */
        if (rc == 1 && strlen(line) != strlen(say) + 2)
            rc = -EBADMSG;
    }
    hk_stream_free(stream);
    return first(rc, 0);
}

struct talk {
    hk_scope scope;
    hk_addr addr;
};

/* Without it the server would wait for ever: a cancelled child fails no scope. */
static int client(void *arg)
{
    struct talk *talk = arg;
    hk_fd conn;
    int rc = hk_connect(&talk->addr, &conn);

    if (rc < 0) {
        hk_scope_cancel(&talk->scope);
        return rc;
    }
    rc = converse(conn, "ask");
    return first(rc, hk_close(conn));
}

static int serve_one(hk_fd listener)
{
    hk_fd conn;
    int rc = hk_accept(listener, NULL, &conn);

    if (rc < 0)
        return rc;
    rc = converse(conn, "say");
    return first(rc, hk_close(conn));
}

static int talk_over_tcp(void)
{
    struct talk talk = {.scope = HK_SCOPE_INIT};
    hk_fd listener;
    int rc, joined;

    CHECK_EQ(hk_addr_parse("127.0.0.1:0", &talk.addr), 0);
    rc = hk_listen(&talk.addr, NULL, &listener);
    if (rc < 0)
        return rc;
    CHECK_EQ(hk_addr_local(listener, &talk.addr), 0);
    hk_scope_open(&talk.scope);
    hk_spawn(&talk.scope, client, &talk);
    rc = serve_one(listener);
    if (rc < 0 && rc != -ECANCELED)
        hk_scope_fail(&talk.scope, rc);
    joined = hk_scope_join(&talk.scope);
    return first(joined, hk_close(listener));
}

/* ---- handles over a Unix socket, datagrams, a foreign descriptor ---- */

static int pass_handles(void)
{
    hk_fd p[2], got[4];
    size_t count = 4;
    char byte;
    int rc = hk_socket_pair(p);

    if (rc < 0)
        return rc;
    rc = (int)hk_send_fds(p[0], "x", 1, p, 2);
    if (rc > 0)
        rc = (int)hk_recv_fds(p[1], &byte, 1, got, &count);
    for (size_t i = 0; rc > 0 && i < count; i++)
        CHECK_EQ(hk_close(got[i]), 0);
    if (rc > 0)
        rc = hk_wait_fd(hk_fd_number(p[0]), POLLOUT);
    CHECK_EQ(hk_close(p[0]), 0);
    CHECK_EQ(hk_close(p[1]), 0);
    return rc;
}

static int send_datagram(void)
{
    hk_fd fd;
    hk_addr addr;
    char buf[4];
    int rc;

    CHECK_EQ(hk_addr_parse("127.0.0.1:0", &addr), 0);
    rc = hk_udp_open(&addr, &fd);
    if (rc < 0)
        return rc;
    CHECK_EQ(hk_addr_local(fd, &addr), 0);
    rc = (int)hk_send_to(fd, "abc", 3, &addr);
    if (rc > 0)
        rc = (int)hk_recv_from(fd, buf, sizeof(buf), &addr, NULL);
    CHECK_EQ(hk_close(fd), 0);
    return rc;
}

/* ---- files ---- */

static int write_file(const char *path)
{
    hk_fd f;
    hk_stat st;
    int rc = hk_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &f);

    if (rc < 0)
        return rc;
    rc = hk_write_all(f, "some text", 9, NULL);
    if (rc == 0)
        rc = hk_stat_fd(f, &st);
    if (rc == 0 && st.size_bytes != 9)
        rc = -EBADMSG;
    return first(rc, hk_close(f));
}

static int read_folder(const char *path)
{
    hk_dir_entry entry;
    hk_dir *dir;
    int rc = hk_dir_open(path, &dir);

    if (rc < 0)
        return rc;
    do
        rc = hk_dir_next(dir, &entry);
    while (rc > 0);
    hk_dir_close(dir);
    return rc;
}

static int use_files(void)
{
    char path[600], moved[600], *data;
    size_t len;
    int rc;

    snprintf(path, sizeof(path), "%s/file", folder);
    snprintf(moved, sizeof(moved), "%s/moved", folder);
    rc = write_file(path);
    if (rc == 0)
        rc = hk_rename(path, moved);
    if (rc == 0)
        rc = read_folder(folder);
    if (rc == 0)
        rc = hk_read_file(moved, 100, &data, &len);
    if (rc < 0)
        return rc;
    rc = len == 9 && memcmp(data, "some text", 9) == 0 ? 0 : -EBADMSG;
    free(data);
    return first(rc, hk_unlink(moved));
}

/* ---- all of it ---- */

static int program(void *arg)
{
    int before = open_descriptors(), rc;

    (void)arg;
    rc = talk_over_tcp();
    CHECK_EQ(open_descriptors(), before);
    if (rc >= 0)
        rc = pass_handles();
    CHECK_EQ(open_descriptors(), before);
    if (rc >= 0)
        rc = send_datagram();
    CHECK_EQ(open_descriptors(), before);
    if (rc >= 0)
        rc = use_files();
    CHECK_EQ(open_descriptors(), before);
    return first(rc, 0);
}

/* When one of the two is cancelled, the other one sees the end. */
static int program_where_one_may_give_up(void *arg)
{
    int rc = program(arg);

    return rc == -EPIPE || rc == -ECONNRESET ? 0 : rc;
}

static void a_cancel_at_every_wait(void **state)
{
    hk_options options = {.check_ledger = true};

    (void)state;
    cancel_at_every_point(program_where_one_may_give_up, NULL, &options, 8);
}

static void an_error_in_every(hk_fault kind, int error)
{
    hk_options options = {.check_ledger = true};
    uint64_t nth = 0;
    int rc;

    do {
        CHECK(++nth < 1000);
        hk_fault_arm(kind, nth, error);
        rc = hk_run(program, NULL, &options);
        hk_fault_arm(kind, 0, 0);
        /* The other side of the conversation sees the end of it. */
        CHECK(rc == 0 || rc == error || rc == -EPIPE || rc == -ECONNRESET);
    } while (rc < 0);
    printf("# %d calls\n", (int)nth - 1);
    assert_true(nth > 15);
}

static void an_error_in_every_operation(void **state)
{
    (void)state;
    an_error_in_every(HK_FAULT_IO, -EIO);
}

static void an_error_in_every_allocation(void **state)
{
    (void)state;
    an_error_in_every(HK_FAULT_ALLOC, -ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancel_at_every_wait),
        cmocka_unit_test(an_error_in_every_operation),
        cmocka_unit_test(an_error_in_every_allocation),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
