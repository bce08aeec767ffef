/* SPDX-License-Identifier: MIT */
/* Between a worker's loop and what it does when no task is ready. */
#ifndef HKI_CORE_REST_H
#define HKI_CORE_REST_H

#include "core/worker.h"

/* No task is ready, and no message is unread. Returns when there is something to look
 * for, or there may be. */
void hki_worker_rest(struct hki_worker *worker);

/* Waits for completions at most so long (-1: for ever) and deals with those that are
 * there. False: there was none. */
bool hki_worker_take_completions(struct hki_worker *worker, int64_t timeout_ns);

#endif
