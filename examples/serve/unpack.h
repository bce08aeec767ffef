/* SPDX-License-Identifier: MIT */
/* Unpacks a gzip file for clients that do not take gzip, by asking gzip to. */
#ifndef SERVE_UNPACK_H
#define SERVE_UNPACK_H

#include <hocket.h>

/*
 * Unpacks `file` of `size` bytes into memory; both forms may have 64 MiB at most.
 * Returns 0, -EFBIG, -EIO (not gzip, or damaged), -ECANCELED or another error.
 * Owns: free(*out_data).
 */
int unpack(hk_fd file, uint64_t size, char **out_data, size_t *out_len);

#endif
