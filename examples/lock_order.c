/* SPDX-License-Identifier: MIT */
/*
 * Two locks, taken in two orders: a deadlock that waits for its day. The tasks run one
 * after the other here, so nothing hangs, and a test would pass. The checks tell it all
 * the same, since they look at the order and not at the luck: who held what and wanted
 * what, on both sides. HOCKET_CHECK=locks in the environment does the same for any
 * program, without a change.
 *
 * Reports go through the log hook; this one prints them without the stacks.
 *
 * Prints:
 *   lock order: 2 locks are taken in an order that can deadlock:
 *   lock order:   task 'refund' holds mutex 'stock' and takes mutex 'till' at
 *   lock order:   task 'sale' held mutex 'till' and took mutex 'stock' at
 *   12 sold, 3 back
 */
#include <hocket.h>

#include <stdio.h>

static hk_mutex till = {.name = "till"}, stock = {.name = "stock"};
static int sold, back; /* guarded by both */

static int sale(void *arg)
{
    int rc = hk_mutex_lock(&till);

    (void)arg;
    if (rc < 0)
        return rc;
    rc = hk_mutex_lock(&stock);
    if (rc == 0) {
        sold += 12;
        hk_mutex_unlock(&stock);
    }
    hk_mutex_unlock(&till);
    return rc;
}

static int refund(void *arg)
{
    int rc = hk_mutex_lock(&stock);

    (void)arg;
    if (rc < 0)
        return rc;
    rc = hk_mutex_lock(&till); /* the wrong way round */
    if (rc == 0) {
        back += 3;
        hk_mutex_unlock(&till);
    }
    hk_mutex_unlock(&stock);
    return rc;
}

static int app(void *arg)
{
    hk_scope scope;

    (void)arg;
    hk_scope_open(&scope);
    hk_spawn_named(&scope, "sale", sale, NULL, NULL);
    hk_spawn_named(&scope, "refund", refund, NULL, NULL);
    return hk_scope_join(&scope);
}

static void print_without_stacks(hk_log_level level, const char *line, void *ctx)
{
    (void)ctx;
    if (level >= HK_LOG_WARNING && line[0] != ' ')
        printf("%s\n", line);
}

int main(void)
{
    int rc;

    hk_log_to(print_without_stacks, NULL);
    rc = hk_check(HK_CHECK_LOCKS, NULL);
    if (rc == 0)
        rc = hk_run(app, NULL, NULL);
    if (rc == 0)
        printf("%d sold, %d back\n", sold, back);
    return rc < 0;
}
