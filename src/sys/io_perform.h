/* SPDX-License-Identifier: MIT */
/*
 * The parts of io_perform.c that only pollers need: requests that are carried out in
 * several steps. `moved_bytes` counts what earlier steps have moved.
 */
#ifndef HKI_SYS_IO_PERFORM_H
#define HKI_SYS_IO_PERFORM_H

#include "base/assert.h"
#include "sys/ioreq.h"

/*
 * Answers a file request from the caches of the kernel, without ever waiting for a disk
 * or a network. True: done, `result` is set. False: not possible, or not to be had; a
 * read may then have moved its first bytes.
 */
bool hki_io_try_cached(struct hki_ioreq *req);

/* What is left of the request, blocking; returns the result of the whole. */
int hki_io_perform_rest(struct hki_ioreq *req);

/* What is left of the request, never blocking; returns the result of this step. */
int hki_io_attempt_rest(struct hki_ioreq *req);

/*
 * The result of an open, after O_NONBLOCK was taken away if nobody asked for it. Every
 * open is made with that flag, so that none waits for the other end of a FIFO: there
 * the reader gets its descriptor at once, and a writer without a reader gets -ENXIO.
 */
int hki_io_opened(const struct hki_ioreq *req, int rc);

/* The result of the whole, when the last step gave `rc`: bytes that moved outweigh an
 * error, which the next request will meet. */
int hki_io_sum(const struct hki_ioreq *req, int rc);

#endif
