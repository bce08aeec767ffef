/* SPDX-License-Identifier: MIT */
/*
 * Divide and conquer. In how many ways can n queens stand on a board of n by n squares,
 * none of them on a row, column or diagonal of another? Each way to place the next
 * queen is a search of its own, which whoever has nothing to do may take.
 *
 * Prints:
 *   6 queens:  4 ways
 *   8 queens:  92 ways
 *   10 queens: 724 ways
 *   12 queens: 14200 ways
 *   in 1 ms:   no answer for 24 queens: cancelled
 */
#include <hocket.h>

#include <stdio.h>

enum { QUEENS_MAX = 32 };

/* Queens stand on the rows above; bits are columns. */
struct board {
    int size, row;
    uint32_t columns;     /* that have a queen */
    uint32_t left, right; /* that a queen reaches on a diagonal, on this row */
    long ways;            /* the answer */
};

static uint32_t free_columns(const struct board *board)
{
    uint32_t all = ((uint32_t)1 << board->size) - 1;

    return all & ~(board->columns | board->left | board->right);
}

static struct board with_queen(const struct board *board, uint32_t column)
{
    return (struct board){
        .size = board->size,
        .row = board->row + 1,
        .columns = board->columns | column,
        .left = (board->left | column) << 1,
        .right = (board->right | column) >> 1,
    };
}

/* The last rows, where a fork would be more work than the search. */
static long count_ways(const struct board *board)
{
    long ways = 0;

    if (board->row == board->size)
        return 1;
    for (uint32_t free = free_columns(board); free; free &= free - 1) {
        struct board next = with_queen(board, free & -free);

        ways += count_ways(&next);
    }
    return ways;
}

static int search(void *arg)
{
    struct board *board = (struct board *)arg;
    struct board next[QUEENS_MAX];
    hk_forked forked[QUEENS_MAX];
    size_t count = 0;
    int rc;

    if (board->size - board->row <= 6) {
        board->ways = count_ways(board);
        return 0;
    }
    for (uint32_t free = free_columns(board); free; free &= free - 1) {
        next[count] = with_queen(board, free & -free);
        hk_fork(&forked[count], search, &next[count]);
        count++;
    }
    rc = hk_join_all(forked, count);
    for (size_t i = 0; i < count; i++)
        board->ways += next[i].ways;
    return rc;
}

static void show(int queens)
{
    struct board board = {.size = queens};

    if (hk_parallel_run(search, &board) == 0)
        printf("%d queens:%s %ld ways\n", queens, queens < 10 ? " " : "", board.ways);
}

/* It would take years: what is not yet begun in time never is. */
static void show_in_time(int queens)
{
    struct board board = {.size = queens};
    hk_scope scope;
    int rc;

    hk_scope_open(&scope);
    hk_scope_deadline(&scope, hk_now() + HK_MILLISECOND);
    rc = hk_parallel_run(search, &board);
    (void)hk_scope_join(&scope);
    printf("in 1 ms:   no answer for %d queens: %s\n", queens, hk_error_text(rc));
}

int main(void)
{
    for (int queens = 6; queens <= 12; queens += 2)
        show(queens);
    show_in_time(24);
    return 0;
}
