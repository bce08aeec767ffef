/* SPDX-License-Identifier: MIT */
/*
 * All memory that the library takes from the heap: counted for the ledger, and the
 * place where tests make an allocation fail.
 */
#ifndef HKI_BASE_ALLOC_H
#define HKI_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed memory; NULL when there is none (or a fault is armed). */
void *hki_alloc(size_t size_bytes);
/* As realloc; on failure NULL and the old block stays. The new part is not zeroed. */
void *hki_realloc(void *old, size_t size_bytes);
/* NULL is fine. */
void hki_free(void *block);
char *hki_strdup(const char *text);

/* Likewise, but aligned to 64 bytes and not counted: for what is kept like a cache. */
void *hki_alloc_kept(size_t size_bytes);
void hki_free_kept(void *block);

/* Bytes that are allocated now. */
uint64_t hki_alloc_bytes(void);
/* For caches, which are not counted: so many go out of one, or (negative) into it. */
void hki_alloc_count(int64_t bytes);

/* A thread's own count of such bytes, for who counts often. It stays for ever. */
struct hki_tally {
    struct hki_tally *next; /* immutable once registered */
    uint64_t bytes;         /* atomic; one thread at a time writes; may wrap */
};

void hki_tally_register(struct hki_tally *tally);

static inline void hki_tally_count(struct hki_tally *tally, int64_t bytes)
{
    uint64_t before = __atomic_load_n(&tally->bytes, __ATOMIC_RELAXED);

    __atomic_store_n(&tally->bytes, before + (uint64_t)bytes, __ATOMIC_RELAXED);
}

/* Faults; `kind` is an hk_fault. -errno when this call must fail, else 0. */
int hki_fault(int kind);
/* A first look, for who cannot afford the call: false: no fault is armed or counted. */
extern uint32_t hki_faults_are_on __attribute__((visibility("hidden"))); /* atomic */
void hki_fault_arm(int kind, uint64_t nth, int error);
uint64_t hki_fault_count(int kind);

#endif
