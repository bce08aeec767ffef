/* SPDX-License-Identifier: MIT */
/*
 * What the sanitizers must be told. In the logical mode of TSan (HOCKET_TSAN_LOGICAL)
 * base, sys and core are not instrumented, and the only happens-before edges between
 * tasks are those that the API promises, published here: so that a race between two
 * tasks of one worker is found although one thread runs both.
 */
#ifndef HKI_BASE_ANNOTATE_H
#define HKI_BASE_ANNOTATE_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HKI_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define HKI_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HKI_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) || defined(HOCKET_TSAN_LOGICAL)
#define HKI_TSAN 1
#endif

#ifdef HKI_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define HKI_HB_RELEASE(address) __tsan_release((void *)(address))
#define HKI_HB_ACQUIRE(address) __tsan_acquire((void *)(address))
#else
#define HKI_HB_RELEASE(address) ((void)(address))
#define HKI_HB_ACQUIRE(address) ((void)(address))
#endif

#endif
