/* SPDX-License-Identifier: MIT */
/*
 * The program that this process runs: where it is, which build, and how a worker
 * process, which is the same program executed anew, does something else in place of
 * its main. A part of os.h.
 *
 * Workers take over by a __libc_start_main of our own. The start-up code of every
 * program calls that with the address of main; ours calls the real one, in a worker
 * with another main. So it needs no change to the program, happens after all
 * constructors of libraries and before those of the program have run, and the real one
 * then runs these: when the other main begins, every function is registered. It works
 * in programs that are linked to libc.so, whether hocket is linked as a shared or as a
 * static library. A wholly static program must call hk_worker_main.
 */
#ifndef HKI_SYS_OS_PROGRAM_H
#define HKI_SYS_OS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* What tells a process that it is a worker. */
#define HKI_WORKER_VARIABLE "HOCKET_WORKER"

enum { HKI_BUILD_ID_MAX = 64 };

/* The resolved path of the executable, NUL-terminated. 0, -ENAMETOOLONG, -ENOENT (it
 * was deleted). */
int hki_os_program_path(char *path, size_t size);

/* Its build id, by which the linker names its content; returns its length, 0: it has
 * none. `id` has room for HKI_BUILD_ID_MAX bytes. */
size_t hki_os_program_build_id(unsigned char *id);

/* Takes what tells that this process is a worker out of its environment, so that its
 * own children are none. Returns whether it was there. */
bool hki_os_take_worker_variable(void);

/* True if this process has rights that who has executed it may not have: those of its
 * file (setuid, capabilities). */
bool hki_os_has_rights_of_its_file(void);

/* True if a worker process of this program would not run its main: it takes over, or
 * has called hk_worker_main. */
bool hki_os_workers_take_over(void);
void hki_os_workers_will_call(void); /* hk_worker_main was called */

/*
 * A worker's main, which returns its exit status; -1: this is no worker, run the
 * program's main. Defined in exec/worker.c; weak here, so that a program without
 * process pools is not linked with all of them.
 */
int hki_worker_main(void) __attribute__((weak));

#endif
