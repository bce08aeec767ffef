/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *must_have(void *memory)
{
    if (!memory) {
        fputs("hocket-crawl: out of memory; what is stored is safe\n", stderr);
        _exit(STATUS_STORAGE);
    }
    return memory;
}

void *must_alloc(size_t size)
{
    return must_have(calloc(1, size ? size : 1));
}

void *must_realloc(void *old, size_t size)
{
    return must_have(realloc(old, size ? size : 1));
}

char *must_copy(const char *text, size_t len)
{
    char *copy = must_have(malloc(len + 1));

    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}
