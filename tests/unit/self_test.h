/* SPDX-License-Identifier: MIT */
/* For the tests of hk_job_self: jobs that ask who they are, and tell. */
#ifndef TESTS_UNIT_SELF_TEST_H
#define TESTS_UNIT_SELF_TEST_H

#include "support/check.h"

#include <hocket/executor.h>
#include <hocket/fn.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* What hk_job_self has said, in a form that crosses processes. */
typedef struct who {
    int rc;
    uint32_t attempt, attempts_max, zero; /* no padding: it is compared */
    uint64_t id, id_again;                /* asked a second time */
    char key[HK_JOB_KEY_MAX + 1];
    char name[24];
} who;

/* A failure that has touched its out-parameter is -EILSEQ. */
static inline int failure_of(int rc, const hk_job_identity *out)
{
    hk_job_identity as_before;

    memset(&as_before, 0x5a, sizeof(as_before));
    return memcmp(out, &as_before, sizeof(as_before)) == 0 ? rc : -EILSEQ;
}

static inline who ask(void)
{
    hk_job_identity me, again;
    who answer = {.rc = 0};
    int rc;

    memset(&me, 0x5a, sizeof(me));
    rc = hk_job_self(&me);
    if (rc < 0) {
        answer.rc = failure_of(rc, &me);
        return answer;
    }
    answer.rc = rc ? -EPROTO : hk_job_self(&again);
    answer.attempt = me.attempt;
    answer.attempts_max = me.attempts_max;
    answer.id = me.id;
    answer.id_again = again.id;
    memcpy(answer.key, me.key, sizeof(answer.key));
    for (size_t i = 0; i < sizeof(answer.name) - 1 && me.name[i]; i++)
        answer.name[i] = me.name[i];
    return answer;
}

HK_FN(who, who_am_i)
{
    return ask();
}

static inline void expect_who(const who *answer, const char *key, uint32_t attempt,
                              uint32_t attempts_max)
{
    CHECK_EQ(answer->rc, 0);
    CHECK(answer->id != 0 && answer->id == answer->id_again);
    CHECK(strcmp(answer->key, key) == 0);
    CHECK_EQ(answer->attempt, attempt);
    CHECK_EQ(answer->attempts_max, attempts_max);
}

/* Of any job that returns one. */
static inline who await_who(hk_future *future)
{
    hk_bytes bytes;
    who answer;

    CHECK_EQ(hk_future_await(future, &bytes), 0);
    CHECK_EQ(bytes.size, sizeof(answer));
    memcpy(&answer, bytes.data, sizeof(answer));
    hk_future_free(future);
    return answer;
}

#endif
