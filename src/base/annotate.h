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

/*
 * Around reading what tasks wrote while they cannot run: order that the logical mode,
 * which knows no order between tasks but what the API promises, takes for a race.
 */
#ifdef HOCKET_TSAN_LOGICAL
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
#define HKI_READS_OF_ALL_BEGIN() AnnotateIgnoreReadsBegin(__FILE__, __LINE__)
#define HKI_READS_OF_ALL_END() AnnotateIgnoreReadsEnd(__FILE__, __LINE__)
#else
#define HKI_READS_OF_ALL_BEGIN() ((void)0)
#define HKI_READS_OF_ALL_END() ((void)0)
#endif

/*
 * Adds to a counter that one thread writes and any may read: a late number is fine, a
 * torn one does not exist for an aligned word. A relaxed store would say so, but costs
 * the path of a switch two instructions more than an addition in memory.
 */
#ifdef HKI_TSAN
#define HKI_COUNT(counter, by)                                                         \
    __atomic_store_n(&(counter), (counter) + (by), __ATOMIC_RELAXED)
#else
#define HKI_COUNT(counter, by) ((void)((counter) += (by)))
#endif

/*
 * A word that one thread alone reads and writes, in whichever of its tasks: an order
 * that the logical mode does not know.
 */
#ifdef HKI_TSAN
#define HKI_OWN_GET(word) __atomic_load_n(&(word), __ATOMIC_RELAXED)
#define HKI_OWN_SET(word, value) __atomic_store_n(&(word), (value), __ATOMIC_RELAXED)
#else
#define HKI_OWN_GET(word) (word)
#define HKI_OWN_SET(word, value) ((void)((word) = (value)))
#endif

#endif
