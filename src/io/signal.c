/* SPDX-License-Identifier: MIT */
/*
 * Signals to many watches. The handler walks a list of the open watches and sets the
 * signal's bit in each that wants it; the bit's change from 0 to 1 adds one to the
 * watch's eventfd, a semaphore. So there are never more counts than bits: who has taken
 * a count finds a bit, and a wait is one read, whose cancel is atomic already.
 *
 * The handler may run on any thread at any moment, and takes no lock. What it walks is
 * unlinked first and freed when no handler is running: one that starts later cannot
 * reach it.
 */
#include <hocket/signal.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "io/handle.h"
#include "sys/os.h"
#include "sys/os_proc.h"

#include <hocket/fd.h>
#include <hocket/scope.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { SIGNO_MAX = 64 };

struct hk_signals {
    struct hk_signals *next; /* atomic for handlers; changed under the lock */
    uint64_t wanted;         /* bit signo - 1; immutable once linked */
    uint64_t arrived;        /* atomic: set by handlers, cleared by waits */
    int counter;             /* immutable: an eventfd, by number for handlers */
    hk_fd counter_fd;        /* the same as a handle, for waits */
};

static struct hk_signals *watches; /* atomic for handlers; changed under the lock */
static uint32_t handlers_running;  /* atomic; pairs watch_unlink and on_signal */
static pid_t process;              /* atomic: where the handlers belong, not a fork */

static hk_lock lock; /* guards the next, and changes of the list */
static struct {
    uint32_t watches;
    struct sigaction former;
} caught[SIGNO_MAX + 1];

static uint64_t bit_of(int signo)
{
    return UINT64_C(1) << (signo - 1);
}

/* ---- in the handler ---- */

static void arrive(struct hk_signals *watch, uint64_t bit)
{
    if (!(watch->wanted & bit))
        return;
    if (!(__atomic_fetch_or(&watch->arrived, bit, __ATOMIC_RELEASE) & bit))
        hki_os_eventfd_signal(watch->counter);
}

/* A forked child that has not yet executed shares our eventfds: its signals are not
 * ours. */
static void on_signal(int signo)
{
    struct hk_signals *watch;

    __atomic_add_fetch(&handlers_running, 1, __ATOMIC_SEQ_CST);
    if (hki_os_process_id() == __atomic_load_n(&process, __ATOMIC_RELAXED))
        for (watch = __atomic_load_n(&watches, __ATOMIC_SEQ_CST); watch;
             watch = __atomic_load_n(&watch->next, __ATOMIC_ACQUIRE))
            arrive(watch, bit_of(signo));
    __atomic_sub_fetch(&handlers_running, 1, __ATOMIC_SEQ_CST);
}

/* ---- the list and the dispositions: under the lock ---- */

/* Signals of the kernel's own (32, 33) are refused by sigaction. */
static int catch_one(int signo)
{
    int rc = 0;

    if (caught[signo].watches == 0)
        rc = hki_os_signal_catch(signo, on_signal, &caught[signo].former);
    if (rc == 0)
        caught[signo].watches++;
    return rc;
}

/* Those of `wanted` below `end`. */
static void release_below(uint64_t wanted, int end)
{
    for (int signo = 1; signo < end; signo++)
        if ((wanted & bit_of(signo)) && --caught[signo].watches == 0)
            hki_os_signal_restore(signo, &caught[signo].former);
}

static int catch_all(uint64_t wanted)
{
    for (int signo = 1; signo <= SIGNO_MAX; signo++) {
        int rc = wanted & bit_of(signo) ? catch_one(signo) : 0;

        if (rc < 0) {
            release_below(wanted, signo);
            return rc;
        }
    }
    return 0;
}

/* Links first: a signal that comes after the catch must find the watch. */
static int watch_link(struct hk_signals *watch)
{
    int rc;

    hk_lock_acquire(&lock);
    __atomic_store_n(&process, hki_os_process_id(), __ATOMIC_RELAXED);
    watch->next = watches;
    __atomic_store_n(&watches, watch, __ATOMIC_SEQ_CST);
    rc = catch_all(watch->wanted);
    hk_lock_release(&lock);
    return rc;
}

static void list_remove(struct hk_signals *watch)
{
    struct hk_signals **at = &watches;

    while (*at != watch)
        at = &(*at)->next;
    __atomic_store_n(at, watch->next, __ATOMIC_SEQ_CST);
}

/* Afterwards no handler knows it: on_signal counts itself in before it reads the list,
 * we change the list before we read the count (sequentially consistent, both). */
