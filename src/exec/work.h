/* SPDX-License-Identifier: MIT */
/* A stand-in for the pool's seam: see the merge. */
#ifndef HKI_EXEC_WORK_H
#define HKI_EXEC_WORK_H

#include "core/workers.h"

struct hki_work {
    void (*run)(struct hki_work *work);
    hk_scope *scope;
    const char *name;
};

struct hki_work_pool;

int hki_work_pool_default(struct hki_work_pool **out);
uint32_t hki_work_threads(struct hki_work_pool *pool);
int hki_work_push(struct hki_work_pool *pool, struct hki_work *work);
struct hki_work *hki_work_take(void);
struct hki_work_pool *hki_work_here(void);
int hki_work_participate(struct hki_work_pool *pool);
void hki_work_leave(void);

#endif
