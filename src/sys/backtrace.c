/* SPDX-License-Identifier: MIT */
/*
 * Unwinding is the C library's backtrace(3), which reads the unwind tables: it needs no
 * frame pointers, and crosses signal frames. It stops at hki_entry_thunk, the first
 * frame of every task.
 *
 * A sample is one static request. Who asks owns it by `turn`; the sampled thread claims
 * it in the handler by a compare-and-swap, so that a signal that arrives after the
 * asker gave up finds nothing to do.
 */
#include "sys/backtrace.h"

#include "base/annotate.h"
#include "base/lock.h"
#include "sys/context.h"
#include "sys/futex.h"
#include "sys/os.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

enum {
    OWN_FRAMES = 8, /* at most, between backtrace() and what is asked for */
    SIGNAL = SIGURG,
};

struct raw {
    void *pc[HKI_FRAMES_MAX + OWN_FRAMES];
    int count;
};

void hki_backtrace_warm_up(void)
{
    void *pc[2];

    (void)backtrace(pc, 2);
}

static void keep_from(const struct raw *raw, int first, struct hki_frames *out)
{
    int count = raw->count - first;

    out->count = count < HKI_FRAMES_MAX ? count : HKI_FRAMES_MAX;
    out->first_is_exact = false;
    memcpy(out->pc, raw->pc + first, (size_t)out->count * sizeof(out->pc[0]));
}

__attribute__((noinline)) void hki_backtrace_here(struct hki_frames *out)
{
    struct raw raw;

    raw.count = backtrace(raw.pc, HKI_FRAMES_MAX + OWN_FRAMES);
    keep_from(&raw, raw.count > 1 ? 1 : 0, out);
}

/* ---- of a parked stack ---- */

static void collect(void *arg)
{
    struct raw *raw = arg;

    raw->count = backtrace(raw->pc, HKI_FRAMES_MAX + OWN_FRAMES);
}

static bool is_in_call_from(const void *pc)
{
    enum { LENGTH_MAX = 64 }; /* bytes of code, with some to spare */

    return (uintptr_t)pc - (uintptr_t)hki_call_from < LENGTH_MAX;
}

void hki_backtrace_parked(void *sp, struct hki_frames *out)
{
    struct raw raw = {.count = 0};
    int first = 0;

    hki_call_from(sp, collect, &raw);
    while (first < raw.count && !is_in_call_from(raw.pc[first]))
        first++;
    keep_from(&raw, first < raw.count ? first + 1 : first, out);
}

/* ---- of what a signal interrupted ---- */

