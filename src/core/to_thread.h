/* SPDX-License-Identifier: MIT */
/* What others in core want to know about the calls of hk_to_thread. */
#ifndef HKI_CORE_TO_THREAD_H
#define HKI_CORE_TO_THREAD_H

#include "core/report.h"

#include <stdint.h>

/* Made and not returned, abandoned ones included; and abandoned ones alone. */
uint64_t hki_calls_count(void);
uint64_t hki_calls_abandoned(void);

/* Adds a line for each to the dump. */
void hki_calls_add(struct hki_report *report);

#endif
