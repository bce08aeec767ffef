/* SPDX-License-Identifier: MIT */
/* The crews of a scope, as the scope sees them: see core/crew.c. */
#ifndef HKI_CORE_CREW_H
#define HKI_CORE_CREW_H

#include <hocket/scope.h>

struct hki_guest;

/* Its owner joins: from now on the scope waits for jobs alone. */
void hki_crews_join(hk_scope *scope);
/* The join is over: nothing of it is in any crew. */
void hki_crews_free(hk_scope *scope);
/* How many jobs there are more than the remote children that stand for them. */
int64_t hki_crews_jobs(const hk_scope *scope);
/* True: this guest stands for so many jobs. With the scope's lock. */
bool hki_guest_is_crew(const struct hki_guest *guest, uint64_t *out_jobs);

#endif
