/* SPDX-License-Identifier: MIT */
/*
 * Branch hints, and the panic: what happens on misuse and on a broken invariant, in
 * every build. It prints one sentence and aborts.
 */
#ifndef HKI_BASE_ASSERT_H
#define HKI_BASE_ASSERT_H

#define HKI_LIKELY(x) __builtin_expect(!!(x), 1)
#define HKI_UNLIKELY(x) __builtin_expect(!!(x), 0)

_Noreturn void hki_panic(const char *format, ...)
    __attribute__((format(printf, 1, 2), cold));

/* An invariant of ours. The sentence says what must hold. */
#define HKI_ASSERT(condition, sentence)                                                \
    do {                                                                               \
        if (HKI_UNLIKELY(!(condition)))                                                \
            hki_panic("broken invariant: %s (%s:%d)", sentence, __FILE__, __LINE__);   \
    } while (0)

#endif
