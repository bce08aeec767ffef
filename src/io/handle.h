/* SPDX-License-Identifier: MIT */
/*
 * From a raw descriptor to a handle and back, for all of io/. Until it is adopted a
 * descriptor is ours to close; hki_handle_adopt takes it on success and on failure, so
 * that no path can leak one.
 */
#ifndef HKI_IO_HANDLE_H
#define HKI_IO_HANDLE_H

#include <hocket/op.h>

struct stat;

/* HK_FD_ flags of what `fd` is: a file, a stream, a listener, ... `*out_stat` (may be
 * NULL) is set on success. -EBADF, ... Never blocks. */
int hki_handle_kind(int fd, struct stat *out_stat);

/* hk_fd_adopt, but on failure `fd` is closed. */
int hki_handle_adopt(int fd, unsigned flags, hk_fd *out);

/* Adopts both, or closes both. */
int hki_handle_adopt_pair(const int fds[2], unsigned flags, hk_fd out[2]);

/* Closes a handle on which nothing was ever started: never blocks. */
void hki_handle_drop(hk_fd fd);

#endif
