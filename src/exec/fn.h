/* SPDX-License-Identifier: MIT */
/* The registry of functions, for who must find one by its key. */
#ifndef HKI_EXEC_FN_H
#define HKI_EXEC_FN_H

#include <hocket/fn.h>

/* The one of that key, or NULL. `module` is an hki_module. Any thread. */
const hk_fn *hki_fn_find(const char *module, const char *name);

/* 0, or -EBADMSG when these bytes are no result of the function. */
int hki_fn_check_result(const hk_fn *fn, hk_bytes result);

#endif
