/* SPDX-License-Identifier: MIT */

/* Linked into every test program: standard output is line buffered, so that the driver
   still has every line of a program that it had to kill. */

#include <stdio.h>

__attribute__((constructor)) static void line_buffered(void)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* a convenience: failure is harmless */
}
