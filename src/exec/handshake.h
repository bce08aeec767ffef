/* SPDX-License-Identifier: MIT */
/*
 * What the program tells a worker before it starts it, and what the worker answers: the
 * first page of their channel. The program reads nothing here but the answer.
 */
#ifndef HKI_EXEC_HANDSHAKE_H
#define HKI_EXEC_HANDSHAKE_H

#include "exec/channel.h"
#include "sys/os_program.h"
#include "sys/os_worker.h"

#include <stdint.h>
#include <sys/types.h>

/* Another layout, another number: a worker of another hocket must not go on. */
#define HKI_HANDSHAKE_MAGIC UINT64_C(0x686f636b65740002)

/* A worker's descriptors besides the standard ones. It closes all but the lifeline. */
enum {
    HKI_WORKER_CHANNEL = 3,
    HKI_WORKER_LIFELINE,
    HKI_WORKER_HEAP,
    HKI_WORKER_FDS = 3,
    HKI_WORKER_FDS_ABOVE = HKI_WORKER_HEAP + 1, /* where the program keeps its own */
};

enum hki_answer {
    HKI_ANSWER_NONE,  /* it starts */
    HKI_ANSWER_READY, /* it takes jobs */
    HKI_ANSWER_FAILED,
};

struct hki_handshake {
    /* ---- written by the program before it starts the worker ---- */
    uint64_t magic;
    pid_t parent;
    uint32_t build_id_size;
    unsigned char build_id[HKI_BUILD_ID_MAX];
    uint64_t heap_bytes;
    uint64_t desk_offset; /* of the pool's desk, in the heap */
    int64_t spin_ns;
    uint64_t first_id; /* of its own jobs: exec/job_id.h */
    uint64_t cpus[HKI_CPUS_MAX / 64];
    struct hki_os_limits limits;
    uint32_t is_sandboxed;
    uint32_t asks_to_cancel; /* before it kills */

    /* ---- written by the worker ---- */
    uint32_t answer; /* atomic; hki_answer */
    int32_t error;   /* of a failure; atomic */
    char step[32];   /* what failed, NUL-terminated if the worker is honest */
};

_Static_assert(sizeof(struct hki_handshake) <= HKI_HANDSHAKE_BYTES, "it has room");

static inline struct hki_handshake *hki_handshake_of(const struct hki_channel *channel)
{
    return (struct hki_handshake *)(void *)channel->memory->handshake;
}

#endif
