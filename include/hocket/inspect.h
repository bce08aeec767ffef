/* SPDX-License-Identifier: MIT */
/*
 * Seeing what a program does. SIGQUIT (control-backslash) prints the same dump to
 * standard error while a runtime runs, unless the program handles SIGQUIT itself.
 */
#ifndef HOCKET_INSPECT_H
#define HOCKET_INSPECT_H

#include <hocket/base.h>

HK_BEGIN_DECLS

/*
 * Writes the tree of scopes and tasks of every runtime of the process to descriptor
 * `fd`: name, state, what each waits for and for how long, the innermost frames of
 * each parked stack; and the plain threads that wait. A worker that is busy for longer
 * than half a second is named as such instead.
 * Blocks:  for as long as the workers take to answer. Any task or thread.
 * Returns: 0, or what write(2) said.
 */
HK_API int hk_dump_tasks(int fd);

HK_END_DECLS

#endif
