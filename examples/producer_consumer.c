/* SPDX-License-Identifier: MIT */
/*
 * Producer and consumer, three times with the same two functions: one after the other
 * on a plain thread, as two plain threads, and as two tasks. Not a line of produce() or
 * consume() knows which it is: a waiting call parks a task and blocks a thread.
 *
 * Prints:
 *   sequential: the consumer saw 1000 items, sum 499500
 *   threads:    the consumer saw 1000 items, sum 499500
 *   tasks:      the consumer saw 1000 items, sum 499500
 */
#include <hocket.h>

#include <pthread.h>
#include <stdio.h>

enum { ITEMS = 1000 };

struct line {
    hk_chan *chan;
    int count;
    long sum;
};

static int produce(void *arg)
{
    struct line *line = arg;
    int rc = 0;

    for (int i = 0; i < ITEMS && rc == 0; i++)
        rc = hk_chan_send(line->chan, &i);
    hk_chan_close(line->chan); /* the consumer drains it, then gets -EPIPE */
    return rc;
}

static int consume(void *arg)
{
    struct line *line = arg;
    int item, rc;

    while ((rc = hk_chan_recv(line->chan, &item)) == 0) {
        line->count++;
        line->sum += item;
    }
    return rc == -EPIPE ? 0 : rc;
}

static int sequential(struct line *line)
{
    int rc = produce(line);

    return rc < 0 ? rc : consume(line);
}

static void *produce_thread(void *arg)
{
    (void)produce(arg); /* nobody cancels a thread that is in no scope */
    return NULL;
}

static int with_threads(struct line *line)
{
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, produce_thread, line);

    if (rc != 0)
        return -rc;
    rc = consume(line);
    pthread_join(thread, NULL);
    return rc;
}

static int two_tasks(void *arg)
{
    hk_scope scope;

    hk_scope_open(&scope);
    hk_spawn(&scope, produce, arg);
    hk_spawn(&scope, consume, arg);
    return hk_scope_join(&scope);
}

static int with_tasks(struct line *line)
{
    return hk_run(two_tasks, line, NULL);
}

static int show(const char *how, int (*run)(struct line *), size_t capacity)
{
    struct line line = {0};
    int rc = hk_chan_new(sizeof(int), capacity, &line.chan);

    if (rc == 0)
        rc = run(&line);
    if (rc == 0)
        printf("%-11s the consumer saw %d items, sum %ld\n", how, line.count, line.sum);
    else
        fprintf(stderr, "%s %s\n", how, hk_error_text(rc));
    hk_chan_free(line.chan);
    return rc;
}

int main(void)
{
    /* One after the other, the channel must hold everything. */
    if (show("sequential:", sequential, ITEMS) < 0 ||
        show("threads:", with_threads, 16) < 0 || show("tasks:", with_tasks, 16) < 0)
        return 1;
    return 0;
}
