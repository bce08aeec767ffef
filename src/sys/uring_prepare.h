/* SPDX-License-Identifier: MIT */
/* What each request is in the ring: the table of poller_uring.c. */
#ifndef HKI_SYS_URING_PREPARE_H
#define HKI_SYS_URING_PREPARE_H

#include "sys/ioreq.h"

struct io_uring_sqe;

/* Fills the entry, all but its user_data. Not for HKI_IO_WORK. */
void hki_uring_prepare(struct io_uring_sqe *sqe, const struct hki_ioreq *req);

#endif
