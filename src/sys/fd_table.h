/* SPDX-License-Identifier: MIT */
/*
 * What the epoll backend knows about each descriptor: its registration, whether it may
 * be ready, and the requests that wait for it. Records are found by the descriptor's
 * number, in a table of two levels that grows and never moves a record.
 *
 * By number and not by handle, because epoll keeps one registration for each number:
 * two handles of one descriptor (stdin, adopted twice) must share it. A record that is
 * found under another handle than before is either that case, or the number was closed
 * and given out again. While requests wait it can only be the first: a handle releases
 * its number after its last request has come back.
 */
#ifndef HKI_SYS_FD_TABLE_H
#define HKI_SYS_FD_TABLE_H

#include "sys/ioreq.h"

/* Why a request waits, and its queue. As bits: what may be ready. */
enum hki_fd_way { HKI_FD_IN, HKI_FD_OUT, HKI_FD_EVENTS, HKI_FD_WAYS };

struct hki_fd_queue {
    struct hki_ioreq *head, *tail; /* first come, first served */
};

struct hki_fd_record {
    uint32_t fd_slot, fd_generation; /* the handle that used it last */
    uint32_t stamp;                  /* events of older registrations carry another */
    uint32_t events;                 /* that epoll reports, EPOLLET left out; 0: none */
    bool is_known;                   /* of this handle; else all below is void */
    bool is_nonblocking;
    bool is_tcp;         /* a short read has emptied it, unless short_is_vague */
    bool short_is_vague; /* ended, failed, or with urgent data: may hold more */
    /* Bit (1 << way) clear: an attempt would find nothing, and an edge announces the
     * change. Set: unknown. */
    uint8_t maybe_ready;
    struct hki_fd_queue queues[HKI_FD_WAYS];
};

struct hki_fd_table {
    struct hki_fd_record **chunks;
    uint32_t chunk_count;
};

void hki_fd_table_fini(struct hki_fd_table *table);

/* The record of `fd`, made when it is missing; NULL: no memory. */
struct hki_fd_record *hki_fd_table_make(struct hki_fd_table *table, uint32_t fd);

/* The record of `fd`, or NULL. */
struct hki_fd_record *hki_fd_table_find(const struct hki_fd_table *table, uint32_t fd);

bool hki_fd_record_is_idle(const struct hki_fd_record *record);

void hki_fd_queue_push(struct hki_fd_queue *queue, struct hki_ioreq *req);
void hki_fd_queue_remove(struct hki_fd_queue *queue, struct hki_ioreq *req);

#endif
