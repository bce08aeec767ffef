/* SPDX-License-Identifier: MIT */
/*
 * Shows that a cancelled request comes back exactly once, that bytes and connections
 * are never lost by it, and that memory and descriptor numbers may be used again at
 * once. The names C6 to C14 are those of the checklist in docs/design.
 */
#include "unit/poller_rig.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>

static void cancel_ends_every_kind_of_wait(void **state)
{
    RIG(state);
    static const uint8_t codes[] = {HKI_IO_READ, HKI_IO_RECV, HKI_IO_READV, HKI_IO_POLL,
                                    HKI_IO_ACCEPT};
    struct sockaddr_in addr;
    int listener = tcp_listener(&addr), fds[2];
    char buf[4];
    struct iovec iov = {buf, sizeof(buf)};

    tcp_pair(fds);
    for (size_t i = 0; i < 2 * sizeof(codes); i++) {
        uint8_t code = codes[i / 2];
        struct op op = op_buf(code, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));

        if (code == HKI_IO_ACCEPT)
            op = op_of(code, listener, HKI_FD_SOCKET);
        if (code == HKI_IO_POLL)
            op.req.flags = POLLIN;
        if (code == HKI_IO_READV) {
            op.req.iov = &iov;
            op.req.len = 1;
        }
        submit(rig, &op);
        if (i % 2) /* once before the kernel has seen it, once after */
            assert_waits(rig, &op);
        cancel(rig, &op);
        cancel(rig, &op); /* twice is the same as once */
        assert_int_equal(finish(rig, &op), -ECANCELED);
    }
    put(fds[1], "late");
    assert_int_equal(run_recv(rig, fds[0], buf, sizeof(buf)), 4);
    close_pair(fds);
    close_fd(listener);
}

static void cancel_ends_waits_on_nonblocking_descriptors(void **state)
{
    RIG(state);
    char buf[4];
    struct op op;
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    op = op_buf(HKI_IO_READ, fds[0], HKI_FD_NONBLOCK, buf, sizeof(buf));
    for (int i = 0; i < 100; i++) {
        submit(rig, &op);
        for (int j = 0; j < i % 4; j++)
            turn(rig, 0);
        cancel(rig, &op);
        assert_int_equal(finish(rig, &op), -ECANCELED);
    }
    put(fds[1], "x");
    assert_int_equal(run(rig, &op), 1);
    close_pair(fds);
}

static void cancel_after_completion_is_harmless(void **state)
{
    RIG(state);
    char buf[4];
    struct op op;
    int fds[2];

    unix_pair(fds);
    op = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
    for (int i = 0; i < 100; i++) {
        submit(rig, &op);
        turn(rig, 0);
        put(fds[1], "x"); /* ready, and the poller has not looked */
        cancel(rig, &op);
        if (finish(rig, &op) == -ECANCELED)
            assert_int_equal(run(rig, &op), 1);
        else
            assert_int_equal(op.req.result, 1);
    }
    close_pair(fds);
}

static void waitall_cancelled_returns_its_count_c6(void **state)
{
    RIG(state);
    char buf[8];
    struct op op;
    int fds[2];

    tcp_pair(fds);
    op = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
    op.req.flags = MSG_WAITALL;
    submit(rig, &op);
    put(fds[1], "abc");
    assert_waits(rig, &op);
    cancel(rig, &op);
    assert_int_equal(finish(rig, &op), 3);
    submit(rig, &op);
    assert_waits(rig, &op);
    cancel(rig, &op);
    assert_int_equal(finish(rig, &op), -ECANCELED);
    close_pair(fds);
}

/* More of both than the submission queue holds, without a wait in between. */
static void a_full_queue_loses_no_cancel_c7(void **state)
{
    RIG(state);
    enum { COUNT = 5000 };
    static struct op ops[COUNT];
    static char bytes[COUNT];
    int fds[2];

    unix_pair(fds);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < COUNT; i++) {
            ops[i] = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, &bytes[i], 1);
            submit(rig, &ops[i]);
            if (round == 2)
                cancel(rig, &ops[i]);
        }
        if (round % 2)
            turn(rig, 0);
        for (int i = COUNT; i-- > 0;)
            cancel(rig, &ops[i]);
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(finish(rig, &ops[i]), -ECANCELED);
    }
    close_pair(fds);
}

/* The same memory, again and again: an old cancel must not hit the next request. */
static void reused_memory_is_a_new_request_c8(void **state)
{
    RIG(state);
    char buf[8];
    struct op op;
    int fds[2];

    unix_pair(fds);
    for (int i = 0; i < rounds(20000, 2000); i++) {
        op = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
        submit(rig, &op);
        if (i % 3 == 0)
            turn(rig, 0);
        if (i % 2)
            put(fds[1], "x");
        cancel(rig, &op);
        if (finish(rig, &op) == -ECANCELED && i % 2)
            assert_int_equal(run(rig, &op), 1);
        /* No cancel for this one: it must wait for its byte. */
        submit(rig, &op);
        turn(rig, 0);
        assert_false(op.is_done);
        put(fds[1], "y");
        assert_int_equal(finish(rig, &op), 1);
        assert_int_equal(buf[0], 'y');
    }
    close_pair(fds);
}

