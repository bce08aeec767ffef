/* SPDX-License-Identifier: MIT */
/*
 * Plain threads that read and write (docs/rules.md, rule 25): they are blocked in the
 * call, and a close, a cancel or a deadline ends it.
 */
#include "thread_test.h"

/* ---- I/O on a thread ---- */

struct reader {
    hk_fd fd;
    hk_scope *scope;
    int result;
};

static void *read_one(void *arg)
{
    struct reader *r = arg;
    char byte;

    r->result = (int)hk_read(r->fd, &byte, 1);
    return NULL;
}

static void thread_read_ends_when_another_thread_closes(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(2000, 300); i++) {
        hk_fd fds[2];
        struct reader r;
        pthread_t thread;

        assert_int_equal(hk_pipe(fds), 0);
        r = (struct reader){.fd = fds[0]};
        thread = start(read_one, &r);
        for (int spin = 0; spin < i % 50 * 200; spin++)
            __asm__ volatile("" ::: "memory");
        assert_int_equal(hk_close(fds[0]), 0);
        pthread_join(thread, NULL);
        assert_int_equal(r.result, -EBADF);
        assert_int_equal(hk_close(fds[1]), 0);
    }
}

static void *read_in_scope(void *arg)
{
    struct reader *r = arg;
    hk_scope s = HK_SCOPE_INIT;
    char byte;

    hk_scope_open(&s);
    __atomic_store_n(&r->scope, &s, __ATOMIC_RELEASE);
    r->result = (int)hk_read(r->fd, &byte, 1);
    while (__atomic_load_n(&r->scope, __ATOMIC_ACQUIRE))
        ;
    CHECK_EQ(hk_scope_join(&s), 0);
    return NULL;
}

static void thread_read_ends_when_another_thread_cancels(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(1000, 200); i++) {
        hk_fd fds[2];
        struct reader r;
        pthread_t thread;
        hk_scope *s;

        assert_int_equal(hk_pipe(fds), 0);
        r = (struct reader){.fd = fds[0]};
        thread = start(read_in_scope, &r);
        while (!(s = __atomic_load_n(&r.scope, __ATOMIC_ACQUIRE)))
            ;
        hk_scope_cancel(s);
        __atomic_store_n(&r.scope, NULL, __ATOMIC_RELEASE);
        pthread_join(thread, NULL);
        assert_int_equal(r.result, -ECANCELED);
        assert_int_equal(hk_close(fds[0]), 0);
        assert_int_equal(hk_close(fds[1]), 0);
    }
}

static void thread_read_ends_at_the_deadline(void **state)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_fd fds[2];
    char byte;

    (void)state;
    assert_int_equal(hk_pipe(fds), 0);
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 5 * HK_MILLISECOND);
    assert_int_equal(hk_read(fds[0], &byte, 1), -ECANCELED);
    assert_int_equal(hk_scope_join(&s), -ETIMEDOUT);
    assert_int_equal(hk_close(fds[0]), 0);
    assert_int_equal(hk_close(fds[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_read_ends_when_another_thread_closes),
        cmocka_unit_test(thread_read_ends_when_another_thread_cancels),
        cmocka_unit_test(thread_read_ends_at_the_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
