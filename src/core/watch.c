/* SPDX-License-Identifier: MIT */
#include "core/watch.h"

void hki_watch_start(struct hki_runtime *runtime)
{
    (void)runtime;
}

void hki_watch_stop(struct hki_runtime *runtime)
{
    (void)runtime;
}
