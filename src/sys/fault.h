/* SPDX-License-Identifier: MIT */
/*
 * Stack overflow: a task that steps on the guard pages of its stack is named, and the
 * process aborted. Every other fault goes to whoever handled faults before.
 */
#ifndef HKI_SYS_FAULT_H
#define HKI_SYS_FAULT_H

#include <signal.h>

/*
 * Installs the handlers of SIGSEGV and SIGBUS. `name_of` is called inside them: the
 * name of the task that runs on the calling thread, and the lowest address of its
 * stack, above the guard; NULL when none runs there.
 */
void hki_overflow_start(const char *(*name_of)(const char **out_low));
/* Restores what was there. */
void hki_overflow_stop(void);

/* The stack on which the handlers of one thread run. */
struct hki_signal_stack {
    void *memory; /* NULL: the thread had one, or there was no memory */
    stack_t former;
};

/* Before the calling thread runs tasks, and after. Without memory for it an overflow
 * still ends the process, but namelessly. */
void hki_signal_stack_open(struct hki_signal_stack *stack);
void hki_signal_stack_close(struct hki_signal_stack *stack);

#endif
