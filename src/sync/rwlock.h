/* SPDX-License-Identifier: MIT */
/* The rwlock for its own files; what the bits mean is told in rwlock.c. */
#ifndef HKI_SYNC_RWLOCK_H
#define HKI_SYNC_RWLOCK_H

#include "sync/mutex.h"

#include <hocket/rwlock.h>

/* For messages, statistics, and the end. */
const char *hki_rwlock_name(const hk_rwlock *lock);
uint32_t hki_rwlock_readers(const hk_rwlock *lock);
bool hki_rwlock_is_writing(const hk_rwlock *lock);
/* Somebody writes, and is not about to end. */
bool hki_rwlock_is_shut(const hk_rwlock *lock);

/* "`call`: `the caller` `does` rwlock so and so; who writes, or how many read it". */
_Noreturn void hki_rwlock_panic(const char *call, const hk_rwlock *lock,
                                const char *does) __attribute__((cold));

#endif
