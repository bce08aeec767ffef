/* SPDX-License-Identifier: MIT */
#include "console.h"

#include <hocket.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char erase[] = "\r\033[K";

void console_init(struct console *c)
{
    *c = (struct console){.terminal = isatty(STDERR_FILENO)};
}

/* Shielded: a line that is begun is printed, whoever is being stopped meanwhile. Nobody
 * is left to be told when standard error fails. */
static void print(struct console *c, const char *before, const char *text,
                  const char *after)
{
    hk_scope shield = HK_SCOPE_INIT;

    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, "console");
    (void)hk_printf(hk_stderr(), "%s%s%s%s", c->changing ? erase : "", before, text,
                    after);
    (void)hk_scope_join(&shield);
    c->changing = false;
}

void console_say(struct console *c, const char *format, ...)
{
    char text[4096];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print(c, "hocket-crawl: ", text, "\n");
}

void console_progress(struct console *c, const char *text)
{
    print(c, "", text, c->terminal ? "" : "\n");
    c->changing = c->terminal;
}

void console_clear(struct console *c)
{
    if (c->changing)
        print(c, "", "", "");
}
