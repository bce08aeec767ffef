/* SPDX-License-Identifier: MIT */
/* Giving rights up, for a process that runs what nobody trusts. A part of os.h. */
#ifndef HKI_SYS_OS_SANDBOX_H
#define HKI_SYS_OS_SANDBOX_H

/*
 * From now on the calling process, which has one thread, and all that come from it
 *
 *     gain no privileges, and execute no program (no_new_privs, seccomp);
 *     make no socket and no io_uring, trace nobody, send no signal but to the calling
 *     process, also not by a descriptor that has news, enter no namespace, mount and
 *     load nothing, and make no call that is newer than this library (seccomp);
 *     write, make, remove and rename no file by its path (Landlock), nor cut one off or
 *     change its mode, owner, times or attributes (seccomp).
 *
 * Runtimes of the process run on epoll, whatever HOCKET_POLLER says. What is open stays
 * open, memory that is shared stays shared, files can be read.
 * 0; -ENOSYS: the kernel cannot do all of that; then some of it may be in force.
 */
int hki_os_sandbox_enter(void);

#endif
