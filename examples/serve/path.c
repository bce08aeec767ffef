/* SPDX-License-Identifier: MIT */
#include "path.h"

#include <stdbool.h>
#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte at `*cursor`, which moves past it, decoded; -1: none of a file name. */
static int next_byte(const char **cursor)
{
    const char *at = *cursor;
    int high, low;

    if (*at != '%') {
        *cursor = at + 1;
        return (unsigned char)*at;
    }
    high = hex_value(at[1]);
    low = high < 0 ? -1 : hex_value(at[2]);
    if (low < 0)
        return -1;
    *cursor = at + 3;
    high = high * 16 + low;
    /* An encoded slash would be a slash inside a name, which no file has. */
    return high == 0 || high == '/' ? -1 : high;
}

static bool climbs(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || !at[2]))
            return true;
    }
    return false;
}

int path_decode(const char *target, char *out, size_t size)
{
    size_t len = 0;
    int byte;

    if (*target != '/')
        return 400;
    target += strspn(target, "/");
    while (*target && *target != '?' && *target != '#') {
        byte = next_byte(&target);
        if (byte < 0)
            return 400;
        if (len + 1 >= size)
            return 414;
        out[len++] = (char)byte;
    }
    out[len] = '\0';
    return climbs(out) ? 403 : 0;
}
