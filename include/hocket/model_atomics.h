/* SPDX-License-Identifier: MIT */
/*
 * Takes over the atomic operations of a file that is compiled for a model
 * (<hocket/model.h>): cc -include hocket/model_atomics.h. That is the __atomic_ family
 * of gcc and clang, of 1 to 8 bytes, and the functions of <stdatomic.h>, which gcc
 * makes of it and clang of a family of its own; not what C does by itself with an
 * _Atomic variable (x = 1, x++). A compare-exchange never fails without reason here.
 */
#ifndef HOCKET_MODEL_ATOMICS_H
#define HOCKET_MODEL_ATOMICS_H

#include <hocket/model.h>

#pragma GCC system_header /* redefines names of the compiler */

#define HK_MODEL_UPDATE(p, op, v, want_new)                                            \
    ((__typeof__(*(p)))hk_model_update((p), sizeof(*(p)), (op), (uint64_t)(v),         \
                                       (want_new)))

#define __atomic_load_n(p, order)                                                      \
    ((void)(order), (__typeof__(*(p)))hk_model_load((p), sizeof(*(p))))
#define __atomic_store_n(p, v, order)                                                  \
    hk_model_store((p), sizeof(*(p)), (uint64_t)(v), (order))
#define __atomic_exchange_n(p, v, order)                                               \
    ((void)(order), HK_MODEL_UPDATE(p, HK_MODEL_EXCHANGE, v, false))
#define __atomic_compare_exchange_n(p, expected, desired, weak, order, order_failed)   \
    ((void)(weak), (void)(order), (void)(order_failed),                                \
     hk_model_compare_exchange((p), (expected), sizeof(*(p)), (uint64_t)(desired)))

#define __atomic_fetch_add(p, v, order)                                                \
    ((void)(order), HK_MODEL_UPDATE(p, HK_MODEL_ADD, v, false))
#define __atomic_fetch_sub(p, v, order)                                                \
    ((void)(order), HK_MODEL_UPDATE(p, HK_MODEL_SUB, v, false))
#define __atomic_fetch_and(p, v, order)                                                \
    ((void)(order), HK_MODEL_UPDATE(p, HK_MODEL_AND, v, false))
#define __atomic_fetch_or(p, v, order)                                                 \
    ((void)(order), HK_MODEL_UPDATE(p, HK_MODEL_OR, v, false))
#define __atomic_fetch_xor(p, v, order)                                                \
    ((void)(order), HK_MODEL_UPDATE(p, HK_MODEL_XOR, v, false))
#define __atomic_add_fetch(p, v, order)                                                \
    ((void)(order), HK_MODEL_UPDATE(p, HK_MODEL_ADD, v, true))
#define __atomic_sub_fetch(p, v, order)                                                \
    ((void)(order), HK_MODEL_UPDATE(p, HK_MODEL_SUB, v, true))
#define __atomic_and_fetch(p, v, order)                                                \
    ((void)(order), HK_MODEL_UPDATE(p, HK_MODEL_AND, v, true))
#define __atomic_or_fetch(p, v, order)                                                 \
    ((void)(order), HK_MODEL_UPDATE(p, HK_MODEL_OR, v, true))
#define __atomic_xor_fetch(p, v, order)                                                \
    ((void)(order), HK_MODEL_UPDATE(p, HK_MODEL_XOR, v, true))

/* The forms that take values by address, of which <stdatomic.h> is made. */
#define __atomic_load(p, out, order)                                                   \
    ((void)(*(out) = (__typeof__(*(out)))__atomic_load_n(p, order)))
#define __atomic_store(p, in, order) __atomic_store_n(p, *(in), order)
#define __atomic_exchange(p, in, out, order)                                           \
    ((void)(*(out) = (__typeof__(*(out)))__atomic_exchange_n(p, *(in), order)))
#define __atomic_compare_exchange(p, expected, in, weak, order, order_failed)          \
    __atomic_compare_exchange_n(p, expected, *(in), weak, order, order_failed)

#define __atomic_thread_fence(order) hk_model_fence(order)

#ifdef __clang__
/* What its <stdatomic.h> is made of. The comma takes _Atomic from the type. */
#define HK_MODEL_VALUE(p, value) ((__typeof__(((void)0, *(p))))(value))
#define HK_MODEL_FETCH(p, op, v, order)                                                \
    ((void)(order), HK_MODEL_VALUE(p, hk_model_update((p), sizeof(*(p)), (op),         \
                                                      (uint64_t)(v), false)))

#define __c11_atomic_load(p, order)                                                    \
    ((void)(order), HK_MODEL_VALUE(p, hk_model_load((p), sizeof(*(p)))))
#define __c11_atomic_store(p, v, order)                                                \
    hk_model_store((p), sizeof(*(p)), (uint64_t)(v), (order))
#define __c11_atomic_exchange(p, v, order)                                             \
    HK_MODEL_FETCH(p, HK_MODEL_EXCHANGE, v, order)
#define __c11_atomic_fetch_add(p, v, order) HK_MODEL_FETCH(p, HK_MODEL_ADD, v, order)
#define __c11_atomic_fetch_sub(p, v, order) HK_MODEL_FETCH(p, HK_MODEL_SUB, v, order)
#define __c11_atomic_fetch_and(p, v, order) HK_MODEL_FETCH(p, HK_MODEL_AND, v, order)
#define __c11_atomic_fetch_or(p, v, order) HK_MODEL_FETCH(p, HK_MODEL_OR, v, order)
#define __c11_atomic_fetch_xor(p, v, order) HK_MODEL_FETCH(p, HK_MODEL_XOR, v, order)
#define __c11_atomic_compare_exchange_strong(p, expected, desired, order, failed)      \
    __atomic_compare_exchange_n(p, expected, desired, false, order, failed)
#define __c11_atomic_compare_exchange_weak(p, expected, desired, order, failed)        \
    __atomic_compare_exchange_n(p, expected, desired, true, order, failed)
#define __c11_atomic_thread_fence(order) hk_model_fence(order)
#endif

#endif
