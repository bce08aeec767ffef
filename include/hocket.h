/* SPDX-License-Identifier: MIT */
/*
 * hocket: structured concurrency for C. One include for all of it; each header below
 * stands alone, too. Start reading at <hocket/scope.h>.
 */
#ifndef HOCKET_H
#define HOCKET_H

#include <hocket/base.h>
#include <hocket/run.h>
#include <hocket/scope.h>
#include <hocket/task.h>
#include <hocket/thread.h>

#include <hocket/barrier.h>
#include <hocket/chan.h>
#include <hocket/check.h>
#include <hocket/cond.h>
#include <hocket/event.h>
#include <hocket/limiter.h>
#include <hocket/lock_many.h>
#include <hocket/mutex.h>
#include <hocket/once.h>
#include <hocket/rwlock.h>
#include <hocket/select.h>
#include <hocket/sem.h>
#include <hocket/sync_stats.h>
#include <hocket/wait_group.h>

#include <hocket/bytes.h>
#include <hocket/future.h>
#include <hocket/executor.h>
#include <hocket/fn.h>
#include <hocket/map.h>
#include <hocket/parallel.h>
#include <hocket/command.h>
#include <hocket/fd.h>
#include <hocket/file.h>
#include <hocket/net.h>
#include <hocket/processes.h>
#include <hocket/shared.h>
#include <hocket/signal.h>
#include <hocket/stream.h>

#include <hocket/inspect.h>

#endif
