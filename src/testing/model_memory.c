/* SPDX-License-Identifier: MIT */
/*
 * Memory as the threads of a model see it: one value for all, and before it, for each
 * thread, a buffer of stores that it alone sees, in order (the x86-TSO model of Owens,
 * Sarkar and Sewell, 2009). Plain accesses pass the buffer by. For memory that is used
 * without races that makes no difference to others; a thread's own plain read of a word
 * that it stores atomically would be wrong, so such code must be run without delays.
 */
#include "testing/model_run.h"

enum { LOADS_MAX = 200 };

static uint64_t read_memory(const volatile void *address, size_t size)
{
    switch (size) {
    case 1: return __atomic_load_n((const volatile uint8_t *)address, __ATOMIC_SEQ_CST);
    case 2:
        return __atomic_load_n((const volatile uint16_t *)address, __ATOMIC_SEQ_CST);
    case 4:
        return __atomic_load_n((const volatile uint32_t *)address, __ATOMIC_SEQ_CST);
    default:
        return __atomic_load_n((const volatile uint64_t *)address, __ATOMIC_SEQ_CST);
    }
}

static void write_memory(volatile void *address, size_t size, uint64_t value)
{
    switch (size) {
    case 1:
        __atomic_store_n((volatile uint8_t *)address, (uint8_t)value, __ATOMIC_SEQ_CST);
        break;
    case 2:
        __atomic_store_n((volatile uint16_t *)address, (uint16_t)value,
                         __ATOMIC_SEQ_CST);
        break;
    case 4:
        __atomic_store_n((volatile uint32_t *)address, (uint32_t)value,
                         __ATOMIC_SEQ_CST);
        break;
    default:
        __atomic_store_n((volatile uint64_t *)address, value, __ATOMIC_SEQ_CST);
        break;
    }
}

static uint64_t cut_to_size(uint64_t value, size_t size)
{
    return size >= 8 ? value : value & ((UINT64_C(1) << (8 * size)) - 1);
}

/* ---- the buffers ---- */

void hki_model_flush(struct hki_model_thread *thread)
{
    if (!thread->buffered)
        return;
    for (uint32_t i = 0; i < thread->buffered; i++)
        write_memory(thread->buffer[i].address, thread->buffer[i].size,
                     thread->buffer[i].value);
    thread->buffered = 0;
    hki_model_changed();
}

/* What the thread itself stored last, before what all see. */
static uint64_t read_own(const struct hki_model_thread *thread,
                         const volatile void *address, size_t size)
{
    for (uint32_t i = thread->buffered; i-- > 0;)
        if (thread->buffer[i].address == address)
            return thread->buffer[i].value;
    return read_memory(address, size);
}

/* A word of the thread's own stack may be gone when its store would come. */
static bool is_on_stack(const struct hki_model_thread *thread,
                        const volatile void *address)
{
    const struct hki_context *context = &thread->stack->context;
    uintptr_t at = (uintptr_t)address, low = (uintptr_t)context->low;

    return at >= low && at < low + context->size;
}

static bool is_delayed(const struct hki_model_thread *thread,
                       const volatile void *address, int order)
{
    if (order == __ATOMIC_SEQ_CST || thread->buffered == HKI_MODEL_BUFFER ||
        is_on_stack(thread, address))
        return false;
    return thread->buffered || hki_model_choose_delay(); /* they keep their order */
}

/* ---- operations ---- */

/* Others may come in before the operation, which for reads and writes at once also is a
 * fence. */
static void begin_update(struct hki_model_thread *thread)
{
    hki_model_point();
    hki_model_flush(thread);
    thread->load_count = 0;
}

/*
 * The load just made, made again, sees the same: nobody need come in between. And so
 * does one that is made for the third time: that is a loop, and two of its rounds have
 * been looked at.
 */
static bool is_repeated(const struct hki_model_thread *thread,
                        const volatile void *address)
{
    uint32_t count = 0;

    if (thread->load_count == 0 || thread->loaded_at != hki_model_changes())
        return false;
    for (uint32_t i = 0; i < thread->load_count; i++)
        count += thread->loads[i] == address;
    return count >= 2 || thread->loads[thread->load_count - 1] == address;
}

