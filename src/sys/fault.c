/* SPDX-License-Identifier: MIT */
/*
 * The handler runs on an alternate stack, since the task's own is used up. It touches
 * no heap and waits for no lock for ever: the overflow may have struck anywhere, also
 * in malloc. The sentence that names the task is written before anything that could go
 * wrong, and a second fault on the way ends in the same abort.
 */
#include "sys/fault.h"

#include "sys/backtrace.h"
#include "sys/os.h"
#include "sys/stack.h"
#include "sys/symbols.h"

#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    STACK_SIZE = 128 * 1024, /* with room for what a wide CPU saves on it */
    GOOD_ENOUGH = 32 * 1024, /* an alternate stack of somebody else's: kept */
    SHOWN_MAX = 12,          /* frames, and runs of equal ones */
    FOLD_MIN = 3,            /* so many equal ones are shown as one line */
    DEEP_MAX = 1 << 16,      /* frames that are looked at */
    FRAME_MAX = 64 * 1024 * 1024,
    BELOW_SP_MAX = 4096, /* of the stack pointer: red zone, pushes, a probe */
};

static const int signals[2] = {SIGSEGV, SIGBUS};
static struct sigaction former[2]; /* while ours are installed: immutable */
static const char *(*task_name)(const char **out_low);
static int reporting_thread; /* atomic: who reports an overflow; 0: nobody */

/* ---- the report ---- */

static void say(const char *text, size_t len)
{
    (void)hki_os_write_all(STDERR_FILENO, text, len); /* nobody left to tell */
}

/* With its guard, as in hk_options. */
static size_t size_of(const char *low)
{
    size_t guard = HKI_STACK_GUARD_PAGES * hki_os_page_size();
    const struct hki_stack *stack = hki_stack_of_guard(low - 1);

    return stack ? (size_t)((const char *)(stack + 1) - low) + guard : 0;
}

static void say_frame(const void *pc, bool exact, bool first)
{
    struct hki_symbol symbol;
    char text[256];
    size_t len;
    int start =
        snprintf(text, sizeof(text), "%s",
                 first ? "hocket: the frame that overflowed: " : "hocket:     ");

    hki_symbol_find(pc, exact, false, &symbol);
    len = (size_t)start +
          hki_symbol_text(&symbol, text + start, sizeof(text) - (size_t)start - 1);
    text[len++] = '\n';
    say(text, len);
}

/* How many of the first ones are equal. */
static int equal_from(void *const *pc, int count)
{
    int same = 1;

    while (same < count && pc[same] == pc[0])
        same++;
    return same;
}

_Noreturn static void report(const char *name, const char *low, void *context)
{
    static void *pc[DEEP_MAX]; /* one thread reports, once */
    int count, shown = 0;
    char text[256];
    int len = snprintf(text, sizeof(text),
                       "hocket: stack overflow in task '%.100s' (stack of %zu KiB; "
                       "hk_options.stack_size_bytes gives more)\n",
                       name, size_of(low) / 1024);

    say(text, (size_t)len);
    count = hki_backtrace_deep(context, pc, DEEP_MAX);
    for (int i = 0; i < count && shown < SHOWN_MAX; i++, shown++) {
        int same = equal_from(pc + i, count - i);

        say_frame(pc[i], i == 0, i == 0);
        if (same > FOLD_MIN) {
            len = snprintf(text, sizeof(text),
                           "hocket:     ... the same frame %d times more\n", same - 1);
            say(text, (size_t)len);
            i += same - 1;
        }
    }
    abort();
}

/* One thread reports; others that overflow at the same time wait for its abort. */
static void begin_report(void)
{
    int me = hki_os_thread_id(), nobody = 0;

    if (__atomic_compare_exchange_n(&reporting_thread, &nobody, me, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return;
    if (nobody == me)
        abort(); /* the report itself has faulted */
    for (;;)
        (void)pause();
}

/* ---- all other faults ---- */

static int index_of(int signo)
{
    return signo == signals[0] ? 0 : 1;
}

/* As if we had never been there: the instruction is tried again without a handler, and
 * a signal that somebody sent is sent again. */
static void default_action(int signo, const siginfo_t *info)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};

    (void)sigaction(signo, &standard, NULL);
    if (info->si_code <= 0)
        (void)raise(signo);
}

