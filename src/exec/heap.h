/* SPDX-License-Identifier: MIT */
/*
 * The program's shared heap: one range of memory that every worker process maps, in
 * which this program alone allocates. Large arguments are copied there once, and every
 * worker that is given the job, the second too when the first has died, reads them
 * where they are. Each process maps it at another address, so what crosses is an
 * offset.
 *
 * It is made at its first use and stays to the end of the process; as address space it
 * is large, as memory it is what is in use.
 */
#ifndef HKI_EXEC_HEAP_H
#define HKI_EXEC_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Makes it, unless it is there. 0, -ENOMEM, -EMFILE. Any thread. */
int hki_heap_start(void);

/* Its descriptor, for workers to inherit, and its size. Valid once started. */
int hki_heap_fd(void);
size_t hki_heap_size_bytes(void);

/* Maps it in a worker process, which does not allocate there; one that was forked has
 * it mapped already. 0 or -EINVAL. */
int hki_heap_attach(int fd, size_t size_bytes);

/* As hki_zone_alloc and hki_zone_free; NULL also when it could not be started. */
void *hki_heap_alloc(size_t size_bytes);
void hki_heap_free(void *block);

/* What crosses a process instead of an address in the heap. */
uint64_t hki_heap_offset(const void *address);
/* The address of `length` bytes at `offset`; NULL: not all of them are in the heap. */
void *hki_heap_bytes(uint64_t offset, uint64_t length);

#endif
