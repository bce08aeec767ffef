/* SPDX-License-Identifier: MIT */
/*
 * Packed arguments: the struct that HK_FN makes of them, followed by what its hk_bytes
 * and hk_str point at, each aligned to 16 bytes; their pointers are offsets from the
 * begin of the image, so it may be copied anywhere, also into another process. All by
 * the table of the function (struct hk_fn): there is no code for each.
 */
#ifndef HKI_EXEC_PACK_H
#define HKI_EXEC_PACK_H

#include <hocket/fn.h>

enum { HKI_IMAGE_ALIGN = 16 };

/* The bytes that `args` take; SIZE_MAX: more than there can be. */
size_t hki_pack_size(const hk_fn *fn, const void *args);
void hki_pack(const hk_fn *fn, const void *args, unsigned char *image);

/* Makes pointers of the offsets: `image` are arguments for fn->call then. 0, or
 * -EBADMSG when it is no image of this function. */
int hki_unpack(const hk_fn *fn, unsigned char *image, size_t size);

#endif