static void pass_on(int signo, siginfo_t *info, void *context)
{
    const struct sigaction *next = &former[index_of(signo)];

    if (next->sa_flags & SA_SIGINFO)
        next->sa_sigaction(signo, info, context);
    else if (next->sa_handler == SIG_IGN && info->si_code <= 0)
        return; /* only a signal that was sent can be ignored */
    else if (next->sa_handler == SIG_IGN || next->sa_handler == SIG_DFL)
        default_action(signo, info);
    else
        next->sa_handler(signo);
}

static uintptr_t interrupted_sp(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.sp;
#endif
}

/*
 * True when a task whose stack begins at `own_low` has overflowed it: it touched its
 * own guard, or (code built without -fstack-clash-protection) its frame reaches from
 * the stack over the guard to beyond `address`. The guard of another's stack, touched
 * by a task that stands well on its own, means a stray pointer.
 */
static bool is_overflow(const char *own_low, const void *address, const void *context)
{
    uintptr_t low = (uintptr_t)own_low, at = (uintptr_t)address;
    uintptr_t sp = interrupted_sp(context);
    const struct hki_stack *hit = hki_stack_of_guard(address);

    if (hit && hit->context.low == own_low)
        return true;
    return sp < low && low - sp < FRAME_MAX && at < low && at + BELOW_SP_MAX >= sp;
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
    const char *low = NULL;
    const char *name = info->si_code > 0 ? task_name(&low) : NULL;

    if (name && is_overflow(low, info->si_addr, context)) {
        begin_report();
        report(name, low, context);
    }
    pass_on(signo, info, context);
}

/* ---- installing ---- */

void hki_overflow_start(const char *(*name_of)(const char **out_low))
{
    /* No signal is held off, so that a fault in the report comes to us again, and a
     * former handler that leaves by a long jump leaves nothing blocked. */
    struct sigaction action = {
        .sa_sigaction = on_fault,
        .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
    };

    task_name = name_of;
    for (int i = 0; i < 2; i++) {
        (void)sigaction(signals[i], NULL, &former[i]);
        (void)sigaction(signals[i], &action, NULL);
    }
}

void hki_overflow_stop(void)
{
    for (int i = 0; i < 2; i++) {
        struct sigaction now;

        if (sigaction(signals[i], NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
            now.sa_sigaction == on_fault)
            (void)sigaction(signals[i], &former[i], NULL);
    }
}

void hki_signal_stack_open(struct hki_signal_stack *stack)
{
    stack_t ours = {.ss_size = STACK_SIZE};
    size_t page = hki_os_page_size();

    stack->memory = NULL;
    if (sigaltstack(NULL, &stack->former) < 0 ||
        (!(stack->former.ss_flags & SS_DISABLE) &&
         stack->former.ss_size >= GOOD_ENOUGH))
        return;
    stack->memory = hki_os_reserve(STACK_SIZE + page);
    if (!stack->memory)
        return;
    (void)hki_os_guard(stack->memory, page); /* only makes an overflow of it visible */
    ours.ss_sp = (char *)stack->memory + page;
    (void)sigaltstack(&ours, NULL);
}

void hki_signal_stack_close(struct hki_signal_stack *stack)
{
    stack_t now;

    if (!stack->memory)
        return;
    /* Unless the program has put its own in the place. */
    if (sigaltstack(NULL, &now) == 0 &&
        now.ss_sp == (char *)stack->memory + hki_os_page_size())
        (void)sigaltstack(&stack->former, NULL);
    hki_os_release(stack->memory, STACK_SIZE + hki_os_page_size());
    stack->memory = NULL;
}
