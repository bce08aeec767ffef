/* SPDX-License-Identifier: MIT */
/*
 * The cancellation checklist of docs/rules.md: what concerns I/O, C6 to C14, each as
 * tests named after its line; and a cancel at every suspension point of a
 * scenario with all of it. The driver runs them on both pollers. Where a race is the
 * subject both orders are tried many times; where an order is, the kit's
 * wait-until-all-wait makes it, never a sleep.
 *
 * Run: limit=240
 */
#include "support/core_test.h"
#include "support/torture.h"

#include <sys/socket.h>

/* ---- C6: partial I/O reports its count ---- */

struct transfer {
    hk_fd fd;
    size_t size, done;
    int rc;
};

static int write_all(void *arg)
{
    struct transfer *t = arg;
    char *data = calloc(1, t->size);

    t->rc = hk_write_all(t->fd, data, t->size, &t->done);
    free(data);
    return 0;
}

static int read_exactly(void *arg)
{
    struct transfer *t = arg;
    char *data = malloc(t->size);

    t->rc = hk_read_exactly(t->fd, data, t->size, &t->done);
    free(data);
    return 0;
}

TASK_TEST(c06_a_cancelled_write_reports_what_it_wrote)
{
    struct transfer t = {.size = 4 << 20};
    hk_scope s = HK_SCOPE_INIT;
    size_t received = 0;
    char buf[8192];
    hk_fd fds[2];
    ssize_t n;

    CHECK_EQ(hk_socket_pair(fds), 0);
    t.fd = fds[0];
    hk_scope_open(&s);
    hk_spawn(&s, write_all, &t);
    for (int i = 0; i < 5; i++) {
        n = hk_read(fds[1], buf, sizeof(buf));
        CHECK(n > 0);
        received += (size_t)n;
    }
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(t.rc, -ECANCELED);
    CHECK_EQ(hk_shutdown(fds[0], SHUT_WR), 0);
    while ((n = hk_read(fds[1], buf, sizeof(buf))) > 0)
        received += (size_t)n;
    CHECK_EQ(t.done, received); /* to the byte */
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    return 0;
}

TASK_TEST(c06_a_cancelled_read_exactly_reports_what_it_read)
{
    struct transfer t = {.size = 100};
    hk_scope s = HK_SCOPE_INIT;
    hk_fd fds[2];

    CHECK_EQ(hk_socket_pair(fds), 0);
    t.fd = fds[0];
    hk_scope_open(&s);
    hk_spawn(&s, read_exactly, &t);
    CHECK_EQ(hk_write(fds[1], "12345", 5), 5);
    do
        CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    while (hk_test_wait_all_blocked() < 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(t.rc, -ECANCELED);
    CHECK_EQ(t.done, 5);
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    return 0;
}

/* ---- C7: the submission queue is full while cancelling ---- */

static int read_until_cancelled(void *arg)
{
    char byte;

    CHECK_EQ(hk_read(*(hk_fd *)arg, &byte, 1), -ECANCELED);
    return 0;
}

/* Far more operations at once than any ring has entries, and as many cancels. */
TASK_TEST(c07_more_cancels_at_once_than_the_submission_queue_has_room)
{
    enum { MANY = 3000 };
    static hk_fd fds[MANY][2];
    int many = scaled(MANY, 500);
    hk_scope s = HK_SCOPE_INIT;

    for (int i = 0; i < many; i++)
        CHECK_EQ(hk_socket_pair(fds[i]), 0);
    for (int round = 0; round < 3; round++) {
        hk_scope_open(&s);
        for (int i = 0; i < many; i++)
            hk_spawn(&s, read_until_cancelled, &fds[i][0]);
        if (round)
            CHECK_EQ(hk_test_wait_all_blocked(), 0);
        else
            CHECK_EQ(hk_yield(), 0); /* submitted, not yet given to the kernel */
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
    }
    for (int i = 0; i < many; i++) {
        CHECK_EQ(hk_close(fds[i][0]), 0);
        CHECK_EQ(hk_close(fds[i][1]), 0);
    }
    return 0;
}

/* ---- C8: reused user_data ---- */

/* An operation in the same storage right after a cancelled one: the late answer to the
 * old cancel must not hit it. */
TASK_TEST(c08_an_operation_in_reused_storage_is_not_hit_by_an_old_cancel)
{
    hk_fd fds[2];
    hk_op op;

    CHECK_EQ(hk_socket_pair(fds), 0);
    for (int i = 0; i < scaled(500, 100); i++) {
        hk_scope s = HK_SCOPE_INIT;
        char byte = 0;

        hk_scope_open(&s);
        hk_scope_deadline(&s, hk_now() + 1);
        hk_op_recv(&op, fds[0], &byte, 1, 0);
        CHECK_EQ(hk_op_run(&op), -ECANCELED);
        CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);

        CHECK_EQ(hk_write(fds[1], "y", 1), 1);
        hk_op_recv(&op, fds[0], &byte, 1, 0); /* the same address, another operation */
        CHECK_EQ(hk_op_run(&op), 1);
        CHECK_EQ(byte, 'y');
    }
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    return 0;
}

