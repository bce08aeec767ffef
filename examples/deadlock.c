/* SPDX-License-Identifier: MIT */
/*
 * A deadlock of two tasks, while a third goes on. With the checks on it is found at
 * once and named as a cycle, and the youngest wait in it fails with -EDEADLK in place
 * of a hang: that task gives up what it holds, and both get their work done.
 *
 * Without the checks a deadlock is found only when everybody is stuck (<hocket/run.h>).
 * Reports go through the log hook; this one prints them without the stacks, and not
 * that the order of the locks was wrong: examples/lock_order.c shows that.
 *
 * Prints:
 *   deadlock: 2 wait for one another for ever:
 *   deadlock:   task 'right' waits for mutex ('fork', held), which task 'left' holds
 *   deadlock:     it took mutex 'knife' at
 *   deadlock:   task 'left' waits for mutex ('knife', held), which task 'right' holds
 *   deadlock:     it took mutex 'fork' at
 *   deadlock: -EDEADLK goes to task 'right', which waits for mutex ('fork', held)
 *   right puts down what it has: deadlock: nothing can ever wake this wait
 *   left eats
 *   right eats
 */
#include <hocket.h>

#include <stdio.h>

static hk_mutex fork_mutex = {.name = "fork"}, knife_mutex = {.name = "knife"};

/* Takes both: 0, or -EDEADLK, and then it has none. */
static int take_both(hk_mutex *first, hk_mutex *second)
{
    int rc = hk_mutex_lock(first);

    if (rc < 0)
        return rc;
    hk_yield(); /* the other has its first one now, too */
    rc = hk_mutex_lock(second);
    if (rc < 0)
        hk_mutex_unlock(first);
    return rc;
}

static int dine(hk_mutex *first, hk_mutex *second)
{
    int rc;

    while ((rc = take_both(first, second)) == -EDEADLK) {
        printf("%s puts down what it has: %s\n", hk_task_name(), hk_error_text(rc));
        hk_yield();
    }
    if (rc < 0)
        return rc;
    printf("%s eats\n", hk_task_name());
    hk_mutex_unlock(second);
    hk_mutex_unlock(first);
    return 0;
}

static int left(void *arg)
{
    (void)arg;
    return dine(&fork_mutex, &knife_mutex);
}

static int right(void *arg)
{
    (void)arg;
    return dine(&knife_mutex, &fork_mutex);
}

/* Somebody who is not stuck. */
static int waiter(void *arg)
{
    (void)arg;
    return hk_sleep(20 * HK_MILLISECOND);
}

static int app(void *arg)
{
    hk_scope scope;

    (void)arg;
    hk_scope_open(&scope);
    hk_spawn_named(&scope, "waiter", waiter, NULL, NULL);
    hk_spawn_named(&scope, "left", left, NULL, NULL);
    hk_spawn_named(&scope, "right", right, NULL, NULL);
    return hk_scope_join(&scope);
}

static void print_without_stacks(hk_log_level level, const char *line, void *ctx)
{
    (void)ctx;
    if (level == HK_LOG_ERROR && line[0] != ' ')
        printf("%s\n", line);
}

int main(void)
{
    hk_log_to(print_without_stacks, NULL);
    if (hk_check(HK_CHECK_LOCKS, NULL) < 0)
        return 1;
    return hk_run(app, NULL, NULL) < 0;
}
