/* SPDX-License-Identifier: MIT */
#include "core/deadlock.h"

void hki_deadlock_quiet(struct hki_worker *worker)
{
    (void)worker;
}

void hki_deadlock_stirs(struct hki_worker *worker)
{
    (void)worker;
}

void hki_deadlock_thread_quiet(struct hki_thread *thread)
{
    (void)thread;
}

void hki_deadlock_thread_stirs(struct hki_thread *thread)
{
    (void)thread;
}
