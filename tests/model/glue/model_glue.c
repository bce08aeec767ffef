/* SPDX-License-Identifier: MIT */
/*
 * What stands in for the kernel and the clock in a model: futexes, membarrier, pauses
 * and the time go to the model explorer, and the deadlock census, which sleeps and
 * counts real threads, stays out. Compiled, as the files under test, with the atomics
 * of a model.
 */
#include "base/assert.h"
#include "base/fence.h"
#include "base/spin.h"
#include "core/deadlock.h"
#include "sys/futex.h"

#include <hocket/model.h>
#include <hocket/timer.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Time stands still: nothing may depend on how long a run takes. (The names of this and
 * the next function are changed when it is compiled, see tests/meson.build.) */
int64_t hk_now(void)
{
    return 0;
}

/* A panic is a failure of the run, and told with its choices. */
void hki_panic(const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    hk_model_fail(text);
    fprintf(stderr, "outside of a model: %s\n", text);
    abort();
}

void hki_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    hk_model_wait(word, expected, deadline_ns != HK_NEVER);
}

void hki_futex_wake(uint32_t *word, uint32_t count)
{
    hk_model_wake(word, count);
}

/* The explorer sees by itself that a thread looks at the same word again and again, and
 * lets others run; a few times in a row it is let be, so that it goes to sleep. */
void hki_spin_pause(unsigned turn)
{
    (void)turn;
}

void hki_spin_yield(void)
{
}

void hki_fence_prepare(void)
{
}

bool hki_fence_is_available(void)
{
    return true;
}

void hki_fence_everywhere(void)
{
    hk_model_fence_everywhere();
}

void hki_fence_await_zero(const uint32_t *word)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != 0)
        hk_model_yield();
}

void hki_deadlock_worker_starts(struct hki_self *outer)
{
    (void)outer;
}

void hki_deadlock_worker_ends(struct hki_self *outer)
{
    (void)outer;
}

void hki_deadlock_thread_joins(struct hki_thread *thread)
{
    (void)thread;
}

void hki_deadlock_forget(void)
{
}

void hki_deadlock_thread_leaves(struct hki_thread *thread)
{
    (void)thread;
}

void hki_deadlock_quiet(struct hki_worker *worker)
{
    (void)worker;
}

void hki_deadlock_stirs(struct hki_worker *worker)
{
    (void)worker;
}

void hki_deadlock_thread_quiet(struct hki_thread *thread, uint32_t sequence)
{
    (void)thread;
    (void)sequence;
}

void hki_deadlock_thread_stirs(struct hki_thread *thread)
{
    (void)thread;
}
