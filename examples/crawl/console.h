/* SPDX-License-Identifier: MIT */
/* Lines on standard error, and below them, on a terminal, one that changes. */
#ifndef CRAWL_CONSOLE_H
#define CRAWL_CONSOLE_H

#include <stdbool.h>

struct console {
    bool terminal;
    bool changing; /* a changing line stands there, unfinished */
};

void console_init(struct console *console);
/* Prints "hocket-crawl: " and the text as a line of its own. May wait. */
void console_say(struct console *console, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* On a terminal replaces the changing line, elsewhere prints a plain one. May wait. */
void console_progress(struct console *console, const char *text);
/* Takes the changing line away. May wait. */
void console_clear(struct console *console);

#endif