/* ---- C9: buffers after a cancel ---- */

/* After a cancelled read the buffer is the caller's: data that comes later must not
 * land in it. (Where a backend provides buffers they must come back: many rounds.) */
TASK_TEST(c09_the_buffer_is_the_callers_again_after_a_cancel)
{
    int rounds = scaled(2000, 300);
    char buf[64];
    hk_fd fds[2];

    CHECK_EQ(hk_socket_pair(fds), 0);
    for (int i = 0; i < rounds; i++) {
        hk_scope s = HK_SCOPE_INIT;

        memset(buf, 'o', sizeof(buf));
        hk_scope_open(&s);
        hk_scope_deadline(&s, hk_now() + 1);
        CHECK_EQ(hk_read(fds[0], buf, sizeof(buf)), -ECANCELED);
        CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
        CHECK_EQ(hk_write(fds[1], "late", 4), 4);
        CHECK_EQ(hk_yield(), 0);
        for (size_t k = 0; k < sizeof(buf); k++)
            CHECK_EQ(buf[k], 'o');
        CHECK_EQ(hk_read(fds[0], buf, sizeof(buf)), 4);
    }
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    return 0;
}

/* ---- C10: the result between completion and resume ---- */

static int read_two(void *arg)
{
    hk_fd *fd = arg;
    char byte = 0;
    int rc = (int)hk_read(*fd, &byte, 1);

    /* The completion beats the cancel, or the byte is still in the socket. */
    CHECK(rc == 1 || rc == -ECANCELED);
    if (rc < 0)
        CHECK_EQ(read(hk_fd_number(*fd), &byte, 1), 1);
    CHECK_EQ(byte, 'a');
    CHECK_EQ(hk_read(*fd, &byte, 1), -ECANCELED);
    return 0;
}

TASK_TEST(c10_a_result_is_not_overwritten_between_completion_and_resume)
{
    for (int i = 0; i < scaled(200, 50); i++) {
        hk_scope s = HK_SCOPE_INIT;
        hk_fd fds[2];

        CHECK_EQ(hk_socket_pair(fds), 0);
        hk_scope_open(&s);
        hk_spawn(&s, read_two, &fds[0]);
        CHECK_EQ(hk_test_wait_all_blocked(), 0);
        CHECK_EQ(write(hk_fd_number(fds[1]), "a", 1), 1); /* the kernel has completed */
        for (int k = 0; k < i % 3; k++)
            CHECK_EQ(hk_yield(), 0); /* and the loop has seen it, or not yet */
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK_EQ(hk_close(fds[0]), 0);
        CHECK_EQ(hk_close(fds[1]), 0);
    }
    return 0;
}

/* ---- C11: close against a read in flight; reuse of the number ---- */

struct closing {
    hk_fd fd;
    int rc;
};

static int read_one(void *arg)
{
    struct closing *c = arg;
    char byte;

    c->rc = (int)hk_read(c->fd, &byte, 1);
    return 0;
}

static int close_and_reuse(void *arg)
{
    (void)arg;
    for (int i = 0; i < scaled(500, 100); i++) {
        hk_scope s = HK_SCOPE_INIT;
        struct closing c = {.rc = 1};
        hk_fd old[2], fresh[2];
        char byte = 0;

        CHECK_EQ(hk_socket_pair(old), 0);
        c.fd = old[0];
        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        hk_spawn(&s, read_one, &c);
        for (int k = 0; k < i % 3; k++)
            CHECK_EQ(hk_yield(), 0);
        CHECK_EQ(hk_close(old[0]), 0);
        CHECK_EQ(hk_socket_pair(fresh), 0); /* the same numbers */
        CHECK_EQ(hk_write(fresh[1], "n", 1), 1);
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK_EQ(c.rc, -EBADF); /* never the new one's byte */
        CHECK_EQ(hk_read(fresh[0], &byte, 1), 1);
        CHECK_EQ(byte, 'n');
        CHECK_EQ(hk_close(old[1]), 0);
        CHECK_EQ(hk_close(fresh[0]), 0);
        CHECK_EQ(hk_close(fresh[1]), 0);
    }
    return 0;
}

