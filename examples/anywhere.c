/* SPDX-License-Identifier: MIT */
/*
 * The same functions here and elsewhere: a plain main calls them, starts them on an
 * executor, and awaits them. With the argument `tasks` they are coroutines, else they
 * run on threads; nothing else changes.
 *
 * Prints:
 *   here:       the sum is 499999500000
 *   elsewhere:  the sum is 499999500000
 *   in parts:   the sum is 499999500000
 *   pages:      3 titles, 1 failed: Invalid argument
 *   in time:    2 of 3 waits were cut short
 */
#include <hocket.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

HK_FN(long, add_up, (long, begin), (long, end))
{
    long sum = 0;

    for (long i = begin; i < end; i++)
        sum += i;
    return sum;
}

/* A result that is a string was allocated with malloc. */
HK_FN(hk_str, title, (hk_str, page))
{
    const char *begin = strstr(page, "<title>");
    const char *end = begin ? strstr(begin, "</title>") : NULL;

    if (!end) {
        hk_job_fail(-EINVAL);
        return NULL;
    }
    return strndup(begin + 7, (size_t)(end - begin - 7));
}

HK_FN(hk_rc, wait_for, (int64_t, ms))
{
    return hk_sleep(ms * HK_MILLISECOND);
}

static void one(hk_executor *on)
{
    hk_future *f = add_up_on(on, 0, 1000000);
    long sum;

    if (add_up_await(f, &sum) >= 0)
        printf("elsewhere:  the sum is %ld\n", sum);
    hk_future_free(f);
}

/* An array of arguments; several calls share a job. */
static void parts(hk_executor *on)
{
    enum { PARTS = 100 };
    struct add_up_args args[PARTS];
    long results[PARTS], sum = 0;

    for (long i = 0; i < PARTS; i++)
        args[i] = (struct add_up_args){i * 10000, (i + 1) * 10000};
    if (add_up_map(on, args, PARTS, results, NULL) < 0)
        return;
    for (int i = 0; i < PARTS; i++)
        sum += results[i];
    printf("in parts:   the sum is %ld\n", sum);
}

/* As they are done, and what has become of each. */
static void pages(hk_executor *on)
{
    static const char *const texts[] = {"<title>One</title>", "<title>Two</title>",
                                        "no title", "<title>Four</title>"};
    enum { COUNT = sizeof(texts) / sizeof(texts[0]) };
    hk_future *futures[COUNT];
    hk_completed it;
    int titles = 0, failed = 0, error = 0;
    long i;

    for (i = 0; i < COUNT; i++)
        futures[i] = title_on(on, texts[i]);
    hk_as_completed(&it, futures, COUNT);
    while ((i = hk_completed_next(&it)) >= 0) {
        hk_str text;
        int rc = title_await(futures[i], &text);

        titles += rc >= 0;
        failed += rc < 0;
        error = rc < 0 ? rc : error;
    }
    hk_completed_end(&it);
    for (i = 0; i < COUNT; i++)
        hk_future_free(futures[i]);
    printf("pages:      %d titles, %d failed: %s\n", titles, failed,
           hk_error_text(error));
}

/* Jobs belong to the scope around them, and so does its deadline. */
static void in_time(hk_executor *on)
{
    hk_future *futures[3];
    hk_scope s = HK_SCOPE_INIT;
    int cut = 0;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 250 * HK_MILLISECOND);
    futures[0] = wait_for_on(on, 1);
    futures[1] = wait_for_on(on, 60000);
    futures[2] = wait_for_on(on, 60000);
    if (hk_scope_join(&s) != -ETIMEDOUT)
        printf("in time:    all of them\n");
    for (int i = 0; i < 3; i++) {
        cut += hk_future_try(futures[i], NULL) == -EIDRM;
        hk_future_free(futures[i]);
    }
    printf("in time:    %d of 3 waits were cut short\n", cut);
}

int main(int argc, char **argv)
{
    hk_executor *on =
        argc > 1 && strcmp(argv[1], "tasks") == 0 ? hk_tasks() : hk_threads();

    printf("here:       the sum is %ld\n", add_up(0, 1000000));
    one(on);
    parts(on);
    pages(on);
    in_time(on);
    return 0;
}
