/* SPDX-License-Identifier: MIT */
/* The log, for all of the library above the system; it goes where hk_log_to says. */
#ifndef HKI_CORE_LOG_H
#define HKI_CORE_LOG_H

#include <hocket/base.h>

/* Formats one line. Calls the program's function, so no lock is held. */
void hki_log(hk_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
