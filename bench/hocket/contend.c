/* SPDX-License-Identifier: MIT */
/* Two threads that want the same lock all the time: the mutex, and the rwlock with 95 %
 * readers. */
#include "hocket.h"

static hk_mutex mutex;
static hk_rwlock rwlock;
static volatile uint64_t shared_value;

static void lock_once(uint64_t turn)
{
    (void)turn;
    must(hk_mutex_lock(&mutex), "lock");
    shared_value++;
    hk_mutex_unlock(&mutex);
}

void hocket_mutex2(int argc, char **args)
{
    (void)argc;
    (void)args;
    bench_contend(lock_once);
}

static void read_or_write(uint64_t turn)
{
    if (turn % RWLOCK_WRITES == 0) {
        must(hk_rwlock_write_lock(&rwlock), "write lock");
        shared_value++;
        hk_rwlock_write_unlock(&rwlock);
    } else {
        must(hk_rwlock_read_lock(&rwlock), "read lock");
        (void)shared_value;
        hk_rwlock_read_unlock(&rwlock);
    }
}

void hocket_rwlock(int argc, char **args)
{
    (void)argc;
    (void)args;
    bench_contend(read_or_write);
}