static void c11_close_against_a_read_in_flight_and_reuse_of_the_number(void **state)
{
    (void)state;
    assert_int_equal(run_workers(1, close_and_reuse, NULL), 0);
    assert_int_equal(run_workers(2, close_and_reuse, NULL), 0);
}

/* ---- C12: double completion ---- */

static const hk_wait_kind test_kind = {.name = "test", .external = true};

static void count_wake(hk_waiter *w)
{
    __atomic_add_fetch((int *)w->data, 1, __ATOMIC_RELEASE);
}

TASK_TEST(c12_cancel_and_data_at_once_complete_once)
{
    hk_fd fds[2];

    CHECK_EQ(hk_socket_pair(fds), 0);
    for (int i = 0; i < scaled(300, 60); i++) {
        hk_waiter w;
        hk_op op;
        int wakes = 0;
        char byte;

        CHECK_EQ(hk_waiter_init_callback(&w, &test_kind, NULL, count_wake), 0);
        w.data = &wakes;
        hk_op_recv(&op, fds[0], &byte, 1, 0);
        CHECK_EQ(hk_op_start(&op, &w), 0);
        if (i % 2)
            CHECK_EQ(hk_yield(), 0);
        hk_op_cancel(&op);
        CHECK_EQ(hk_write(fds[1], "x", 1), 1);
        hk_op_cancel(&op);
        while (!peek(&wakes))
            CHECK_EQ(hk_sleep(1000), 0);
        CHECK_EQ(hk_sleep(1000), 0);
        CHECK_EQ(hk_test_wait_all_blocked(), 0);
        CHECK_EQ(peek(&wakes), 1);
        if (w.result == -ECANCELED)
            CHECK_EQ(hk_read(fds[0], &byte, 1), 1);
        else
            CHECK_EQ(w.result, 1);
    }
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    return 0;
}

/* ---- C13: no raw EINTR ---- */

static int interrupts; /* atomic: several threads may be interrupted at once */

static void on_signal(int signo)
{
    (void)signo;
    __atomic_add_fetch(&interrupts, 1, __ATOMIC_RELAXED);
}

struct shower {
    pthread_t target;
    int stop;
};

static void *shower_with_signals(void *arg)
{
    struct shower *s = arg;

    while (!peek(&s->stop)) {
        pthread_kill(s->target, SIGUSR1);
        usleep(200); /* the pace: without a pause the target would do nothing else */
    }
    return NULL;
}

static int io_among_signals(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_fd fds[2];
    char byte, path[] = "/tmp/hocket-c13-XXXXXX";
    int number = mkstemp(path);
    hk_fd file;

    (void)arg;
    CHECK(number >= 0);
    CHECK_EQ(hk_fd_adopt(number, HK_FD_FILE, &file), 0);
    CHECK_EQ(hk_socket_pair(fds), 0);
    for (int i = 0; i < 100; i++) {
        hk_scope_open(&s);
        hk_scope_deadline(&s, hk_now() + 300000);
        CHECK_EQ(hk_read(fds[0], &byte, 1), -ECANCELED);
        CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
        CHECK_EQ(hk_sleep(100000), 0);
        CHECK_EQ(hk_pwrite(file, "abc", 3, 0), 3);
        CHECK_EQ(hk_fsync(file, true), 0);
        CHECK_EQ(hk_pread(file, &byte, 1, 2), 1);
    }
    CHECK_EQ(hk_close(file), 0);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    return 0;
}

static void c13_no_raw_eintr_escapes(void **state)
{
    struct sigaction action = {.sa_handler = on_signal}, old; /* no SA_RESTART */
    struct shower s = {.target = pthread_self()};
    pthread_t thread;

    (void)state;
    poke(&interrupts, 0);
    sigaction(SIGUSR1, &action, &old);
    assert_int_equal(pthread_create(&thread, NULL, shower_with_signals, &s), 0);
    assert_int_equal(run_workers(1, io_among_signals, NULL), 0);
    assert_int_equal(io_among_signals(NULL), 0); /* and on a plain thread */
    poke(&s.stop, 1);
    pthread_join(thread, NULL);
    sigaction(SIGUSR1, &old, NULL);
    assert_true(peek(&interrupts) > 10);
}

/* ---- C14: ring teardown with operations in flight ---- */

static struct {
    hk_waiter waiters[50];
    hk_op ops[50];
    char bytes[50];
    hk_fd fds[50][2];
    int wakes;
} left;

static int leave_operations(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(hk_socket_pair(left.fds[i]), 0);
        CHECK_EQ(
            hk_waiter_init_callback(&left.waiters[i], &test_kind, NULL, count_wake), 0);
        left.waiters[i].data = &left.wakes;
        hk_op_recv(&left.ops[i], left.fds[i][0], &left.bytes[i], 1, 0);
        CHECK_EQ(hk_op_start(&left.ops[i], &left.waiters[i]), 0);
    }
    return 0;
}

