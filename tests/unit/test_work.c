/* SPDX-License-Identifier: MIT */
/*
 * Work for a pool of threads (exec/work.h): every piece runs once, as a task that may
 * wait, wherever it was pushed; who takes part gets back what nobody has stolen.
 */
#include "support/core_test.h"

#include "exec/work.h"

#include <sched.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_from_outside_run_once_each),
        cmocka_unit_test(a_piece_that_waits_leaves_its_thread),
        cmocka_unit_test(pieces_push_pieces),
        cmocka_unit_test(who_takes_part_gets_back_what_nobody_stole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
