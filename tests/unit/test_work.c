/* SPDX-License-Identifier: MIT */
/*
 * Work for a pool of threads (exec/work.h): every piece runs once, as a task that may
 * wait, wherever it was pushed; who takes part gets back what nobody has stolen.
 */
#include "support/core_test.h"
#include "support/emulator.h"

#include "exec/work.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { PIECES = 1000 };

static uint32_t runs; /* atomic */

struct piece {
    struct hki_work work;
    struct hki_work_pool *pool;
    uint32_t depth;
    struct piece *children; /* two, when depth > 0 */
    hk_event *waits_for;    /* NULL: for nothing */
};

static void count_run(void)
{
    __atomic_add_fetch(&runs, 1, __ATOMIC_SEQ_CST);
}

static void await_runs(uint32_t count)
{
    while (__atomic_load_n(&runs, __ATOMIC_SEQ_CST) < count)
        sched_yield();
}

static struct hki_work_pool *pool_of_threads(uint32_t threads)
{
    const struct hki_work_options options = {
        .threads = threads,
        .threads_max = 8,
        .threads_min = 1,
        .idle_ns = 20 * HK_MILLISECOND,
    };
    struct hki_work_pool *pool;

    assert_int_equal(hki_work_pool_new(&options, &pool), 0);
    __atomic_store_n(&runs, 0, __ATOMIC_SEQ_CST);
    return pool;
}

static void run_piece(struct hki_work *work)
{
    struct piece *piece = (struct piece *)(void *)work;

    CHECK(hki_work_is_here(piece->pool));
    if (piece->waits_for)
        CHECK_EQ(hk_event_wait(piece->waits_for), 0);
    count_run();
}

static void pieces_from_outside_run_once_each(void **state)
{
    struct hki_work_pool *pool = pool_of_threads(2);
    struct piece pieces[PIECES];

    (void)state;
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = (struct piece){.work.run = run_piece, .pool = pool};
        assert_int_equal(hki_work_push(pool, &pieces[i].work), 0);
    }
    await_runs(PIECES);
    hki_work_pool_free(pool);
    assert_int_equal(runs, PIECES);
}

static void a_piece_that_waits_leaves_its_thread(void **state)
{
    struct hki_work_pool *pool = pool_of_threads(1);
    hk_event event = HK_EVENT_INIT;
    struct piece pieces[PIECES];

    (void)state;
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = (struct piece){.work.run = run_piece, .pool = pool};
        pieces[i].waits_for = i < PIECES / 2 ? &event : NULL;
        assert_int_equal(hki_work_push(pool, &pieces[i].work), 0);
    }
    await_runs(PIECES - PIECES / 2);
    hk_event_set(&event);
    await_runs(PIECES);
    hki_work_pool_free(pool);
}

/* A binary tree of pieces: each pushes its children on its own thread. */
static void run_tree(struct hki_work *work)
{
    struct piece *piece = (struct piece *)(void *)work;

    if (piece->depth > 0) {
        piece->children = calloc(2, sizeof(*piece));
        for (int i = 0; i < 2; i++) {
            piece->children[i] = (struct piece){
                .work.run = run_tree, .pool = piece->pool, .depth = piece->depth - 1};
            CHECK_EQ(hki_work_push(piece->pool, &piece->children[i].work), 0);
        }
    }
    count_run();
}

static void free_tree(struct piece *piece)
{
    if (!piece->children)
        return;
    free_tree(&piece->children[0]);
    free_tree(&piece->children[1]);
    free(piece->children);
}

static void pieces_push_pieces(void **state)
{
    struct hki_work_pool *pool = pool_of_threads(2);
    struct piece root = {.work.run = run_tree, .pool = pool, .depth = 12};

    (void)state;
    assert_int_equal(hki_work_push(pool, &root.work), 0);
    await_runs((2 << 12) - 1);
    hki_work_pool_free(pool);
    free_tree(&root);
}

static void who_takes_part_gets_back_what_nobody_stole(void **state)
{
    struct hki_work_pool *pool = pool_of_threads(2);
    struct piece pieces[PIECES];
    uint32_t taken = 0;

    (void)state;
    assert_false(hki_work_is_here(pool));
    assert_int_equal(hki_work_participate(pool), 0);
    assert_int_equal(hki_work_participate(pool), -EBUSY);
    assert_true(hki_work_is_here(pool));
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = (struct piece){.work.run = run_piece, .pool = pool};
        assert_int_equal(hki_work_push(pool, &pieces[i].work), 0);
    }
    for (int i = 0; i < PIECES / 2; i++) {
        struct hki_work *work = hki_work_take();

        if (!work)
            break;
        work->run(work);
        taken++;
    }
    hki_work_leave(pool); /* others run the rest */
    assert_false(hki_work_is_here(pool));
    await_runs(PIECES);
    assert_true(taken <= PIECES / 2);
    hki_work_pool_free(pool);
}

/* ---- without membarrier ---- */

HK_FN(void, does_nothing)
{
}

static int deny_membarrier(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof(code) / sizeof(*code), code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
                &filter) != 0)
        return -errno;
    return 0;
}

static int be_denied_later(void *unused)
{
    int64_t began_ns = 0;

    (void)unused;
    for (int i = 0; i < 40; i++) {
        hk_future *f = does_nothing_on(hk_threads());

        if (i == 0)
            CHECK_EQ(deny_membarrier(), 0);
        if (i == 10) /* by now all is settled */
            began_ns = hk_now();
        CHECK_EQ(does_nothing_await(f), 0);
        hk_future_free(f);
        CHECK_EQ(hk_sleep(3 * HK_MILLISECOND), 0); /* its thread falls asleep */
    }
    CHECK(hk_now() - began_ns < 30 * (3 + 20) * HK_MILLISECOND);
    return 0;
}

/* Each sleep would else keep its thread deaf for 50 ms. */
static void a_pool_is_quick_after_membarrier_is_denied(void **state)
{
    char text[4096];
    int status;

    (void)state;
    skip_if_emulated("filters no calls");
    status = run_in_child(be_denied_later, text, sizeof(text));
    if (status != 0)
        printf("# status %#x, said: %s\n", status, text);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_is_quick_after_membarrier_is_denied), /* forks */
        cmocka_unit_test(pieces_from_outside_run_once_each),
        cmocka_unit_test(a_piece_that_waits_leaves_its_thread),
        cmocka_unit_test(pieces_push_pieces),
        cmocka_unit_test(who_takes_part_gets_back_what_nobody_stole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
