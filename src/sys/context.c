/* SPDX-License-Identifier: MIT */
/*
 * What sanitizers and Valgrind must be told about stacks. The sequences were found by
 * experiment and are exact: see docs/design/sanitizers.md.
 */
#include "sys/context.h"

#include "sys/os.h"

#include <string.h>

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

#ifdef HKI_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef HKI_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* In the logical mode a switch is no synchronisation: only what the API promises is. */
#ifdef HOCKET_TSAN_LOGICAL
#define SWITCH_FLAGS 1 /* __tsan_switch_to_fiber_no_sync */
#else
#define SWITCH_FLAGS 0
#endif

#ifdef HOCKET_TSAN_LOGICAL
/*
 * TSan follows descriptors through libc: a close must come after every use. What orders
 * them here is the handle's list of operations, which this mode does not see.
 */
__attribute__((weak, visibility("default"))) const char *__tsan_default_suppressions(
    void)
{
    return "race:hki_os_close\n";
}
#endif

void hki_context_init(struct hki_context *context, const void *low, size_t size)
{
    memset(context, 0, sizeof(*context));
    context->low = low;
    context->size = size;
#ifdef VALGRIND_STACK_REGISTER
    context->valgrind_id =
        (unsigned)VALGRIND_STACK_REGISTER(low, (const char *)low + size);
#endif
#ifdef HKI_ASAN
    /* What only a parked stack points at is not a leak. Without the guard pages: LSan
     * dies when it reads them. */
    __lsan_register_root_region(low, size);
#endif
#ifdef HKI_TSAN
    context->fiber = __tsan_create_fiber(0);
#endif
}

void hki_context_init_thread(struct hki_context *context)
{
    memset(context, 0, sizeof(*context));
    hki_os_thread_stack(&context->low, &context->size);
#ifdef HKI_TSAN
    context->fiber = __tsan_get_current_fiber();
#endif
}

void hki_context_fini(struct hki_context *context)
{
#ifdef VALGRIND_STACK_DEREGISTER
    VALGRIND_STACK_DEREGISTER(context->valgrind_id);
#endif
#ifdef HKI_ASAN
    __lsan_unregister_root_region(context->low, context->size);
    __asan_unpoison_memory_region(context->low, context->size);
#endif
#ifdef HKI_TSAN
    __tsan_destroy_fiber(context->fiber);
#endif
    memset(context, 0, sizeof(*context));
}

void hki_context_reuse(struct hki_context *context)
{
#ifdef HKI_ASAN
    __asan_unpoison_memory_region(context->low, context->size);
#else
    (void)context;
#endif
}

void hki_context_leave(struct hki_context *from, struct hki_context *to, bool dying)
{
#ifdef HKI_ASAN
    __sanitizer_start_switch_fiber(dying ? NULL : &from->fake, to->low, to->size);
#endif
#ifdef HKI_TSAN
    __tsan_switch_to_fiber(to->fiber, SWITCH_FLAGS);
#endif
    (void)from;
    (void)to;
    (void)dying;
}

void hki_context_arrive(struct hki_context *self, bool first)
{
#ifdef HKI_ASAN
    __sanitizer_finish_switch_fiber(first ? NULL : self->fake, NULL, NULL);
#endif
    (void)self;
    (void)first;
}
