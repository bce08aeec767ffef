/* SPDX-License-Identifier: MIT */
/*
 * Shows that a worker is this very program with another main: it runs letters that come
 * down its channel, its replies come up, small and large, in order; it has no
 * descriptor but its own; it dies when it is killed, when its lifeline closes, and when
 * the program is killed; and its end is told. How: the program is a pool of one worker
 * by hand.
 */
#include "exec/handshake.h"
#include "exec/heap.h"
#include "exec/keeper.h"
#include "exec/worker.h"

#include "base/alloc.h"
#include "sys/os.h"
#include "sys/os_proc.h"
#include "unit/child.h"

#include <errno.h>
#include <fcntl.h>

enum { ECHO, PID, CRASH, DESCRIPTORS, FORK, CONSTRUCTED };

#define ZONE_BYTES ((size_t)1 << 30)

static int constructed;

static void free_reply(void *data)
{
    free(data);
}

static int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* A child of the worker's, which would live for long. */
static int fork_a_sleeper(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)sleep(600);
        _exit(0);
    }
    return pid;
}

static void run_letter(const struct hki_letter *letter, struct hki_reply *reply)
{
    switch (letter->what) {
    case ECHO:
        reply->data = malloc(letter->length + 1);
        memcpy((void *)(uintptr_t)reply->data, letter->bytes, letter->length);
        reply->size = letter->length;
        reply->release = free_reply;
        reply->ctx = (void *)(uintptr_t)reply->data;
        break;
    case PID: reply->status = (int32_t)getpid(); break;
    case CRASH: (void)raise(SIGSEGV); break;
    case DESCRIPTORS: reply->status = open_descriptors(); break;
    case FORK: reply->status = fork_a_sleeper(); break;
    case CONSTRUCTED: reply->status = constructed; break;
    default: reply->status = -EINVAL;
    }
}

__attribute__((constructor)) static void construct(void)
{
    constructed = 42;
    hki_run_letter = run_letter;
}

/* ---- a pool of one worker ---- */

struct one {
    struct hki_child child;
    struct hki_channel channel;
    struct hki_desk *desk;
    uint32_t has_ended; /* atomic */
    int error, status;
};

static void on_end(struct hki_child *child, int error, int status)
{
    struct one *one = hki_container_of(child, struct one, child);
    struct hki_bell *bell = &one->desk->courier;

    one->error = error;
    one->status = status;
    __atomic_exchange_n(&one->has_ended, 1, __ATOMIC_SEQ_CST); /* it may be gone */
    hki_bell_ring(bell);
}

static void start_one(struct one *one)
{
    struct hki_handshake *hands;

    *one = (struct one){.child.ended = on_end};
    assert_int_equal(hki_heap_start(), 0);
    one->desk = hki_heap_alloc(sizeof(*one->desk));
    hki_bell_disarm(&one->desk->courier); /* all else was zero from the beginning */
    one->child.channel_fd = hki_channel_create(&one->channel, ZONE_BYTES);
    assert_true(one->child.channel_fd >= 0);
    one->child.channel = &one->channel;
    hki_os_signal_mask(&one->child.mask);
    hands = hki_handshake_of(&one->channel);
    *hands = (struct hki_handshake){
        .magic = HKI_HANDSHAKE_MAGIC,
        .parent = hki_os_process_id(),
        .heap_bytes = hki_heap_size_bytes(),
        .desk_offset = hki_heap_offset(one->desk),
    };
    hands->build_id_size = (uint32_t)hki_os_program_build_id(hands->build_id);
    assert_int_equal(hki_keeper_start(&one->child), 0);
}

static bool has_ended(const struct one *one)
{
    return __atomic_load_n(&one->has_ended, __ATOMIC_SEQ_CST);
}

static void await_end(struct one *one)
{
    while (!has_ended(one)) {
        hki_bell_arm(&one->desk->courier);
        if (has_ended(one))
            hki_bell_disarm(&one->desk->courier);
        else
            hki_bell_sleep(&one->desk->courier, INT64_MAX);
    }
}

/* As from hki_channel_receive, but waits: 0 when the worker has ended. */
static int await_reply(struct one *one, struct hki_letter *reply)
{
    for (;;) {
        int rc = hki_channel_receive(&one->channel, reply);
        bool is_over = has_ended(one);

        if (rc == 0 && is_over)
            rc = hki_channel_receive(&one->channel, reply);
        if (rc != 0 || is_over)
            return rc;
        hki_bell_arm(&one->desk->courier);
        rc = hki_channel_receive(&one->channel, reply);
        if (rc == 0 && !has_ended(one))
            hki_bell_sleep(&one->desk->courier, INT64_MAX);
        hki_bell_disarm(&one->desk->courier);
    }
}

