/* SPDX-License-Identifier: MIT */
/*
 * What the checks have seen already: a set of 64-bit keys in bounded memory. Looking a
 * key up takes no lock, since it is done for each lock that is taken under another; by
 * it a known order costs one load as a rule.
 *
 * A key is a hash of what it stands for. That two of the 30,000 at most are the same by
 * chance, and one finding is lost by it, happens once in 10^10 sets that are full.
 */
#ifndef HKI_CORE_CHECK_ONCE_H
#define HKI_CORE_CHECK_ONCE_H

#include <stdbool.h>
#include <stdint.h>

/* Room for the set: 0 or -ENOMEM. Called once, before the first use. */
int hki_once_init(void);

bool hki_once_seen(uint64_t key);

/* 1: it is new; 0: it was there; -ENOMEM: no room. */
int hki_once_add(uint64_t key);
void hki_once_remove(uint64_t key);
void hki_once_clear(void);

/* A key of three numbers (after Steele, Lea and Flood, 2014: SplitMix64's finish). */
static inline uint64_t hki_once_key(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t z = a * UINT64_C(0x9E3779B97F4A7C15) + b;

    z = (z ^ z >> 32) * UINT64_C(0xD6E8FEB86659FD93) + c;
    z = (z ^ z >> 32) * UINT64_C(0xBF58476D1CE4E5B9);
    z ^= z >> 29;
    return z > 1 ? z : z + 2; /* 0 and 1 mean something else to the set */
}

#endif
