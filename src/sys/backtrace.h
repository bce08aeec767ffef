/* SPDX-License-Identifier: MIT */
/*
 * Return addresses: of the caller, of a parked stack, of what a signal interrupted, and
 * of another thread, which a signal makes record its own.
 */
#ifndef HKI_SYS_BACKTRACE_H
#define HKI_SYS_BACKTRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HKI_FRAMES_MAX = 24,
    HKI_NOTE_SIZE = 64,
};

/* Innermost first. */
struct hki_frames {
    void *pc[HKI_FRAMES_MAX];
    int count;
    bool first_is_exact; /* pc[0] is the next instruction, not a return address */
};

/* The first unwinding of a process loads a library: not in a signal handler. */
void hki_backtrace_warm_up(void);

/* Of the caller. */
void hki_backtrace_here(struct hki_frames *out);

/*
 * Return addresses by the chain of frame pointers, the caller's own first, NULL after
 * the last: a few nanoseconds. Right as far as code keeps frame pointers; it ends where
 * a frame does not lie above the one before and below `top`.
 */
static inline __attribute__((always_inline)) void hki_backtrace_by_frames(
    const char *top, const void **out, int max)
{
    void *const *frame = __builtin_frame_address(0);
    int count = 0;

    while (count < max) {
        void *const *outer = frame[0];

        out[count++] = frame[1];
        if (outer <= frame || (const char *)(outer + 2) > top ||
            ((uintptr_t)outer & (sizeof(void *) - 1)))
            break;
        frame = outer;
    }
    if (count < max)
        out[count] = NULL;
}

/* Of a stack that is parked at `sp` and stays so meanwhile. Nothing is written to
 * it. */
void hki_backtrace_parked(void *sp, struct hki_frames *out);

/* Of what a signal interrupted; `context` is the handler's ucontext_t. For handlers. */
void hki_backtrace_interrupted(void *context, struct hki_frames *out);

/* The same to `out`, as far down as `max` allows; the count, 1 at least. The first is
 * exact. */
int hki_backtrace_deep(void *context, void **out, int max);

/* ---- of another thread ---- */

/* What a thread was doing. */
struct hki_sample {
    struct hki_frames frames;
    char note[HKI_NOTE_SIZE]; /* what `note` wrote */
};

/*
 * Installs the handler of the signal that is used (SIGURG: ignored by default, so one
 * that comes late harms nobody). A handler that the program had there is called for
 * signals that are not ours. `note` is called on the sampled thread, inside the
 * handler, with text[0] == 0.
 */
void hki_sample_start(void (*note)(char *text, size_t size));
/* Restores what was there. No sample is being taken. */
void hki_sample_stop(void);

/* Makes the thread record what it does; false when it has not in time, because it
 * blocks the signal, or the kernel holds it. Any thread but that one. */
bool hki_sample_take(int thread_id, int64_t patience_ns, struct hki_sample *out);

#endif
