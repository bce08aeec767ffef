/* SPDX-License-Identifier: MIT */
#include "core/virtual_clock.h"

#include "core/runtime.h"

bool hki_virtual_jump(struct hki_worker *worker)
{
    int64_t next = hki_wheel_next(&worker->wheel, true);

    if (next == HK_NEVER)
        return false;
    if (next > worker->runtime->virtual_now_ns)
        worker->runtime->virtual_now_ns = next;
    return true; /* the loop's next turn fires it */
}
