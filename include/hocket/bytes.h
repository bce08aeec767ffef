/* SPDX-License-Identifier: MIT */
/*
 * Bytes and strings as values: what functions take and return that may run elsewhere.
 */
#ifndef HOCKET_BYTES_H
#define HOCKET_BYTES_H

#include <hocket/base.h>

HK_BEGIN_DECLS

/* `size` bytes at `data`, which may be NULL when size is 0. Who owns them is said where
 * one is passed. */
typedef struct hk_bytes {
    const void *data;
    size_t size;
} hk_bytes;

/* A string that ends with '\0'; NULL is one, too. */
typedef const char *hk_str;

HK_END_DECLS

#endif
