/* SPDX-License-Identifier: MIT */
/*
 * Memory that several processes share, and sleeping on a word of it. A part of os.h.
 *
 * Shared memory here has no name in any file system: it is a descriptor, and gone with
 * the last process that has it open or mapped, however that process ended. Its size is
 * sealed: nobody who gets the descriptor can cut it short under us (SIGBUS).
 */
#ifndef HKI_SYS_OS_SHM_H
#define HKI_SYS_OS_SHM_H

#include <stddef.h>
#include <stdint.h>

/* A descriptor of `size_bytes` of zeroes, sealed, close-on-exec. Pages cost memory once
 * touched, so the size may exceed what the machine has. `name` is for
 * /proc/.../maps. -ENOMEM also beyond the limit on the size of files; -EMFILE. */
int hki_os_shm_new(const char *name, size_t size_bytes);

/* Maps all of it, readable and writable. NULL: no address space, no such descriptor, or
 * not of this size and so sealed. Core dumps leave it out. */
void *hki_os_shm_map(int fd, size_t size_bytes);
/* The size of what `fd` is; 0: unknown. */
size_t hki_os_shm_size(int fd);
void hki_os_shm_unmap(void *address, size_t size_bytes);

/* Gives the memory of a range back; it reads as zeroes afterwards, in every process. */
void hki_os_shm_discard(void *address, size_t size_bytes);

/* As hki_futex_wait and hki_futex_wake, for sleepers in any process that maps the
 * word. */
void hki_os_shared_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns);
void hki_os_shared_wake(uint32_t *word, uint32_t count);

/* Bytes of memory that this machine has, or that shared memory should not exceed. */
size_t hki_os_memory_bytes(void);

#endif
