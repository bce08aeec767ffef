/* SPDX-License-Identifier: MIT */
/*
 * The sizes of the structs that programs keep in their own storage are part of the ABI:
 * what the headers say, on 64-bit machines. And HK_*_INIT is the same as all bytes
 * zero, so that "valid when zeroed" holds.
 */
#include "support/core_test.h"

#include <hocket/model.h>

#include "core/task.h"
#include "core/ioop.h"

static void sizes_are_those_of_the_headers(void **state)
{
    (void)state;
    assert_int_equal(sizeof(void *), 8);
    assert_int_equal(sizeof(hk_scope), 176);
    assert_int_equal(sizeof(hk_mutex), 64);
    assert_int_equal(sizeof(hk_check_options), 64);
    assert_int_equal(sizeof(hk_owner), 80);
    assert_int_equal(sizeof(hk_rwlock), 384);
    assert_int_equal(sizeof(hk_cond), 80);
    assert_int_equal(sizeof(hk_sync_stats), 32);
    assert_int_equal(sizeof(hk_event), 48);
    assert_int_equal(sizeof(hk_sem), 56);
    assert_int_equal(sizeof(hk_barrier), 64);
    assert_int_equal(sizeof(hk_once), 64);
    assert_int_equal(sizeof(hk_wait_group), 64);
    assert_int_equal(sizeof(hk_limiter), 160);
    assert_int_equal(sizeof(hk_chan_status), 56);
    assert_int_equal(sizeof(hk_op), 256);
    assert_int_equal(sizeof(hk_timer), 32);
    assert_int_equal(sizeof(hk_waiter), 112);
    assert_int_equal(sizeof(hk_inbox_node), 16);
    assert_int_equal(sizeof(hk_waiter_queue), 16);
    assert_int_equal(sizeof(hk_lock), 4);
    assert_int_equal(sizeof(hk_sequencer), 24);
    assert_int_equal(sizeof(hk_explore_options), 64);
    assert_int_equal(sizeof(hk_explore_result), 64);
    assert_int_equal(sizeof(hk_model), 128);
    assert_int_equal(sizeof(hk_model_result), 288);
    assert_int_equal(sizeof(hk_task_id), 8);
    assert_int_equal(sizeof(hk_fd), 8);
    assert_int_equal(sizeof(hk_local), 16);
    assert_int_equal(sizeof(hk_case), 40);
    assert_int_equal(sizeof(hk_waitable), 48);
    assert_int_equal(sizeof(hk_ready), 440);
    assert_int_equal(sizeof(hk_thread), 16);
    assert_int_equal(sizeof(hk_thread_options), 64);
    assert_int_equal(sizeof(hk_worker), 8);
    assert_int_equal(sizeof(hk_options), 104);
    assert_int_equal(sizeof(hk_stats), 168);
    assert_int_equal(sizeof(hk_ledger), 64);
    assert_int_equal(sizeof(hk_addr), 132);
    assert_int_equal(sizeof(hk_listen_options), 40);
    assert_int_equal(sizeof(hk_stat), 80);
    assert_int_equal(sizeof(hk_command), 112);
    assert_int_equal(sizeof(hk_output), 40);
    assert_int_equal(sizeof(hk_bytes), 16);
    assert_int_equal(sizeof(hk_completed), 32);
    assert_int_equal(sizeof(hk_job_error), 56);
    assert_int_equal(sizeof(hk_job_options), 64);
    assert_int_equal(sizeof(hk_executor_view), 80);
    assert_int_equal(sizeof(hk_job_identity), 96);
    assert_int_equal(sizeof(hk_thread_pool_options), 48);
    assert_int_equal(sizeof(hk_task_pool_options), 48);
    assert_int_equal(sizeof(hk_executor_stats), 152);
    assert_int_equal(sizeof(hk_fn), 168);
    assert_int_equal(sizeof(hk_imap), 32);
    assert_int_equal(sizeof(hk_process_options), 176);
    assert_int_equal(sizeof(hk_process_stats), 160);
    assert_int_equal(sizeof(hk_shared), 16);
    assert_int_equal(sizeof(hk_map_options), 64);
    assert_int_equal(sizeof(hk_progress_line), 40);
    assert_int_equal(sizeof(hk_parallel_options), 56);
    assert_int_equal(sizeof(hk_forked), 80);
}

/* Issue 2: a task that has not started costs at most 160 bytes; task.h says 96. */
static void a_task_that_has_not_started_costs_its_record(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct hki_task), 96);
    assert_true(sizeof(struct hki_op) <= sizeof(hk_op));
}

static void initialisers_are_all_zero(void **state)
{
    static const char zero[512];
    const hk_scope scope = HK_SCOPE_INIT;
    const hk_mutex mutex = HK_MUTEX_INIT, plain = HK_MUTEX_INIT_WITH(0);
    const hk_rwlock rwlock = HK_RWLOCK_INIT;
    const hk_cond cond = HK_COND_INIT;
    const hk_event event = HK_EVENT_INIT;
    const hk_sem sem = HK_SEM_INIT(0);
    const hk_barrier barrier = HK_BARRIER_INIT(0);
    const hk_once once = HK_ONCE_INIT;
    const hk_wait_group group = HK_WAIT_GROUP_INIT;
    const hk_limiter limiter = HK_LIMITER_INIT(0);
    const hk_fd none = HK_FD_NONE;

    (void)state;
    assert_memory_equal(&scope, zero, sizeof(scope));
    assert_memory_equal(&mutex, zero, sizeof(mutex));
    assert_memory_equal(&plain, zero, sizeof(plain));
    assert_memory_equal(&rwlock, zero, sizeof(rwlock));
    assert_memory_equal(&cond, zero, sizeof(cond));
    assert_memory_equal(&event, zero, sizeof(event));
    assert_memory_equal(&sem, zero, sizeof(sem));
    assert_memory_equal(&barrier, zero, sizeof(barrier));
    assert_memory_equal(&once, zero, sizeof(once));
    assert_memory_equal(&group, zero, sizeof(group));
    assert_memory_equal(&limiter, zero, sizeof(limiter));
    assert_memory_equal(&none, zero, sizeof(none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_the_headers),
        cmocka_unit_test(a_task_that_has_not_started_costs_its_record),
        cmocka_unit_test(initialisers_are_all_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
