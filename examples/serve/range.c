/* SPDX-License-Identifier: MIT */
#include "range.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Reads digits at `*cursor`; false when there are none. A huge number stays huge. */
static bool read_number(const char **cursor, uint64_t *out)
{
    const char *at = *cursor;
    uint64_t value = 0;

    while (*at >= '0' && *at <= '9') {
        uint64_t digit = (uint64_t)(*at++ - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    if (at == *cursor)
        return false;
    *cursor = at;
    *out = value;
    return true;
}

range_verdict range_parse(const char *value, uint64_t size, uint64_t *out_first,
                          uint64_t *out_last)
{
    uint64_t first = 0, last = 0;
    bool has_first, has_last;

    if (strncasecmp(value, "bytes=", 6) != 0)
        return RANGE_ALL;
    value += 6;
    has_first = read_number(&value, &first);
    if (*value++ != '-')
        return RANGE_ALL;
    has_last = read_number(&value, &last);
    if (*value || (!has_first && !has_last) || (has_first && has_last && first > last))
        return RANGE_ALL;

    if (!has_first) { /* "-N": the last N bytes */
        if (last == 0 || size == 0)
            return RANGE_OUTSIDE;
        *out_first = last < size ? size - last : 0;
        *out_last = size - 1;
        return RANGE_PART;
    }
    if (first >= size)
        return RANGE_OUTSIDE;
    *out_first = first;
    *out_last = has_last && last < size ? last : size - 1;
    return RANGE_PART;
}
