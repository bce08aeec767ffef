/* SPDX-License-Identifier: MIT */
/*
 * A search that a key press ends: four tasks look for something that takes for ever,
 * one task waits for a line on standard input, and whichever comes first cancels the
 * rest. The terminal stays as it was: hocket never switches it to non-blocking.
 *
 * Stdin:
 *   stop
 *
 * Prints:
 *   searching; press return to stop
 *   stopped by "stop"
 *   4 searchers have cleaned up
 */
#include <hocket.h>

#include <stdio.h>
#include <string.h>

static int cleaned_up;

static int search(void *arg)
{
    int rc;

    (void)arg;
    /* Looks at one place after the other; in this example it is never there. */
    while ((rc = hk_sleep(HK_MILLISECOND)) == 0)
        ;
    cleaned_up++; /* one worker: nothing else runs between two waiting calls */
    return rc;
}

static int wait_for_key(void *arg)
{
    hk_scope *scope = arg;
    char line[80];
    ssize_t len = hk_read(hk_stdin(), line, sizeof(line) - 1);

    if (len < 0)
        return (int)len;
    line[len] = '\0';
    line[strcspn(line, "\n")] = '\0';
    printf("stopped by \"%s\"\n", line);
    hk_scope_cancel(scope);
    return 0;
}

static int app(void *arg)
{
    hk_scope scope;
    int rc;

    (void)arg;
    puts("searching; press return to stop");
    fflush(stdout);
    hk_scope_open(&scope);
    for (int i = 0; i < 4; i++)
        hk_spawn(&scope, search, NULL);
    hk_spawn(&scope, wait_for_key, &scope);
    rc = hk_scope_join(&scope);
    printf("%d searchers have cleaned up\n", cleaned_up);
    if (rc < 0)
        fprintf(stderr, "the search failed: %s\n", hk_error_text(rc));
    return rc;
}

int main(void)
{
    return hk_run(app, NULL, NULL) < 0;
}