static void note_load(struct hki_model_thread *thread, const volatile void *address)
{
    if (thread->loaded_at != hki_model_changes() ||
        thread->load_count == HKI_MODEL_LOADS)
        thread->load_count = 0;
    thread->loads[thread->load_count++] = address;
    thread->loaded_at = hki_model_changes();
}

uint64_t hk_model_load(const volatile void *address, size_t size)
{
    struct hki_model_thread *thread;
    uint64_t value;

    if (!hki_model_is_running())
        return read_memory(address, size);
    thread = hki_model_current();
    if (!is_repeated(thread, address)) {
        hki_model_point();
        note_load(thread, address);
    } else if (++thread->same_loads % LOADS_MAX == 0) {
        hk_model_yield();
    }
    value = read_own(thread, address, size);
    hki_model_log("load", address, value);
    return value;
}

void hk_model_store(volatile void *address, size_t size, uint64_t value, int order)
{
    struct hki_model_thread *thread;

    if (!hki_model_is_running()) {
        write_memory(address, size, value);
        return;
    }
    thread = hki_model_current();
    hki_model_point();
    thread->load_count = 0;
    if (is_delayed(thread, address, order)) {
        hki_model_log("store, delayed", address, cut_to_size(value, size));
        thread->buffer[thread->buffered++] = (struct hki_model_store){
            .address = address,
            .size = size,
            .value = cut_to_size(value, size),
        };
        return;
    }
    hki_model_flush(thread);
    hki_model_log("store", address, cut_to_size(value, size));
    write_memory(address, size, value);
    hki_model_changed();
}

static uint64_t compute(hk_model_op op, uint64_t old, uint64_t operand)
{
    switch (op) {
    case HK_MODEL_EXCHANGE: return operand;
    case HK_MODEL_ADD: return old + operand;
    case HK_MODEL_SUB: return old - operand;
    case HK_MODEL_AND: return old & operand;
    case HK_MODEL_OR: return old | operand;
    case HK_MODEL_XOR: return old ^ operand;
    }
    return old;
}

uint64_t hk_model_update(volatile void *address, size_t size, hk_model_op op,
                         uint64_t operand, bool want_new)
{
    uint64_t old, new;

    if (hki_model_is_running())
        begin_update(hki_model_current());
    old = read_memory(address, size);
    new = cut_to_size(compute(op, old, operand), size);
    write_memory(address, size, new);
    if (hki_model_is_running()) {
        hki_model_log("update", address, new);
        hki_model_changed();
    }
    return want_new ? new : old;
}

bool hk_model_compare_exchange(volatile void *address, void *expected, size_t size,
                               uint64_t desired)
{
    uint64_t old;

    if (hki_model_is_running())
        begin_update(hki_model_current());
    old = read_memory(address, size);
    if (old != read_memory(expected, size)) {
        write_memory(expected, size, old);
        hki_model_log("compare-exchange fails", address, old);
        return false;
    }
    write_memory(address, size, desired);
    hki_model_log("compare-exchange", address, cut_to_size(desired, size));
    if (hki_model_is_running())
        hki_model_changed();
    return true;
}

void hk_model_fence(int order)
{
    if (order == __ATOMIC_SEQ_CST && hki_model_is_running())
        begin_update(hki_model_current());
}

void hk_model_fence_everywhere(void)
{
    if (!hki_model_is_running())
        return;
    hki_model_point();
    hki_model_flush_all();
}

/* ---- futexes ---- */

void hk_model_wait(uint32_t *word, uint32_t expected, bool may_time_out)
{
    if (!hki_model_is_running())
        return;
    begin_update(hki_model_current());
    if (read_memory(word, sizeof(*word)) != expected)
        return;
    hki_model_log("wait", word, expected);
    hki_model_sleep(word, may_time_out);
}

void hk_model_wake(uint32_t *word, uint32_t count)
{
    if (!hki_model_is_running())
        return;
    begin_update(hki_model_current());
    hki_model_log("wake", word, count);
    hki_model_wake_sleepers(word, count);
}
