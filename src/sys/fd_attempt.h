/* SPDX-License-Identifier: MIT */
/*
 * One attempt at a request of the epoll backend: the system call that fits its
 * descriptor, never blocking, and what the outcome says about the descriptor.
 */
#ifndef HKI_SYS_FD_ATTEMPT_H
#define HKI_SYS_FD_ATTEMPT_H

#include "sys/fd_table.h"

/* Which queue it waits in. */
enum hki_fd_way hki_fd_way_of(const struct hki_ioreq *req);

/* Of the codes that have flags as recv(2) and send(2). */
static inline bool hki_fd_is_message(const struct hki_ioreq *req)
{
    return req->code >= HKI_IO_RECV && req->code <= HKI_IO_SENDMSG;
}

/* True: done, `result` is set. False: it would block. */
bool hki_fd_attempt(struct hki_fd_record *record, struct hki_ioreq *req);

#endif
