/* SPDX-License-Identifier: MIT */
/*
 * The watchman: one thread for the process, while any runtime runs. It reports tasks
 * that hold their worker for too long, and prints the dump when SIGQUIT comes. Also
 * installs the handler that names the task whose stack has overflowed.
 */
#ifndef HKI_CORE_WATCH_H
#define HKI_CORE_WATCH_H

struct hki_runtime;

void hki_watch_start(struct hki_runtime *runtime);
void hki_watch_stop(struct hki_runtime *runtime);

#endif
