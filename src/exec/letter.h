/* SPDX-License-Identifier: MIT */
/* A job as a letter: what goes into a slot of a channel, and what the worker makes of
 * it. */
#ifndef HKI_EXEC_LETTER_H
#define HKI_EXEC_LETTER_H

#include "exec/channel.h"
#include "exec/executor.h"

/* hki_slot.what */
enum hki_letter_kind {
    HKI_LETTER_FN,    /* a function of HK_FN */
    HKI_LETTER_PLAIN, /* one of hk_submit */
    HKI_LETTER_LOAD,  /* the bytes are the path of a library */
    HKI_LETTER_EXIT,  /* the worker ends as after main; no result */
};

/* What a process pool keeps in job->own. */
enum hki_job_own {
    HKI_OWN_BLOCK,    /* its arguments in the heap; NULL: they fit into a slot */
    HKI_OWN_FUNCTION, /* in a letter's words */
    HKI_OWN_OUTCOME,  /* what it has come to */
    HKI_OWN_REQUEST,  /* the request of a worker that it is; NULL: none */
    HKI_OWN_PLACE,    /* where it was put last in a seat's jobs; NULL: nowhere yet */
};

/* What a letter says of a function: 16 bits of its module, 48 of its place there. */
int hki_letter_function(const void *function, uint64_t *out);
/* The same of a job's, in a worker: what it was not told to load is -ENOENT. */
int hki_letter_function_here(const struct hki_job *job, uint64_t *out);
uint32_t hki_letter_module(uint64_t function);
/* Of a job that was prepared. */
uint32_t hki_letter_job_module(const struct hki_job *job);

/*
 * Makes what the job's letter needs outside of its slot: a block in the shared heap if
 * its arguments are large. 0; -ENOMEM; -ENOENT: its function is in no file that a
 * worker could load; -ENOSPC.
 */
int hki_letter_prepare(struct hki_job *job);
/* The same when its function is known in a letter's words. */
int hki_letter_prepare_for(struct hki_job *job, uint64_t function);
/* Memory for arguments of that size where workers see them; NULL: it is not worth it,
 * or there is none. To be freed by hki_heap_free. */
void *hki_letter_image(size_t size);
/* Frees what hki_letter_prepare has made, and the image if it is such memory. */
void hki_letter_discard(struct hki_job *job);
/* Its arguments again as they were: the attempt before may have changed them. */
void hki_letter_renew(struct hki_job *job);

/* What the job has come to, until that is told. */
void hki_letter_set_outcome(struct hki_job *job, int rc);
int hki_letter_outcome(const struct hki_job *job);

/* How many bytes of arguments its slot has room for. */
size_t hki_letter_room(const struct hki_job *job);
/* Its key and its attempts. */
void hki_letter_write_identity(struct hki_slot *slot, const struct hki_job *job);
/* Those of a job that a worker has sent. The key's first: 0 or -EPROTO. */
int hki_letter_read_key(const struct hki_slot *slot, char out[HK_JOB_KEY_MAX + 1]);
uint32_t hki_letter_attempts_max(const struct hki_letter *letter);
/* Of the job whose letter the caller runs: 0; -ESRCH: it runs none. */
int hki_letter_identity(hk_job_identity *out);

void hki_letter_write_job(struct hki_slot *slot, const struct hki_job *job);
/* A path that is too long for a slot is cut, so that it does not exist. */
void hki_letter_write_load(struct hki_slot *slot, const char *path);
void hki_letter_write_exit(struct hki_slot *slot);

#endif