static void watch_unlink(struct hk_signals *watch, bool caught_all)
{
    hk_lock_acquire(&lock);
    list_remove(watch);
    if (caught_all)
        release_below(watch->wanted, SIGNO_MAX + 1);
    hk_lock_release(&lock);
    while (__atomic_load_n(&handlers_running, __ATOMIC_SEQ_CST))
        hki_os_thread_yield(); /* it runs for microseconds */
}

/* ---- watches ---- */

static bool can_watch(int signo)
{
    switch (signo) {
    case SIGKILL: /* the kernel lets nobody catch these two */
    case SIGSTOP:
    case SIGSEGV: /* these mean the instruction that is running: they cannot wait */
    case SIGBUS:
    case SIGFPE:
    case SIGILL: return false;
    default: return signo > 0 && signo <= SIGNO_MAX;
    }
}

static int wanted_of(const int *signos, size_t count, uint64_t *out)
{
    uint64_t wanted = 0;

    for (size_t i = 0; i < count; i++) {
        if (!can_watch(signos[i]))
            return -EINVAL;
        wanted |= bit_of(signos[i]);
    }
    if (!wanted)
        return -EINVAL;
    *out = wanted;
    return 0;
}

static int counter_open(struct hk_signals *watch)
{
    watch->counter = hki_os_counter_new();
    if (watch->counter < 0)
        return watch->counter;
    return hki_handle_adopt(watch->counter, 0, &watch->counter_fd);
}

static void watch_destroy(struct hk_signals *watch)
{
    if (watch->counter_fd.value)
        (void)hk_close(watch->counter_fd); /* no news from an eventfd */
    hki_free(watch);
}

int hk_signals_new(const int *signos, size_t count, hk_signals **out)
{
    struct hk_signals *watch;
    uint64_t wanted;
    int rc = wanted_of(signos, count, &wanted);

    if (rc < 0)
        return rc;
    watch = hki_alloc(sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    watch->wanted = wanted;
    rc = counter_open(watch);
    if (rc == 0) {
        rc = watch_link(watch);
        if (rc < 0)
            watch_unlink(watch, false);
    }
    if (rc < 0) {
        watch_destroy(watch);
        return rc;
    }
    *out = watch;
    return 0;
}

void hk_signals_free(hk_signals *watch)
{
    if (!watch)
        return;
    watch_unlink(watch, true);
    watch_destroy(watch);
}

/* The lowest that has arrived. The caller took a count, so there is one. */
static int take(struct hk_signals *watch)
{
    uint64_t arrived = __atomic_load_n(&watch->arrived, __ATOMIC_RELAXED);

    while (!__atomic_compare_exchange_n(&watch->arrived, &arrived,
                                        arrived & (arrived - 1), true, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
        ;
    HKI_ASSERT(arrived, "a count of a signal watch stands for an arrived signal");
    return __builtin_ctzll(arrived) + 1;
}

static void describe(const void *object, char *text, size_t size)
{
    const struct hk_signals *watch = object;
    size_t used = 0;

    for (int signo = 1; signo <= SIGNO_MAX && used < size; signo++) {
        const char *name = sigabbrev_np(signo);
        int len = 0;

        if (!(watch->wanted & bit_of(signo)))
            continue;
        if (name)
            len =
                snprintf(text + used, size - used, "%sSIG%s", used ? " or " : "", name);
        else
            len = snprintf(text + used, size - used, "%s%d", used ? " or " : "", signo);
        used += len > 0 ? (size_t)len : 0;
    }
}

static const hk_wait_kind wait_kind = {
    .name = "signal", .describe = describe, .external = true};

static hk_verdict give_up(hk_waiter *w)
{
    hk_op_cancel(w->data);
    return HK_PENDING; /* a count that was taken stands for a signal */
}

/* As hk_read, but a dump says what is waited for. */
static int take_count(struct hk_signals *watch)
{
    uint64_t one;
    hk_waiter w;
    hk_op op;
    int rc;

    hk_op_read(&op, watch->counter_fd, &one, sizeof(one), -1);
    hk_waiter_init(&w, &wait_kind, watch);
    w.data = &op;
    rc = hk_op_start(&op, &w);
    if (rc == 0)
        rc = hk_park(&w, give_up);
    if (rc == -ECANCELED)
        (void)hk_cancelled(); /* we have told the caller */
    return rc;
}

int hk_signals_wait(hk_signals *watch)
{
    int rc = hk_cancelled();

    if (rc == 0)
        rc = take_count(watch);
    return rc < 0 ? rc : take(watch);
}
