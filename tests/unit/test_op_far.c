/* SPDX-License-Identifier: MIT */
/*
 * Operations that a plain thread starts with a callback run on the background runtime's
 * worker. Shows that the thread can cancel them at any time: before they have arrived
 * there, while they wait, while they complete, while another thread closes the handle,
 * and afterwards; that one wake comes in each case; and that no byte is lost.
 */
#include "support/core_test.h"

static const hk_wait_kind test_kind = {.name = "test", .external = true};

struct pending {
    hk_waiter waiter;
    hk_op op;
    int wakes; /* atomic */
    int result;
    hk_event done;
};

static void note_result(hk_waiter *w)
{
    struct pending *p = w->data;

    p->result = w->result;
    __atomic_add_fetch(&p->wakes, 1, __ATOMIC_RELAXED);
    hk_event_set(&p->done);
}

static void arm(struct pending *p)
{
    memset(p, 0, sizeof(*p));
    CHECK_EQ(hk_waiter_init_callback(&p->waiter, &test_kind, NULL, note_result), 0);
    p->waiter.data = p;
}

static int finish(struct pending *p)
{
    CHECK_EQ(hk_event_wait(&p->done), 0);
    CHECK_EQ(__atomic_load_n(&p->wakes, __ATOMIC_RELAXED), 1);
    return p->result;
}

static void start_reading(struct pending *p, hk_fd fd, char *byte)
{
    arm(p);
    hk_op_read(&p->op, fd, byte, 1, -1);
    CHECK_EQ(hk_op_start(&p->op, &p->waiter), 0);
}

static void close_pair(hk_fd fds[2])
{
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
}

static void spin(int turns)
{
    for (int i = 0; i < turns; i++)
        __asm__ volatile("" ::: "memory");
}

static void far_op_is_cancelled_by_its_starter(void **state)
{
    struct pending p;
    hk_fd fds[2];
    char byte;

    (void)state;
    CHECK_EQ(hk_socket_pair(fds), 0);
    for (int i = 0; i < 50; i++) {
        start_reading(&p, fds[0], &byte);
        if (i % 2) /* has arrived and waits */
            CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
        hk_op_cancel(&p.op);
        hk_op_cancel(&p.op); /* the same as once */
        CHECK_EQ(finish(&p), -ECANCELED);
        hk_op_cancel(&p.op); /* too late, and nothing happens */
    }
    CHECK_EQ(hk_write(fds[1], "x", 1), 1);
    start_reading(&p, fds[0], &byte);
    CHECK_EQ(finish(&p), 1);
    hk_op_cancel(&p.op);
    close_pair(fds);
}

struct writer {
    hk_fd fd;
    int after; /* turns of a loop */
    bool closes;
};

static void *write_or_close(void *arg)
{
    struct writer *w = arg;

    spin(w->after);
    if (w->closes)
        CHECK_EQ(hk_close(w->fd), 0);
    else
        CHECK_EQ(hk_write(w->fd, "x", 1), 1);
    return NULL;
}

static void far_op_cancelled_while_it_completes_loses_nothing(void **state)
{
    int rounds = scaled(1000, 200), taken = 0, left = 0;

    (void)state;
    for (int i = 0; i < rounds; i++) {
        struct writer w = {.after = i * 37 % 20000};
        struct pending p;
        pthread_t thread;
        hk_fd fds[2];
        char byte = 0;
        int rc;

        CHECK_EQ(hk_socket_pair(fds), 0);
        w.fd = fds[1];
        start_reading(&p, fds[0], &byte);
        CHECK_EQ(pthread_create(&thread, NULL, write_or_close, &w), 0);
        spin(i * 101 % 30000);
        hk_op_cancel(&p.op);
        rc = finish(&p);
        CHECK(rc == 1 || rc == -ECANCELED);
        pthread_join(thread, NULL);
        if (rc == 1)
            taken++;
        else
            CHECK_EQ(hk_read(fds[0], &byte, 1), ++left ? 1 : 0);
        CHECK_EQ(byte, 'x');
        close_pair(fds);
    }
    CHECK_EQ(taken + left, rounds);
}

static void far_op_cancelled_while_its_handle_closes_ends_once(void **state)
{
    int rounds = scaled(1000, 200);

    (void)state;
    for (int i = 0; i < rounds; i++) {
        struct writer w = {.after = i * 37 % 20000, .closes = true};
        struct pending p;
        pthread_t thread;
        hk_fd fds[2];
        char byte;
        int rc;

        CHECK_EQ(hk_socket_pair(fds), 0);
        w.fd = fds[0];
        start_reading(&p, fds[0], &byte);
        CHECK_EQ(pthread_create(&thread, NULL, write_or_close, &w), 0);
        spin(i * 101 % 30000);
        hk_op_cancel(&p.op);
        rc = finish(&p);
        CHECK(rc == -EBADF || rc == -ECANCELED);
        pthread_join(thread, NULL);
        CHECK_EQ(hk_close(fds[1]), 0);
    }
}

static int seven(void *arg)
{
    (void)arg;
    return 7;
}

/* Without a handle: what guards the others is not there. */
static void far_op_without_a_handle_may_be_cancelled(void **state)
{
    int rounds = scaled(1000, 200);

    (void)state;
    for (int i = 0; i < rounds; i++) {
        struct pending p;
        int rc;

        arm(&p);
        hk_op_work(&p.op, seven, NULL);
        CHECK_EQ(hk_op_start(&p.op, &p.waiter), 0);
        spin(i * 101 % 30000);
        hk_op_cancel(&p.op);
        rc = finish(&p);
        CHECK(rc == 7 || rc == -ECANCELED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(far_op_is_cancelled_by_its_starter),
        cmocka_unit_test(far_op_cancelled_while_it_completes_loses_nothing),
        cmocka_unit_test(far_op_cancelled_while_its_handle_closes_ends_once),
        cmocka_unit_test(far_op_without_a_handle_may_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