/* Cancel, close when it has come back, and the number belongs to another file. */
static void close_follows_the_last_completion_c11(void **state)
{
    RIG(state);
    char buf[8];
    int fds[2], other[2];

    for (int i = 0; i < 200; i++) {
        struct op op;

        unix_pair(fds);
        op = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
        submit(rig, &op);
        if (i % 2)
            turn(rig, 0);
        cancel(rig, &op);
        assert_int_equal(finish(rig, &op), -ECANCELED);
        close_fd(fds[0]);
        unix_pair(other);
        assert_int_equal(other[0], fds[0]);
        put(other[1], "ours");
        assert_int_equal(run_recv(rig, other[0], buf, sizeof(buf)), 4);
        assert_int_equal(recv(fds[1], buf, 1, 0), 0); /* the peer sees the end */
        close_fd(fds[1]);
        close_pair(other);
    }
}

static void nothing(int signo)
{
    (void)signo;
}

/* A timer's signals hit every wait and every call. */
static void no_eintr_escapes_c13(void **state)
{
    RIG(state);
    struct itimerval often = {.it_interval.tv_usec = 200, .it_value.tv_usec = 200};
    struct itimerval never = {.it_interval.tv_usec = 0};
    struct sigaction handler = {.sa_handler = nothing}, before;
    static char chunk[8192];
    struct op r, w;
    int fds[2];

    tcp_pair(fds);
    sigaction(SIGALRM, &handler, &before);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < rounds(20000, 2000); i++) {
        r = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, chunk, sizeof(chunk));
        w = op_buf(HKI_IO_SEND, fds[1], HKI_FD_SOCKET, chunk, sizeof(chunk));
        submit(rig, &r);
        turn(rig, i % 8 ? 0 : MS / 2);
        assert_int_equal(run(rig, &w), sizeof(chunk));
        for (int left = sizeof(chunk); left > 0; left -= finish(rig, &r)) {
            if (r.is_done && left < (int)sizeof(chunk))
                submit(rig, &r);
            assert_true(finish(rig, &r) > 0);
        }
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    close_pair(fds);
}

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* Ends right after the last request has come back, also one from the pool. */
static int quick(void *arg)
{
    return *(int *)arg;
}

static void a_poller_ends_cleanly_c14(void **state)
{
    RIG(state);
    int fds[2], seven = 7, before;
    char buf[4];

    unix_pair(fds);
    before = count_descriptors();
    for (int i = 0; i < 100; i++) {
        struct rig inner = {.ops = rig->ops};
        struct op work = op_of(HKI_IO_WORK, -1, 0);
        struct op op = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));

        work.req.work = quick;
        work.req.work_arg = &seven;
        assert_int_equal(inner.ops->init(&inner.poller), 0);
        submit(&inner, &op);
        submit(&inner, &work);
        if (i % 2)
            turn(&inner, 0);
        cancel(&inner, &op);
        assert_int_equal(finish(&inner, &op), -ECANCELED);
        assert_int_equal(finish(&inner, &work), 7);
        inner.ops->fini(inner.poller);
    }
    assert_int_equal(count_descriptors(), before);
    close_pair(fds);
}

/* ---- the races of shared/probes/race.c, with every byte accounted for ---- */

struct racer {
    int fd;
    struct sockaddr_in addr; /* family 0: writes to fd; else connects */
    int go, stop, sent;      /* atomic */
};

static void spin(unsigned n)
{
    for (volatile unsigned i = 0; i < n; i++)
        continue;
}

static void *racer_main(void *arg)
{
    struct racer *racer = arg;
    unsigned seed = 7;
    int seen = 0;

    while (!__atomic_load_n(&racer->stop, __ATOMIC_ACQUIRE)) {
        int go = __atomic_load_n(&racer->go, __ATOMIC_ACQUIRE);

        if (go == seen)
            continue;
        seen = go;
        seed = seed * 1103515245u + 12345;
        spin((seed >> 16) % 4000);
        if (racer->addr.sin_family) {
            int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

            if (connect(fd, (struct sockaddr *)&racer->addr, sizeof(racer->addr)) == 0)
                __atomic_fetch_add(&racer->sent, 1, __ATOMIC_ACQ_REL);
            close(fd);
        } else if (write(racer->fd, "abcdefg", 7) == 7) {
            __atomic_fetch_add(&racer->sent, 7, __ATOMIC_ACQ_REL);
        }
    }
    return NULL;
}

