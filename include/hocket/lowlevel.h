/* SPDX-License-Identifier: MIT */
/*
 * The public basement, for authors of primitives, protocols and other event loops:
 * waiters, timers and operations without a task. Everything in sync/ and io/ is
 * written on these three headers; what you write on them is as good as ours.
 */
#ifndef HOCKET_LOWLEVEL_H
#define HOCKET_LOWLEVEL_H

#include <hocket/op.h>
#include <hocket/timer.h>
#include <hocket/waiter.h>

#endif
