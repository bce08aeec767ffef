/* SPDX-License-Identifier: MIT */
/* The epoll backend's table of descriptors. */
#include "sys/fd_table.h"

#include "base/alloc.h"
#include "base/annotate.h"

#include <string.h>

#define CHUNK_RECORDS 128u /* about 10 KiB */

void hki_fd_table_fini(struct hki_fd_table *table)
{
    for (uint32_t i = 0; i < table->chunk_count; i++)
        hki_free(table->chunks[i]);
    hki_free(table->chunks);
}

static bool grow(struct hki_fd_table *table, uint32_t chunk)
{
    uint32_t count = table->chunk_count ? table->chunk_count : 8;
    struct hki_fd_record **chunks;

    while (count <= chunk)
        count *= 2;
    chunks = hki_realloc(table->chunks, count * sizeof(struct hki_fd_record *));
    if (!chunks)
        return false;
    memset(chunks + table->chunk_count, 0,
           (count - table->chunk_count) * sizeof(struct hki_fd_record *));
    HKI_HB_RELEASE(chunks); /* grown by a task, freed by the loop */
    table->chunks = chunks;
    table->chunk_count = count;
    return true;
}

struct hki_fd_record *hki_fd_table_make(struct hki_fd_table *table, uint32_t fd)
{
    uint32_t chunk = fd / CHUNK_RECORDS;

    if (chunk >= table->chunk_count && !grow(table, chunk))
        return NULL;
    if (!table->chunks[chunk])
        table->chunks[chunk] = hki_alloc(CHUNK_RECORDS * sizeof(struct hki_fd_record));
    return hki_fd_table_find(table, fd);
}

struct hki_fd_record *hki_fd_table_find(const struct hki_fd_table *table, uint32_t fd)
{
    uint32_t chunk = fd / CHUNK_RECORDS;

    if (chunk >= table->chunk_count || !table->chunks[chunk])
        return NULL;
    return &table->chunks[chunk][fd % CHUNK_RECORDS];
}

bool hki_fd_record_is_idle(const struct hki_fd_record *record)
{
    for (int way = 0; way < HKI_FD_WAYS; way++)
        if (record->queues[way].head)
            return false;
    return true;
}

void hki_fd_queue_push(struct hki_fd_queue *queue, struct hki_ioreq *req)
{
    req->next = NULL;
    req->prev = queue->tail;
    if (queue->tail)
        queue->tail->next = req;
    else
        queue->head = req;
    queue->tail = req;
}

void hki_fd_queue_remove(struct hki_fd_queue *queue, struct hki_ioreq *req)
{
    if (req->prev)
        req->prev->next = req->next;
    else
        queue->head = req->next;
    if (req->next)
        req->next->prev = req->prev;
    else
        queue->tail = req->prev;
}
