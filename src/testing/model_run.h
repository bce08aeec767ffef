/* SPDX-License-Identifier: MIT */
/*
 * The run of a model that is under way: its threads and its choices. model.c runs and
 * counts through; model_memory.c is what the threads do to memory.
 */
#ifndef HKI_TESTING_MODEL_RUN_H
#define HKI_TESTING_MODEL_RUN_H

#include "core/worker.h"

#include <hocket/model.h>

enum { HKI_MODEL_BUFFER = 16, HKI_MODEL_LOADS = 8 };

/* A store that only its own thread sees yet. */
struct hki_model_store {
    volatile void *address;
    size_t size;
    uint64_t value;
};

struct hki_model_thread {
    struct hki_stack *stack;
    void *sp; /* while it does not run */
    /* The real thread's own thread-locals, which each thread of the model has for
     * itself. */
    struct hki_self *self;
    struct hki_worker *worker;

    enum { HKI_MODEL_READY, HKI_MODEL_YIELDED, HKI_MODEL_WAITS, HKI_MODEL_ENDED } state;
    const uint32_t *word; /* that it waits on */
    bool may_time_out;
    uint64_t yielded_at; /* changes of memory when it last yielded */

    struct hki_model_store buffer[HKI_MODEL_BUFFER]; /* oldest first */
    uint32_t buffered;

    /* What it has loaded, newest last, since it ran last, did anything else, or memory
     * changed. */
    const volatile void *loads[HKI_MODEL_LOADS];
    uint32_t load_count;
    uint64_t loaded_at;
    uint32_t same_loads; /* in a row: a loop that waits and does not say so */
};

/* A model thread runs now: the current one. */
bool hki_model_is_running(void);
struct hki_model_thread *hki_model_current(void);

/* Another thread may come in here. */
void hki_model_point(void);

/* One of 0 .. options-1. */
uint32_t hki_model_choose(uint32_t options);

/* True: the store about to be made shall stay in the buffer. Asks only while there are
 * delays left. */
bool hki_model_choose_delay(void);

/* Memory that all can see has changed. `hki_model_changes` counts that. */
void hki_model_changed(void);
uint64_t hki_model_changes(void);

/* The current thread waits on `word` until woken. */
void hki_model_sleep(const uint32_t *word, bool may_time_out);
void hki_model_wake_sleepers(const uint32_t *word, uint32_t count);

/* In a replay: logs what the current thread does. */
void hki_model_log(const char *what, const volatile void *address, uint64_t value);

/* Makes the delayed stores of a thread visible. */
void hki_model_flush(struct hki_model_thread *thread);
void hki_model_flush_all(void);

#endif
