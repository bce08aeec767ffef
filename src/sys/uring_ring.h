/* SPDX-License-Identifier: MIT */
/* A ring as the io_uring backend wants it: opened, asked what it knows, closed. */
#ifndef HKI_SYS_URING_RING_H
#define HKI_SYS_URING_RING_H

#include <liburing.h>

/* For the calling thread alone; the index array of its submission queue is the
 * identity, for good. `*out_enter_flags` belong to every enter. 0; -ENOSYS: this
 * kernel, or a sandbox, has no such ring; -ENOMEM or -EMFILE. */
int hki_uring_open(struct io_uring *ring, unsigned *out_enter_flags);
void hki_uring_close(struct io_uring *ring);

/* Which requests it does not know, as bits (1 << code) of enum hki_io_code; -ENOSYS:
 * among them one without which it is of no use; or there is no asking. */
int hki_uring_probe(struct io_uring *ring, uint32_t *out_missing);

#endif
