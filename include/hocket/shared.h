/* SPDX-License-Identifier: MIT */
/*
 * Memory that the program and all its worker processes see: for what is too large to be
 * copied.
 *
 *     HK_FN(int, blur, (hk_shared, image), (int, rows))
 *     {
 *         unsigned char *pixels = hk_shared_data(image);
 *         ...
 *     }
 *
 *     hk_shared image;
 *     int rc = hk_shared_alloc(width * height, &image);
 *     read_image(hk_shared_data(image));
 *     hk_future *f = blur_on(hk_processes(), image, height);
 *     rc = blur_await(f, NULL);
 *     show(hk_shared_data(image));
 *     hk_future_free(f);
 *     hk_shared_free(image);
 *
 * An hk_shared is a name, a plain value: it may be copied, and passed to jobs of every
 * executor and in every struct. Its memory is at another address in each process, so
 * pointers into it do not cross, and pointers inside of it point nowhere.
 *
 * Ownership. The program allocates and frees; jobs only use. A block stays until the
 * program frees it, whatever happens to workers. It may be freed when no job uses it
 * any more: when the futures of all jobs that it was passed to are done. That includes
 * jobs that were killed or died: what they have written so far is in it.
 *
 * Sharing. Everyone may write. Two that use the same bytes at a time need an order of
 * their own, as threads do; a job's start comes after what the program wrote before its
 * submit, and a future's end after what its job wrote. A worker that has gone wrong can
 * write into every block: what must not be lost with it is passed by value.
 */
#ifndef HOCKET_SHARED_H
#define HOCKET_SHARED_H

#include <hocket/base.h>

HK_BEGIN_DECLS

typedef struct hk_shared {
    uint64_t hki_offset;
    uint64_t size; /* bytes; 0: none */
} hk_shared;

/*
 * A block of `size_bytes`, aligned to 4,096, not zeroed. Meant for large ones: each
 * takes whole pages. Memory is taken where it is first touched; when the machine has
 * none left, that is where the program is killed.
 *
 * Blocks:  never.
 * Returns: 0; -EINVAL (size 0), -EDEADLK (in a worker process), -ENOMEM, -EMFILE.
 * Threads: any task or thread of the program.
 * Owns:    the caller frees it with hk_shared_free.
 */
HK_API int hk_shared_alloc(size_t size_bytes, hk_shared *out);

/* Where it is in the calling process; NULL: none, or no block that there could be.
 * Valid until it is freed. Never blocks. Any task or thread, of any worker too. */
HK_API void *hk_shared_data(hk_shared block);

/* Frees it. None is fine; twice panics, and so does a worker process. Any task or
 * thread. */
HK_API void hk_shared_free(hk_shared block);

HK_END_DECLS

#endif
