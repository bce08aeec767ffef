/* SPDX-License-Identifier: MIT */
/*
 * Memory that is there. When there is none left the program says so and ends with
 * status 3: what is stored is safe, and the next run goes on from it.
 */
#ifndef CRAWL_MEMORY_H
#define CRAWL_MEMORY_H

#include <stddef.h>

void *must_have(void *memory); /* `memory`, if it is not NULL */
void *must_alloc(size_t size); /* zeroed */
void *must_realloc(void *old, size_t size);
char *must_copy(const char *text, size_t len); /* NUL-terminated */

#endif