/* Submits and cancels `model` against the racer; what the results account for. */
static int race(struct rig *rig, struct racer *racer, const struct op *model)
{
    int got = 0;
    unsigned seed = 1;

    for (int i = 0; i < rounds(20000, 2000); i++) {
        struct op op = *model;

        __atomic_fetch_add(&racer->go, 1, __ATOMIC_ACQ_REL);
        submit(rig, &op);
        seed = seed * 1103515245u + 12345;
        if (i % 2)
            turn(rig, 0);
        spin((seed >> 16) % 4000);
        cancel(rig, &op);
        finish(rig, &op);
        assert_true(op.req.result > 0 || op.req.result == -ECANCELED);
        if (op.req.result < 0)
            continue;
        got += model->req.code == HKI_IO_ACCEPT ? 1 : op.req.result;
        if (model->req.code == HKI_IO_ACCEPT)
            close(op.req.result);
    }
    return got;
}

static int race_on(struct rig *rig, int code, unsigned fd_flags, const int fds[2])
{
    char buf[4096];
    struct racer racer = {.fd = fds[1]};
    struct op op = op_buf(code, fds[0], fd_flags, buf, sizeof(buf));
    pthread_t thread;
    ssize_t n;
    int got;

    assert_int_equal(pthread_create(&thread, NULL, racer_main, &racer), 0);
    got = race(rig, &racer, &op);
    __atomic_store_n(&racer.stop, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    hki_os_set_nonblocking(fds[0]);
    while ((n = read(fds[0], buf, sizeof(buf))) > 0)
        got += (int)n;
    return racer.sent - got;
}

static void a_cancelled_transfer_loses_no_byte(void **state)
{
    RIG(state);
    int fds[2];

    tcp_pair(fds);
    assert_int_equal(race_on(rig, HKI_IO_RECV, HKI_FD_SOCKET, fds), 0);
    close_pair(fds);
    pipe_pair(fds);
    assert_int_equal(race_on(rig, HKI_IO_READ, 0, fds), 0);
    close_pair(fds);
    pipe_pair(fds);
    assert_int_equal(race_on(rig, HKI_IO_READ, HKI_FD_BORROWED, fds), 0);
    close_pair(fds);
}

static void a_cancelled_accept_loses_no_connection(void **state)
{
    RIG(state);
    struct racer racer = {.fd = -1};
    int listener = tcp_listener(&racer.addr), fd, got;
    struct op op = op_of(HKI_IO_ACCEPT, listener, HKI_FD_SOCKET);
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, racer_main, &racer), 0);
    got = race(rig, &racer, &op);
    __atomic_store_n(&racer.stop, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    hki_os_set_nonblocking(listener);
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        got++;
        close(fd);
    }
    assert_int_equal(got, racer.sent);
    close_fd(listener);
}

/* ---- work on the blocking pool ---- */

static int gate; /* atomic */
static int begun;

static int wait_for_gate(void *arg)
{
    (void)arg;
    __atomic_fetch_add(&begun, 1, __ATOMIC_ACQ_REL);
    while (!__atomic_load_n(&gate, __ATOMIC_ACQUIRE))
        usleep(500);
    return 1;
}

/* Every thread of the pool is held, so the next work is certain to be in the queue. */
static void queued_work_is_withdrawn_and_begun_work_is_not(void **state)
{
    RIG(state);
    static struct op held[HKI_OFFLOAD_FILES_MAX];
    struct op queued = op_of(HKI_IO_WORK, -1, 0);

    gate = begun = 0;
    for (int i = 0; i < HKI_OFFLOAD_FILES_MAX; i++) {
        held[i] = op_of(HKI_IO_WORK, -1, 0);
        held[i].req.work = wait_for_gate;
        submit(rig, &held[i]);
    }
    while (__atomic_load_n(&begun, __ATOMIC_ACQUIRE) < HKI_OFFLOAD_FILES_MAX)
        usleep(500);
    queued.req.work = wait_for_gate;
    submit(rig, &queued);
    cancel(rig, &queued);
    assert_int_equal(finish(rig, &queued), -ECANCELED);
    cancel(rig, &held[0]);
    assert_waits(rig, &held[0]);
    __atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < HKI_OFFLOAD_FILES_MAX; i++)
        assert_int_equal(finish(rig, &held[i]), 1);
    assert_int_equal(begun, HKI_OFFLOAD_FILES_MAX);
    hki_offload_drain(&hki_offload_files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(cancel_ends_every_kind_of_wait),
        BOTH(cancel_ends_waits_on_nonblocking_descriptors),
        BOTH(cancel_after_completion_is_harmless),
        BOTH(waitall_cancelled_returns_its_count_c6),
        BOTH(a_full_queue_loses_no_cancel_c7),
        BOTH(reused_memory_is_a_new_request_c8),
        BOTH(close_follows_the_last_completion_c11),
        BOTH(no_eintr_escapes_c13),
        BOTH(a_poller_ends_cleanly_c14),
        BOTH(a_cancelled_transfer_loses_no_byte),
        BOTH(a_cancelled_accept_loses_no_connection),
        BOTH(queued_work_is_withdrawn_and_begun_work_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
