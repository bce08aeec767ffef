/* SPDX-License-Identifier: MIT */
/*
 * A pipeline of subprocesses, `sort | uniq -c`, with our own tasks at both ends: one
 * feeds words, the other reads the counts. If anything fails or is cancelled, the scope
 * sees to it that every child is killed and reaped.
 *
 * Prints:
 *         1 hocket
 *         3 la
 *         2 melody
 *   both children ended with status 0
 */
#include <hocket.h>

#include <stdio.h>
#include <string.h>

static const char words[] = "la\nmelody\nla\nhocket\nmelody\nla\n";

static int feed(void *arg)
{
    hk_process *sort = arg;
    int rc = hk_write_all(hk_process_stdin(sort), words, strlen(words), NULL);

    hk_process_close_stdin(sort); /* so that it sees the end */
    return rc;
}

static int print_lines(void *arg)
{
    hk_process *uniq = arg;
    hk_stream *stream;
    char *line;
    int rc = hk_stream_new(hk_process_stdout(uniq), &stream);

    if (rc < 0)
        return rc;
    while ((rc = hk_stream_read_line(stream, 4096, &line, NULL)) == 1)
        puts(line);
    hk_stream_free(stream);
    return rc;
}

static int start(const char *const *args, hk_fd in, hk_process **out)
{
    hk_command command = {
        .args = args,
        .in = in.value ? HK_STDIO_HANDLE : HK_STDIO_PIPE,
        .in_fd = in,
        .out = HK_STDIO_PIPE,
    };
    int rc = hk_command_start(&command, out);

    if (rc < 0)
        fprintf(stderr, "cannot start %s: %s\n", args[0], hk_error_text(rc));
    return rc;
}

static int run(hk_process *sort, hk_process *uniq)
{
    int sort_status = -1, uniq_status = -1;
    hk_scope scope;
    int rc;

    hk_scope_open(&scope);
    hk_scope_deadline(&scope, hk_now() + 10 * HK_SECOND);
    hk_spawn(&scope, feed, sort);
    hk_spawn(&scope, print_lines, uniq);
    rc = hk_process_wait(sort, &sort_status);
    if (rc == 0)
        rc = hk_process_wait(uniq, &uniq_status);
    if (rc < 0 && rc != -ECANCELED)
        hk_scope_fail(&scope, rc);
    rc = hk_scope_join(&scope);
    if (rc == 0 && sort_status == 0 && uniq_status == 0)
        puts("both children ended with status 0");
    return rc;
}

static int app(void *arg)
{
    const char *sort_args[] = {"sort", NULL}, *uniq_args[] = {"uniq", "-c", NULL};
    hk_process *sort, *uniq;
    int rc = start(sort_args, HK_FD_NONE, &sort);

    (void)arg;
    if (rc < 0)
        return rc;
    rc = start(uniq_args, hk_process_stdout(sort), &uniq);
    if (rc == 0) {
        rc = run(sort, uniq);
        hk_process_free(uniq);
    }
    hk_process_free(sort);
    return rc;
}

int main(void)
{
    return hk_run(app, NULL, NULL) < 0;
}
