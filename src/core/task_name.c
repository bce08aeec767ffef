/* SPDX-License-Identifier: MIT */
/* What tasks and threads are called, in messages: as somebody named them, else after
 * the function that they run. */
#include "core/task.h"
#include "core/thread.h"

#include "sys/function_name.h"

static const char *name_of(const struct hki_task *task, bool patient)
{
    hk_task_fn *fn = hki_task_is_started(task) ? task->stack->fn : task->fn;
    const char *name = task->name;

    if (!name)
        name = hki_function_name((const void *)(uintptr_t)fn, patient);
    return name ? name : "unnamed";
}

const char *hki_task_display_name(const struct hki_task *task)
{
    return name_of(task, true);
}

const char *hki_task_name_in_handler(const struct hki_task *task)
{
    return name_of(task, false);
}

const char *hki_self_name(const struct hki_self *self)
{
    if (self->kind == HKI_SELF_TASK)
        return hki_task_display_name((const struct hki_task *)(const void *)self);
    return self->kind == HKI_SELF_THREAD
               ? ((const struct hki_thread *)(const void *)self)->name
               : "event loop";
}

const char *hk_task_name(void)
{
    return hki_self_name(hki_self());
}

void hk_task_rename(const char *name)
{
    struct hki_self *self = hki_self();

    if (self->kind == HKI_SELF_TASK)
        hki_task_of(self)->name = name;
}
