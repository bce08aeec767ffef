/* SPDX-License-Identifier: MIT */
/*
 * Shows that a worker which writes what it likes into the memory that it shares with
 * the program gains nothing by it: what it has sent stays as it was checked, and nobody
 * sleeps for ever. How: a thread of the worker goes on after its job.
 */
#include "unit/process_test.h"

#include "exec/handshake.h"
#include "exec/letter.h"

#include <hocket/shared.h>

#include <pthread.h>

/* ---- what runs in workers ---- */

/* What the program and the worker's thread tell each other. */
struct board {
    uint32_t is_awaited, is_spoilt; /* atomic */
};

static void *find_mapped(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long first = 0, end;
    char line[512];

    while (fgets(line, sizeof(line), maps))
        if (strstr(line, name) && sscanf(line, "%lx-%lx", &first, &end) == 2)
            break;
    (void)fclose(maps);
    return (void *)first;
}

static struct hki_channel_memory *find_channel(void)
{
    return find_mapped("hocket-channel");
}

static void await_word(const uint32_t *word)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 0)
        (void)usleep(100);
}

/* Races with what the worker itself writes there: that is not for TSan to tell. */
__attribute__((no_sanitize("thread"))) static void spoil(volatile char *bytes,
                                                         size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = 'x';
}

static void *spoil_results(void *arg)
{
    struct board *board = arg;

    await_word(&board->is_awaited);
    spoil((char *)(find_channel() + 1), 64 << 10); /* the begin of its zone */
    __atomic_store_n(&board->is_spoilt, 1, __ATOMIC_RELEASE);
    return NULL;
}

HK_FN(hk_str, text_to_be_spoilt, (hk_shared, shared), (size_t, length))
{
    char *text = malloc(length + 1);
    pthread_t thread;

    memset(text, 'a', length);
    text[length] = '\0';
    if (pthread_create(&thread, NULL, spoil_results, hk_shared_data(shared)) != 0)
        _exit(1);
    return text;
}

/* A request with a key of so many bytes, and a function that is nowhere: what the
 * program says to it. */
HK_FN(hk_rc, send_key_of, (int, key_size))
{
    struct hki_channel_memory *memory = find_channel();
    struct hki_slot *slot = &memory->requests[HKI_CHANNEL_REQUESTS - 1];

    slot->what = HKI_LETTER_PLAIN;
    slot->place = HKI_PLACE_SLOT;
    slot->length = 0;
    slot->function = UINT64_MAX;
    slot->attempts = UINT8_MAX;
    slot->key_size = (uint8_t)key_size;
    memset(slot->bytes, 'k', sizeof(slot->bytes));
    __atomic_store_n(&slot->state, HKI_SLOT_READY, __ATOMIC_RELEASE);
    __atomic_add_fetch(&memory->requests_made, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != HKI_SLOT_DONE)
        (void)usleep(100);
    return slot->status;
}

/* Whoever sleeps seems to be awake. */
static void *silence(void *arg)
{
    const struct hki_channel channel = {.memory = find_channel()};
    char *heap = find_mapped("hocket-heap");
    struct hki_desk *desk =
        (struct hki_desk *)(heap + hki_handshake_of(&channel)->desk_offset);

    for (;;) {
        __atomic_store_n(&desk->courier.armed, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&desk->waiter.armed, 0, __ATOMIC_SEQ_CST);
        (void)usleep(50);
    }
    return arg;
}

HK_FN(void, silence_bells)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, silence, NULL) != 0)
        _exit(1);
}

/* Its job seems to be done. */
HK_FN(void, answer_and_stay)
{
    struct hki_channel_memory *memory = find_channel();

    for (int i = 0; i < HKI_CHANNEL_SLOTS; i++)
        if (memory->slots[i].state == HKI_SLOT_TAKEN) {
            memory->slots[i].length = 0;
            memory->slots[i].status = 0;
            __atomic_store_n(&memory->slots[i].state, HKI_SLOT_DONE, __ATOMIC_SEQ_CST);
        }
    for (;;)
        (void)pause();
}

/* ---- tests ---- */

static void a_text_is_as_long_as_it_was(void **state)
{
    static const size_t lengths[] = {10, 300, 10000};
    hk_shared shared;
    struct board *board;

    (void)state;
    assert_int_equal(hk_shared_alloc(sizeof(*board), &shared), 0);
    board = hk_shared_data(shared);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        hk_executor *pool = pool_with(1); /* the worker's own books are spoilt, too */
        hk_future *future;
        hk_str text;

        *board = (struct board){0, 0};
        future = text_to_be_spoilt_on(pool, shared, lengths[i]);
        assert_int_equal(text_to_be_spoilt_await(future, &text), 0);
        __atomic_store_n(&board->is_awaited, 1, __ATOMIC_RELEASE);
        await_word(&board->is_spoilt);
        assert_int_equal(strlen(text), lengths[i]);
        assert_int_equal(text[0], 'a');
        hk_future_free(future);
        hk_executor_free(pool);
    }
    hk_shared_free(shared);
}

static void a_key_is_no_longer_than_a_key(void **state)
{
    static const int sizes[] = {HK_JOB_KEY_MAX + 1, UINT8_MAX};
    hk_executor *pool = pool_with(2);

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        assert_int_equal(await_and_free(send_key_of_on(pool, sizes[i])), -EPROTO);
    assert_int_equal(await_and_free(send_key_of_on(pool, HK_JOB_KEY_MAX)), -ENOENT);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

/* When there was nothing to do for so long that the pool rests. */
static void a_pool_whose_bells_do_not_ring_goes_on(void **state)
{
    hk_executor *pool = pool_with(2);

    (void)state;
    assert_int_equal(await_and_free(silence_bells_on(pool)), 0);
    (void)usleep(1500 * 1000);
    assert_int_equal(await_and_free(die_by_on(pool, SIGKILL)), -EOWNERDEAD);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

static void a_worker_that_begins_no_job_is_replaced(void **state)
{
    hk_executor *pool = pool_with(1);

    (void)state;
    assert_int_equal(await_and_free(answer_and_stay_on(pool)), 0);
    expect_add(pool, 1, 2);
    assert_int_equal(stats_of(pool).lost, 0);
    hk_executor_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_as_long_as_it_was),
        cmocka_unit_test(a_key_is_no_longer_than_a_key),
        cmocka_unit_test(a_pool_whose_bells_do_not_ring_goes_on),
        cmocka_unit_test(a_worker_that_begins_no_job_is_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
