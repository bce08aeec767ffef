/* SPDX-License-Identifier: MIT */
/* For the tests of blocking calls: some that wait at gates of libc (a semaphore), as a
 * library that knows nothing of hocket would. */
#ifndef TESTS_UNIT_TO_THREAD_TEST_H
#define TESTS_UNIT_TO_THREAD_TEST_H

#include "homes_test.h"

#include <semaphore.h>

static inline uint64_t calls_alive(void)
{
    hk_ledger ledger;

    hk_ledger_read(&ledger);
    return ledger.calls;
}

/* A call that waits for the test. */
struct gate {
    sem_t begun, open;
    int destroyed; /* atomic */
    sem_t is_destroyed;
};

static inline struct gate *gate_new(void)
{
    struct gate *gate = calloc(1, sizeof(*gate));

    CHECK(gate);
    CHECK_EQ(sem_init(&gate->begun, 0, 0), 0);
    CHECK_EQ(sem_init(&gate->open, 0, 0), 0);
    CHECK_EQ(sem_init(&gate->is_destroyed, 0, 0), 0);
    return gate;
}

static inline int wait_at_gate(void *arg)
{
    struct gate *gate = arg;

    sem_post(&gate->begun);
    while (sem_wait(&gate->open) < 0)
        ;
    return 42;
}

static inline void gate_destroy(void *arg)
{
    struct gate *gate = arg;

    CHECK_EQ(__atomic_add_fetch(&gate->destroyed, 1, __ATOMIC_RELAXED), 1);
    sem_post(&gate->is_destroyed);
}

static inline void await(sem_t *sem)
{
    while (sem_wait(sem) < 0)
        ;
}

/* Until abandoned calls have returned, too. */
static inline void await_no_calls(void)
{
    while (calls_alive())
        usleep(100);
}

static inline int blocks_in_a_thread(void *arg)
{
    CHECK_EQ(hk_to_thread(wait_at_gate, arg), 42);
    return 0;
}

/* A task-local value, and how many were destroyed. */
static int destroyed_values; /* atomic */

static void destroy_value(void *value)
{
    (void)value;
    __atomic_add_fetch(&destroyed_values, 1, __ATOMIC_RELAXED);
}

static hk_local local = HK_LOCAL_INIT(destroy_value);

#endif
