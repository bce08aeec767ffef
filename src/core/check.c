/* SPDX-License-Identifier: MIT */
/* The checks: switching them on and off, and their public forms for locks of others. */
#include "core/check.h"

#include "core/check_once.h"
#include "core/runtime.h"
#include "sys/os.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HOLD_LIMIT_NS (100 * HK_MILLISECOND)

uint32_t hki_checks;

static pthread_mutex_t switch_lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_prepared; /* guarded by switch_lock */

static uint32_t epoch;                        /* atomic */
static uint32_t only_report;                  /* atomic */
static int64_t hold_limit_ns = HOLD_LIMIT_NS; /* atomic */

struct hki_check_settings hki_check_settings(void)
{
    return (struct hki_check_settings){
        .only_report = __atomic_load_n(&only_report, __ATOMIC_RELAXED),
        .hold_limit_ns = __atomic_load_n(&hold_limit_ns, __ATOMIC_RELAXED),
    };
}

uint32_t hki_check_epoch(void)
{
    return __atomic_load_n(&epoch, __ATOMIC_RELAXED);
}

/* With the lock. The memory stays: who has seen the checks on may still use it. */
static int prepare(void)
{
    int rc;

    if (is_prepared)
        return 0;
    hki_backtrace_warm_up();
    rc = hki_once_init();
    if (rc == 0)
        rc = hki_order_init();
    is_prepared = rc == 0;
    return rc;
}

/* With the lock. */
static void switch_to(uint32_t what, const hk_check_options *o)
{
    int64_t limit_ns = o->hold_limit_ns;

    limit_ns = limit_ns < 0 ? HK_NEVER : limit_ns ? limit_ns : HOLD_LIMIT_NS;
    __atomic_store_n(&only_report, o->on_deadlock == HK_DEADLOCK_REPORT,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&hold_limit_ns, limit_ns, __ATOMIC_RELAXED);
    if (what && !hki_checks)
        __atomic_add_fetch(&epoch, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&hki_checks, what, __ATOMIC_RELEASE);
}

int hk_check(uint32_t what, const hk_check_options *options)
{
    const hk_check_options defaults = {.hold_limit_ns = 0};
    int rc = 0;

    if (!options)
        options = &defaults;
    if ((what & ~(uint32_t)HK_CHECK_LOCKS) || options->on_deadlock > HK_DEADLOCK_REPORT)
        return -EINVAL;
    pthread_mutex_lock(&switch_lock);
    if (what)
        rc = prepare();
    if (rc == 0)
        switch_to(what, options);
    pthread_mutex_unlock(&switch_lock);
    return rc;
}

uint32_t hk_checks(void)
{
    return __atomic_load_n(&hki_checks, __ATOMIC_RELAXED);
}

/* ---- by the environment ---- */

/* A number of milliseconds; 0: it is none. */
static int64_t read_ms(const char *text)
{
    char *end;
    long ms = strtol(text, &end, 10);

    return end > text && !*end && ms > 0 && ms <= INT64_MAX / HK_MILLISECOND ? ms : 0;
}

/* One word of it; false: unknown, and nothing is changed. */
static bool apply_word(const char *word, uint32_t *what, hk_check_options *options)
{
    if (strcmp(word, "locks") == 0) {
        *what |= HK_CHECK_LOCKS;
    } else if (strcmp(word, "report") == 0) {
        options->on_deadlock = HK_DEADLOCK_REPORT;
    } else if (strcmp(word, "hold=never") == 0) {
        options->hold_limit_ns = -1;
    } else if (strncmp(word, "hold=", 5) == 0 && read_ms(word + 5)) {
        options->hold_limit_ns = read_ms(word + 5) * HK_MILLISECOND;
    } else {
        return false;
    }
    return true;
}

static __attribute__((constructor)) void obey_environment(void)
{
    const char *words = hki_os_environment("HOCKET_CHECK");
    hk_check_options options = {.hold_limit_ns = 0};
    uint32_t what = 0;
    char text[128], *rest = text;

    if (!words || !*words)
        return;
    (void)strncpy(text, words, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (char *word; (word = strsep(&rest, ","));)
        if (!apply_word(word, &what, &options))
            hki_log(HK_LOG_ERROR,
                    "HOCKET_CHECK: unknown word '%s'; known are locks, "
                    "report, hold=<milliseconds> and hold=never",
                    word);
    if (!what)
        hki_log(HK_LOG_ERROR,
                "HOCKET_CHECK=%s: nothing is checked without the word 'locks'", words);
    if (hk_check(what, &options) < 0)
        hki_log(HK_LOG_ERROR, "HOCKET_CHECK: no memory for the checks");
}

/* ---- for locks outside ---- */

static enum hki_holding holding(bool shared)
{
    return shared ? HKI_HELD_SHARED : HKI_HELD_ALONE;
}

void hk_check_order(const void *lock, const hk_wait_kind *kind, bool shared)
{
    if (hki_is_checking())
        hki_check_order(hki_self(), lock, kind, holding(shared));
}

void hk_check_took(const void *lock, const hk_wait_kind *kind, bool shared)
{
    if (hki_is_checking())
        hki_check_took(hki_self(), lock, kind, holding(shared));
}

void hk_check_gave(const void *lock)
{
    if (hki_is_checking())
        hki_check_gave(hki_self(), lock);
}

void hk_check_forget(const void *lock)
{
    if (hki_is_checking())
        hki_check_forget(lock);
}

size_t hk_check_holders(const void *lock, hk_holder *out, size_t max)
{
    return hki_check_holders(lock, out, max);
}

hk_holder hk_check_me(void)
{
    return hki_self();
}
