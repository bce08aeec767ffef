/* SPDX-License-Identifier: MIT */
/* The name of a function, for whoever was given none of his own: a task. */
#ifndef HKI_SYS_FUNCTION_NAME_H
#define HKI_SYS_FUNCTION_NAME_H

#include <stdbool.h>

/*
 * The name stays valid for ever. NULL: not known. The first time it is looked up in the
 * module's file; in a handler that may have interrupted a lookup `patient` is false, as
 * in hki_symbol_find. Any thread.
 */
const char *hki_function_name(const void *function, bool patient);

#endif
