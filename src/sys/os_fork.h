/* SPDX-License-Identifier: MIT */
/*
 * Children that are forked, not executed: what makes one nearly as fresh as if it were,
 * and messages between the two. A part of os.h.
 */
#ifndef HKI_SYS_OS_FORK_H
#define HKI_SYS_OS_FORK_H

#include <stddef.h>
#include <sys/types.h>

/* fork(2), after what the program has buffered was written: it must not be there twice.
 * -EAGAIN, -ENOMEM. */
pid_t hki_os_fork(void);

/*
 * In the child: signals that the parent catches have their default action, standard
 * input is empty, and what the parent has asked to be done at exit is not done when the
 * child exits. The same holds for its own children by fork. 0, -EMFILE, -ENOENT (no
 * /dev/null), -ENOMEM.
 */
int hki_os_start_afresh(void);

/*
 * In the child: it leads a process group of its own, and of the descriptors above the
 * standard ones nothing is left but `keep`, which become 3, 4, ... They are in
 * ascending order, each 3 or higher. 0 or -EMFILE.
 */
int hki_os_stand_alone(const int *keep, int count);

/* ---- messages: each arrives whole ---- */

enum { HKI_MESSAGE_FDS_MAX = 4 };

/* Two ends, close-on-exec, both numbers `lowest` or higher. 0 or -EMFILE. */
int hki_os_message_pair(int lowest, int out[2]);

/* With copies of `fds`. 0; -EPIPE: there is no other end any more; -EMFILE, -ENOMEM. */
int hki_os_message_send(int fd, const void *data, size_t size, const int *fds,
                        int fd_count);

/*
 * Waits for a message of this very size. Returns how many descriptors came with it,
 * which are put into `fds`, close-on-exec; -ETIMEDOUT; -EPIPE: there is no other end
 * any more; -EPROTO. A negative timeout: for ever.
 */
int hki_os_message_receive(int fd, void *data, size_t size,
                           int fds[HKI_MESSAGE_FDS_MAX], int timeout_ms);

#endif
