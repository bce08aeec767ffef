/* SPDX-License-Identifier: MIT */
#include "failure.h"

#include <hocket.h>
#include <stdarg.h>
#include <stdio.h>

/* A text of NULL means hocket's own words. */
static const struct {
    int error;
    const char *kind, *text;
} table[] = {
    {-ENOENT, "name", "the name of its host does not resolve"},
    {-EAGAIN, "name", "no name server answered"},
    {-EINVAL, "name", "its host is not a host name"},
    {-ETIMEDOUT, "timeout", "timed out"},
    {-ENODATA, "truncated", "the connection ended without an answer"},
    {-ECONNREFUSED, "connect", NULL},
    {-EHOSTUNREACH, "connect", NULL},
    {-ENETUNREACH, "connect", NULL},
    {-EADDRNOTAVAIL, "connect", NULL},
    {-EACCES, "connect", NULL},
    {HTTP_MALFORMED, "http", "the answer is not HTTP"},
    {HTTP_HEADER_FLOOD, "headers", "headers without end"},
    {HTTP_BAD_CHUNK, "truncated", "a chunk is malformed"},
    {HTTP_TRUNCATED, "truncated", "the connection ended inside the answer"},
    {HTTP_TOO_LARGE, "size", "larger than --max-bytes"},
    {HTTP_ENCODED, "http", "compressed, though asked for plain"},
};

void failure_set(struct failure *out, int error)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].error == error) {
            failure_say(out, table[i].kind, "%s",
                        table[i].text ? table[i].text : hk_error_text(error));
            return;
        }
    failure_say(out, "network", "%s", hk_error_text(error));
}

void failure_say(struct failure *out, const char *kind, const char *format, ...)
{
    va_list args;

    snprintf(out->kind, sizeof out->kind, "%s", kind);
    va_start(args, format);
    vsnprintf(out->text, sizeof out->text, format, args);
    va_end(args);
}
