/* SPDX-License-Identifier: MIT */
/*
 * A bounded buffer, shared by plain threads and tasks: two of each put numbers into it,
 * one of each takes them out. It is the classic with a mutex and two conditions, and
 * not a line of put() and get() knows who calls: a wait parks a task, so that its
 * worker goes on with the others, and blocks a thread.
 *
 * A wait group tells when the last producer has finished, whichever kind it is; then
 * the buffer is closed, and the consumers drain it and end. (A channel is all of this
 * in one: see producer_consumer.c.)
 *
 * Prints:
 *   put by 2 threads and 2 tasks: 4000 numbers, sum 1998000
 *   got by a thread and a task:   4000 numbers, sum 1998000
 *   never more than 8 at a time
 */
#include <hocket.h>

#include <pthread.h>
#include <stdio.h>

enum { SLOTS = 8, EACH = 1000 };

/* Valid when zeroed. */
struct buffer {
    hk_mutex lock; /* guards the rest */
    hk_cond has_room, has_items;
    int slots[SLOTS];
    int first, count, count_max;
    bool is_closed;
};

struct tally {
    int count; /* atomic, as the next */
    long sum;
};

struct market {
    struct buffer buffer;
    hk_wait_group producers;
    struct tally put, got;
};

static int buffer_put(struct buffer *b, int item)
{
    int rc = hk_mutex_lock(&b->lock);

    if (rc < 0)
        return rc;
    while (rc == 0 && b->count == SLOTS)
        rc = hk_cond_wait(&b->has_room, &b->lock); /* holds the lock, come what may */
    if (rc == 0) {
        b->slots[(b->first + b->count++) % SLOTS] = item;
        if (b->count > b->count_max)
            b->count_max = b->count;
        hk_cond_signal(&b->has_items);
    }
    hk_mutex_unlock(&b->lock);
    return rc;
}

/* -EPIPE: it is closed, and empty. */
static int buffer_get(struct buffer *b, int *out_item)
{
    int rc = hk_mutex_lock(&b->lock);

    if (rc < 0)
        return rc;
    while (rc == 0 && b->count == 0)
        rc = b->is_closed ? -EPIPE : hk_cond_wait(&b->has_items, &b->lock);
    if (rc == 0) {
        *out_item = b->slots[b->first];
        b->first = (b->first + 1) % SLOTS;
        b->count--;
        hk_cond_signal(&b->has_room);
    }
    hk_mutex_unlock(&b->lock);
    return rc;
}

static void buffer_close(struct buffer *b)
{
    hk_mutex_lock_shielded(&b->lock);
    b->is_closed = true;
    hk_cond_broadcast(&b->has_items);
    hk_mutex_unlock(&b->lock);
}

/* ---- producers and consumers: of either kind ---- */

static void note(struct tally *tally, int item)
{
    __atomic_add_fetch(&tally->count, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&tally->sum, item, __ATOMIC_RELAXED);
}

static int produce(void *arg)
{
    struct market *m = arg;
    int rc = 0;

    for (int i = 0; i < EACH && rc == 0; i++) {
        rc = buffer_put(&m->buffer, i);
        if (rc == 0)
            note(&m->put, i);
    }
    hk_wait_group_done(&m->producers);
    return rc;
}

static int consume(void *arg)
{
    struct market *m = arg;
    int item, rc;

    while ((rc = buffer_get(&m->buffer, &item)) == 0)
        note(&m->got, item);
    return rc == -EPIPE ? 0 : rc;
}

static void *producer_thread(void *arg)
{
    (void)produce(arg); /* nobody cancels a thread that is in no scope */
    return NULL;
}

static void *consumer_thread(void *arg)
{
    (void)consume(arg);
    return NULL;
}

/* ---- */

static int tasks(void *arg)
{
    struct market *m = arg;
    hk_scope scope;
    int rc;

    hk_scope_open(&scope);
    hk_spawn(&scope, produce, m);
    hk_spawn(&scope, produce, m);
    hk_spawn(&scope, consume, m);
    rc = hk_wait_group_wait(&m->producers);
    buffer_close(&m->buffer);
    return hk_scope_end(&scope, rc);
}

int main(void)
{
    static void *(*const bodies[])(void *) = {producer_thread, producer_thread,
                                              consumer_thread};
    struct market m = {0};
    pthread_t threads[3];
    int rc;

    hk_wait_group_add(&m.producers, 4); /* before the first of them starts */
    for (int i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, bodies[i], &m) != 0)
            return 1;
    rc = hk_run(tasks, &m, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);

    printf("put by 2 threads and 2 tasks: %d numbers, sum %ld\n", m.put.count,
           m.put.sum);
    printf("got by a thread and a task:   %d numbers, sum %ld\n", m.got.count,
           m.got.sum);
    printf("%s than %d at a time\n", m.buffer.count_max > SLOTS ? "more" : "never more",
           SLOTS);
    return rc < 0;
}
