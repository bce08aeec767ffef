/* SPDX-License-Identifier: MIT */
/*
 * A deadline for a whole block, however many calls it makes and tasks it starts: Trio's
 * move_on_after. No call takes a timeout; the scope has one. The last part cleans up
 * under a shield: a call that must be allowed to wait although time is up.
 *
 * Prints:
 *   lookup 0 is done
 *   lookup 1 is done
 *   lookup 2 ran out of time: cancelled
 *   said goodbye, shielded
 *   the block: timed out
 *   and life goes on: no error
 */
#include <hocket.h>

#include <stdio.h>

static int lookup(int i)
{
    int rc = hk_sleep(200 * HK_MILLISECOND);

    if (rc < 0)
        printf("lookup %d ran out of time: %s\n", i, hk_error_text(rc));
    else
        printf("lookup %d is done\n", i);
    return rc;
}

static void say_goodbye(void)
{
    hk_scope shield;

    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, "goodbye");
    hk_scope_deadline(&shield, hk_now() + HK_SECOND); /* polite, but not for ever */
    if (hk_sleep(HK_MILLISECOND) == 0)
        puts("said goodbye, shielded");
    (void)hk_scope_join(&shield);
}

static int app(void *arg)
{
    hk_scope scope;
    int rc;

    (void)arg;
    hk_scope_open(&scope);
    hk_scope_deadline(&scope, hk_now() + 500 * HK_MILLISECOND);
    for (int i = 0; i < 10; i++)
        if (lookup(i) < 0)
            break;
    say_goodbye();
    rc = hk_scope_join(&scope);
    printf("the block: %s\n", hk_error_text(rc));
    printf("and life goes on: %s\n", hk_error_text(hk_sleep(HK_MILLISECOND)));
    return 0;
}

int main(void)
{
    return hk_run(app, NULL, NULL) < 0;
}