static void end_one(struct one *one)
{
    hki_keeper_kill(&one->child);
    await_end(one);
    hki_channel_destroy(&one->channel);
    hki_heap_free(one->desk);
}

static void send(struct one *one, int what, const void *bytes, size_t length)
{
    struct hki_slot *slot = hki_channel_slot(&one->channel);

    slot->what = (uint8_t)what;
    slot->place = HKI_PLACE_SLOT;
    slot->length = length;
    if (length > HKI_SLOT_INLINE_BYTES) {
        slot->place = HKI_PLACE_HEAP;
        slot->offset = hki_heap_offset(bytes);
    } else if (length > 0) {
        memcpy(slot->bytes, bytes, length);
    }
    hki_channel_send(&one->channel);
}

static int ask(struct one *one, int what)
{
    struct hki_letter reply;
    int rc;

    send(one, what, NULL, 0);
    rc = await_reply(one, &reply);
    if (rc == 1) {
        rc = reply.status;
        hki_channel_release(&one->channel);
    }
    return rc;
}

/* ---- tests ---- */

static void a_worker_runs_in_place_of_main_after_the_constructors(void **state)
{
    struct one one;
    int pid;

    (void)state;
    start_one(&one);
    pid = ask(&one, PID);
    while (hki_keeper_pid(&one.child) == 0) /* it may be faster than its keeper */
        hki_os_yield();
    assert_int_equal(pid, hki_keeper_pid(&one.child));
    assert_int_equal(ask(&one, CONSTRUCTED), 42);
    end_one(&one);
    assert_int_equal(one.error, 0);
    assert_true(WIFSIGNALED(one.status) && WTERMSIG(one.status) == SIGKILL);
}

static void a_worker_has_the_standard_descriptors_and_its_lifeline(void **state)
{
    struct one one;

    (void)state;
    start_one(&one);
    assert_int_equal(ask(&one, DESCRIPTORS), 4);
    end_one(&one);
}

static void bytes_of_every_size_come_back(void **state)
{
    static const size_t sizes[] = {
        0, 1, HKI_SLOT_INLINE_BYTES, HKI_SLOT_INLINE_BYTES + 1, 4096, 1 << 20, 64 << 20,
    };
    struct one one;

    (void)state;
    start_one(&one);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned char *block = hki_heap_alloc(sizes[i] + 1);
        struct hki_letter reply;

        for (size_t at = 0; at < sizes[i]; at += 511)
            block[at] = (unsigned char)(at % 251);
        send(&one, ECHO, block, sizes[i]);
        assert_int_equal(await_reply(&one, &reply), 1);
        assert_int_equal(reply.length, sizes[i]);
        assert_int_equal(memcmp(reply.bytes, block, sizes[i]), 0);
        if (reply.place == HKI_PLACE_ZONE)
            hki_channel_give_back(&one.channel, reply.bytes);
        hki_channel_release(&one.channel);
        hki_heap_free(block);
    }
    end_one(&one);
}

static void replies_come_in_order_while_the_ring_goes_round(void **state)
{
    enum { LETTERS = 10000 };
    struct one one;
    int sent = 0, received = 0;

    (void)state;
    start_one(&one);
    while (received < LETTERS) {
        struct hki_letter reply;
        int number;

        for (; sent < LETTERS && hki_channel_room(&one.channel) > 0; sent++)
            send(&one, ECHO, &sent, sizeof(sent));
        assert_int_equal(await_reply(&one, &reply), 1);
        assert_int_equal(reply.length, sizeof(number));
        memcpy(&number, reply.bytes, sizeof(number));
        assert_int_equal(number, received++);
        hki_channel_release(&one.channel);
    }
    end_one(&one);
}

static void a_revoked_letter_is_never_begun(void **state)
{
    struct one one;
    struct hki_letter reply;
    uint32_t revoked = 0;

    (void)state;
    start_one(&one);
    for (int i = 0; i < HKI_CHANNEL_SLOTS; i++)
        send(&one, ECHO, "x", 1);
    for (uint32_t i = HKI_CHANNEL_SLOTS; i-- > 0;)
        revoked += hki_channel_revoke(&one.channel, i);
    for (int i = 0; i < HKI_CHANNEL_SLOTS; i++) {
        assert_int_equal(await_reply(&one, &reply), 1);
        revoked -= reply.length == 0;
        hki_channel_release(&one.channel);
    }
    assert_int_equal(revoked, 0);
    end_one(&one);
}

