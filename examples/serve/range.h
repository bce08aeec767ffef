/* SPDX-License-Identifier: MIT */
/* The part of a file that a client wants (RFC 9110, section 14). */
#ifndef SERVE_RANGE_H
#define SERVE_RANGE_H

#include <stdint.h>

typedef enum range_verdict {
    RANGE_ALL,     /* no range, or one that may be ignored: malformed, several */
    RANGE_PART,    /* `*out_first` to `*out_last`, both included */
    RANGE_OUTSIDE, /* 416: nothing of it lies in the file */
} range_verdict;

/* Reads the value of a Range header for a file of `size` bytes. */
range_verdict range_parse(const char *value, uint64_t size, uint64_t *out_first,
                          uint64_t *out_last);

#endif
