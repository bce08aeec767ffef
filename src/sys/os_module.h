/* SPDX-License-Identifier: MIT */
/*
 * Addresses of code and data in words that another process of the same program
 * understands: which program or library, and how far from its begin. A part of os.h.
 *
 * Both processes have loaded the same files, at other addresses. The program is known
 * by its build id, checked when a worker starts; a library by its path.
 */
#ifndef HKI_SYS_OS_MODULE_H
#define HKI_SYS_OS_MODULE_H

#include <stdint.h>

/* The program itself; libraries get the numbers after it, in order of their first
 * use. */
enum { HKI_MODULE_PROGRAM = 0, HKI_MODULES_MAX = 4096 };

/*
 * Where `address` is: `*out_module`, and `*out_offset` from its begin. 0; -ENOENT: in
 * nothing that was loaded from a file; -ENOSPC: in too many libraries; -ENOMEM. Any
 * thread.
 */
int hki_os_module_of(const void *address, uint32_t *out_module, uint64_t *out_offset);

/* The path of a library that hki_os_module_of has given a number. Any thread. */
const char *hki_os_module_path(uint32_t module);

/* In the other process: loads the library that has the next number. One that cannot be
 * loaded has its number as well. One thread. */
void hki_os_module_load(const char *path);

/* In the other process, if that has the memory of this one: it was told of none yet.
 * One thread. */
void hki_os_module_forget(void);

/* In the other process: as hki_os_module_of, but only in what it was told to load. Any
 * thread. */
int hki_os_module_of_loaded(const void *address, uint32_t *out_module,
                            uint64_t *out_offset);

/* In the other process: the address; NULL: there is no such library. One thread. */
void *hki_os_module_address(uint32_t module, uint64_t offset);

#endif