static void the_replies_before_a_death_are_not_lost(void **state)
{
    struct one one;
    struct hki_letter reply;

    (void)state;
    start_one(&one);
    for (int i = 0; i < 3; i++)
        send(&one, ECHO, &i, sizeof(i));
    send(&one, CRASH, NULL, 0);
    send(&one, ECHO, NULL, 0);
    await_end(&one);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(await_reply(&one, &reply), 1);
        hki_channel_release(&one.channel);
    }
    assert_int_equal(await_reply(&one, &reply), 0);
    assert_true(hki_channel_is_running(&one.channel, 0));
    assert_false(hki_channel_is_running(&one.channel, 1));
    end_one(&one);
}

static void junk_from_a_worker_is_refused(void **state)
{
    struct one one;
    struct hki_letter reply;
    struct hki_slot *slot;

    (void)state;
    start_one(&one);
    slot = hki_channel_slot(&one.channel);
    send(&one, ECHO, "x", 1);
    assert_int_equal(await_reply(&one, &reply), 1);
    slot->length = HKI_SLOT_INLINE_BYTES + 1;
    assert_int_equal(hki_channel_receive(&one.channel, &reply), -EPROTO);
    slot->place = HKI_PLACE_ZONE;
    slot->offset = ZONE_BYTES;
    slot->length = 1;
    assert_int_equal(hki_channel_receive(&one.channel, &reply), -EPROTO);
    slot->offset = 1;
    slot->length = UINT64_MAX;
    assert_int_equal(hki_channel_receive(&one.channel, &reply), -EPROTO);
    slot->place = HKI_PLACE_HEAP;
    slot->offset = UINT64_MAX;
    assert_int_equal(hki_channel_receive(&one.channel, &reply), -EPROTO);
    slot->place = 77;
    assert_int_equal(hki_channel_receive(&one.channel, &reply), -EPROTO);
    slot->state = 99;
    assert_int_equal(hki_channel_receive(&one.channel, &reply), -EPROTO);
    end_one(&one);
}

static void another_build_of_the_program_is_refused(void **state)
{
    struct one one;
    struct hki_handshake *hands;

    (void)state;
    start_one(&one);
    end_one(&one);
    start_one(&one);
    hands = hki_handshake_of(&one.channel);
    /* The worker has most probably not looked yet; if it has, it runs, and is
     * killed. */
    hands->build_id[0] ^= 1;
    if (__atomic_load_n(&hands->answer, __ATOMIC_ACQUIRE) == HKI_ANSWER_NONE) {
        await_end(&one);
        assert_int_equal(hands->error, -ESTALE);
    }
    end_one(&one);
}

/* A process that is killed while it has a worker, which has a child. */
static int dies_with_a_worker(void)
{
    struct one one;
    int pids[2];

    start_one(&one);
    pids[0] = ask(&one, PID);
    pids[1] = ask(&one, FORK);
    (void)!write(STDERR_FILENO, pids, sizeof(pids));
    return raise(SIGKILL);
}

/* The pipe of its standard error ends when the last of them has gone: run_child waits
 * for that. */
static void nothing_is_left_when_the_program_is_killed(void **state)
{
    struct child child;
    int pids[2];

    (void)state;
    child = run_child(dies_with_a_worker);
    assert_true(WIFSIGNALED(child.status));
    memcpy(pids, child.text, sizeof(pids));
    for (int i = 0; i < 2; i++)
        await_end_of_process(pids[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: it forks, and must not have threads */
        cmocka_unit_test(nothing_is_left_when_the_program_is_killed),
        cmocka_unit_test(a_worker_runs_in_place_of_main_after_the_constructors),
        cmocka_unit_test(a_worker_has_the_standard_descriptors_and_its_lifeline),
        cmocka_unit_test(bytes_of_every_size_come_back),
        cmocka_unit_test(replies_come_in_order_while_the_ring_goes_round),
        cmocka_unit_test(a_revoked_letter_is_never_begun),
        cmocka_unit_test(the_replies_before_a_death_are_not_lost),
        cmocka_unit_test(junk_from_a_worker_is_refused),
        cmocka_unit_test(another_build_of_the_program_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