static void *interrupted_pc(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (void *)(uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (void *)(uintptr_t)context->uc_mcontext.pc;
#endif
}

/* The index of frame `pc`; raw->count when the unwinder got lost on the way to it. */
static int unwind_to(struct raw *raw, const void *pc)
{
    int first = 0;

    raw->count = backtrace(raw->pc, HKI_FRAMES_MAX + OWN_FRAMES);
    while (first < raw->count && raw->pc[first] != pc)
        first++;
    return first;
}

#if defined(__aarch64__)
/*
 * A stub of the linker has no unwind table here, so the unwinder ends at it. It leaves
 * by a jump: its caller's address is still where the call has put it. So the unwinder
 * is shown the caller as what was interrupted, for as long as it looks.
 */
static int unwind_behind_stub(struct raw *raw, ucontext_t *context)
{
    uintptr_t pc = context->uc_mcontext.pc, caller = context->uc_mcontext.regs[30];
    int first;

    context->uc_mcontext.pc = caller;
    first = unwind_to(raw, (void *)caller);
    context->uc_mcontext.pc = pc;
    if (first == 0 || first == raw->count)
        return raw->count;
    raw->pc[--first] = (void *)pc; /* over a frame of our own */
    return first;
}
#endif

void hki_backtrace_interrupted(void *context, struct hki_frames *out)
{
    void *pc = interrupted_pc(context);
    struct raw raw;
    int first = unwind_to(&raw, pc);

#if defined(__aarch64__)
    if (first >= raw.count - 1)
        first = unwind_behind_stub(&raw, context);
#endif
    if (first == raw.count) {
        raw.pc[0] = pc;
        raw.count = 1;
        first = 0;
    }
    keep_from(&raw, first, out);
    out->first_is_exact = true;
}

int hki_backtrace_deep(void *context, void **out, int max)
{
    void *pc = interrupted_pc(context);
    int count = backtrace(out, max), first = 0;

    while (first < count && out[first] != pc)
        first++;
    if (first == count) {
        out[0] = pc;
        return 1;
    }
    memmove(out, out + first, (size_t)(count - first) * sizeof(*out));
    return count - first;
}

/* ---- of another thread ---- */

enum { FREE, ASKED, CLAIMED, ANSWERED };

static struct {
    uint32_t turn;            /* the lock of who asks */
    uint32_t state;           /* atomic, and a futex; one of the above */
    int thread_id;            /* atomic: who is asked */
    struct hki_sample sample; /* the handler's from CLAIMED to ANSWERED */
} request;

static void (*write_note)(char *text, size_t size);
static struct sigaction former; /* while ours is installed: immutable */

static void pass_on(int signo, siginfo_t *info, void *context)
{
    if (former.sa_flags & SA_SIGINFO)
        former.sa_sigaction(signo, info, context);
    else if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN)
        former.sa_handler(signo);
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
    uint32_t asked = ASKED;
    int saved = errno;

    if (__atomic_load_n(&request.thread_id, __ATOMIC_ACQUIRE) != hki_os_thread_id() ||
        !__atomic_compare_exchange_n(&request.state, &asked, CLAIMED, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        pass_on(signo, info, context);
    } else {
        HKI_HB_ACQUIRE(&request);
        hki_backtrace_interrupted(context, &request.sample.frames);
        request.sample.note[0] = '\0';
        write_note(request.sample.note, sizeof(request.sample.note));
        HKI_HB_RELEASE(&request);
        __atomic_store_n(&request.state, ANSWERED, __ATOMIC_RELEASE);
        hki_futex_wake(&request.state, 1);
    }
    errno = saved;
}

void hki_sample_start(void (*note)(char *text, size_t size))
{
    struct sigaction action = {
        .sa_sigaction = on_signal,
        .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK,
    };

    write_note = note;
    sigfillset(&action.sa_mask);
    (void)sigaction(SIGNAL, NULL, &former); /* before: the handler may run at once */
    (void)sigaction(SIGNAL, &action, NULL);
}

void hki_sample_stop(void)
{
    struct sigaction now;

    if (sigaction(SIGNAL, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
        now.sa_sigaction == on_signal)
        (void)sigaction(SIGNAL, &former, NULL);
}

/* The answer, or false when the patience is over: the request is then withdrawn, unless
 * the handler has begun, which then is done soon. */
static bool await_answer(int64_t deadline_ns)
{
    for (;;) {
        uint32_t state = __atomic_load_n(&request.state, __ATOMIC_ACQUIRE);

        if (state == ANSWERED)
            return true;
        if (hki_os_now_ns() < deadline_ns || state == CLAIMED)
            hki_futex_wait(&request.state, state,
                           state == CLAIMED ? INT64_MAX : deadline_ns);
        else if (__atomic_compare_exchange_n(&request.state, &state, FREE, false,
                                             __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return false;
    }
}

bool hki_sample_take(int thread_id, int64_t patience_ns, struct hki_sample *out)
{
    bool answered = false;

    hki_lock_acquire(&request.turn);
    __atomic_store_n(&request.thread_id, thread_id, __ATOMIC_RELEASE);
    HKI_HB_RELEASE(&request);
    __atomic_store_n(&request.state, ASKED, __ATOMIC_RELEASE);
    if (hki_os_thread_signal(thread_id, SIGNAL) == 0)
        answered = await_answer(hki_os_now_ns() + patience_ns);
    HKI_HB_ACQUIRE(&request);
    if (answered)
        *out = request.sample;
    __atomic_store_n(&request.thread_id, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&request.state, FREE, __ATOMIC_RELEASE);
    hki_lock_release(&request.turn);
    return answered;
}