static void c14_a_runtime_ends_with_operations_in_flight(void **state)
{
    hk_ledger ledger;

    (void)state;
    for (int round = 0; round < 10; round++) {
        assert_int_equal(hk_run(leave_operations, NULL, NULL), 0);
        hk_ledger_read(&ledger);
        assert_int_equal(ledger.ops, 0);
        for (int i = 0; i < 50; i++) { /* the kernel no longer has the buffers */
            assert_int_equal(hk_write(left.fds[i][1], "z", 1), 1);
            assert_int_equal(left.bytes[i], 0);
            assert_int_equal(hk_close(left.fds[i][0]), 0);
            assert_int_equal(hk_close(left.fds[i][1]), 0);
        }
    }
}

/* ---- torture: a cancel at every suspension point of a scenario with all of it ---- */

static int serve_one(void *arg)
{
    hk_fd *listener = arg, conn;
    char buf[16];
    ssize_t n;
    int rc = hk_accept(*listener, NULL, &conn);

    if (rc < 0)
        return rc;
    n = hk_read(conn, buf, sizeof(buf));
    if (n > 0)
        n = hk_write(conn, buf, (size_t)n);
    rc = hk_close(conn);
    return n < 0 ? (int)n : rc;
}

static int converse(const hk_addr *address)
{
    char buf[16];
    hk_fd conn;
    ssize_t n;
    int rc = hk_connect(address, &conn);

    if (rc < 0)
        return rc;
    n = hk_write(conn, "hello", 5);
    if (n == 5)
        n = hk_read(conn, buf, sizeof(buf));
    rc = hk_close(conn);
    return n < 0 ? (int)n : rc;
}

static int pass_items(void *arg)
{
    hk_chan *chan = arg;
    int rc = 0;

    for (int i = 0; i < 3 && rc == 0; i++)
        rc = hk_chan_send(chan, &i);
    return rc;
}

/* Sockets, a channel, a mutex, sleeps, a deadline: whatever is cancelled where, all
 * that was opened is closed. */
static int everything(void *arg)
{
    hk_mutex mutex = HK_MUTEX_INIT;
    hk_scope s = HK_SCOPE_INIT;
    hk_addr address;
    hk_chan *chan;
    hk_fd listener;
    int rc, item;

    (void)arg;
    CHECK_EQ(hk_addr_parse("127.0.0.1:0", &address), 0);
    CHECK_EQ(hk_listen(&address, NULL, &listener), 0);
    CHECK_EQ(hk_addr_local(listener, &address), 0);
    CHECK_EQ(hk_chan_new(sizeof(int), 0, &chan), 0);
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 10 * HK_SECOND);
    hk_spawn(&s, serve_one, &listener);
    hk_spawn(&s, pass_items, chan);
    rc = converse(&address);
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = hk_chan_recv(chan, &item);
    if (rc == 0 && (rc = hk_mutex_lock(&mutex)) == 0) {
        rc = hk_sleep(HK_MILLISECOND);
        hk_mutex_unlock(&mutex);
    }
    if (rc < 0)
        hk_scope_fail(&s, rc);
    rc = hk_scope_join(&s);
    CHECK_EQ(hk_close(listener), 0);
    hk_chan_free(chan);
    return rc == -EPIPE || rc == -ECONNRESET ? -ECANCELED : rc;
}

static void torture_cancel_at_every_suspension_point(void **state)
{
    hk_options options = {.virtual_clock = true};

    (void)state;
    cancel_at_every_point(everything, NULL, &options, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c06_a_cancelled_write_reports_what_it_wrote),
        cmocka_unit_test(c06_a_cancelled_read_exactly_reports_what_it_read),
        cmocka_unit_test(c07_more_cancels_at_once_than_the_submission_queue_has_room),
        cmocka_unit_test(
            c08_an_operation_in_reused_storage_is_not_hit_by_an_old_cancel),
        cmocka_unit_test(c09_the_buffer_is_the_callers_again_after_a_cancel),
        cmocka_unit_test(c10_a_result_is_not_overwritten_between_completion_and_resume),
        cmocka_unit_test(c11_close_against_a_read_in_flight_and_reuse_of_the_number),
        cmocka_unit_test(c12_cancel_and_data_at_once_complete_once),
        cmocka_unit_test(c13_no_raw_eintr_escapes),
        cmocka_unit_test(c14_a_runtime_ends_with_operations_in_flight),
        cmocka_unit_test(torture_cancel_at_every_suspension_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
