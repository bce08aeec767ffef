/* SPDX-License-Identifier: MIT */
/*
 * Shows that selects which meet at the same channels, from two workers, pass each item
 * once; and that none of them sleeps on room that came while it was about to queue.
 */
#include "select_test.h"

/* ---- room that comes while a select is about to queue ---- */

enum { RALLIES = 4000 };

struct rally {
    hk_chan *chan; /* of one slot */
    hk_sem sent;   /* given when the select has returned */
};

/* The second item finds the slot taken, or just left: the receiver does not come again
 * before it was told that this select is over. */
static int send_two(void *arg)
{
    struct rally *rally = arg;
    hk_event never = HK_EVENT_INIT;

    for (uint64_t i = 0; i < RALLIES; i++) {
        hk_case cases[] = {HK_CASE_EVENT(&never), HK_CASE_SEND(rally->chan, &i)};

        CHECK_EQ(hk_chan_send(rally->chan, &i), 0);
        CHECK_EQ(hk_select(cases, 2), 1);
        hk_sem_release(&rally->sent, 1);
    }
    return 0;
}

static int receive_two(void *arg)
{
    struct rally *rally = arg;
    uint64_t item;

    for (uint64_t i = 0; i < RALLIES; i++) {
        while (hk_chan_try_recv(rally->chan, &item) == -EAGAIN)
            relax();
        CHECK_EQ(item, i);
        CHECK_EQ(hk_sem_acquire(&rally->sent), 0);
        CHECK_EQ(hk_chan_recv(rally->chan, &item), 0);
        CHECK_EQ(item, i);
    }
    return 0;
}

static void no_room_passes_a_select_by(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct rally rally = {.chan = new_chan(1), .sent = HK_SEM_INIT(0)};

        check_doing = placing_name[placing];
        run_pair(placing, send_two, receive_two, &rally);
        hk_chan_free(rally.chan);
    }
}

/* ---- many selects that meet at the same channels ---- */

enum { CHANNELS = 3, SENDERS = 3, RECEIVERS = 3, EACH = 600 };

struct fair {
    hk_chan *chans[CHANNELS];
    uint64_t seed;                /* atomic */
    uint32_t senders;             /* atomic: that have come */
    uint32_t finished;            /* atomic: senders that are done */
    uint8_t seen[SENDERS * EACH]; /* atomic */
};

/* The cases in an order of its own: so the selects name the channels in any order. */
static int send_everywhere(void *arg)
{
    struct fair *f = arg;
    uint32_t me = __atomic_fetch_add(&f->senders, 1, __ATOMIC_RELAXED);
    uint64_t chance = __atomic_add_fetch(&f->seed, 1, __ATOMIC_RELAXED);

    for (uint64_t i = 0; i < EACH; i++) {
        uint64_t item = me * EACH + i, first = dice(&chance);
        hk_case cases[CHANNELS];
        int index;

        for (uint64_t c = 0; c < CHANNELS; c++)
            cases[c] = (hk_case)HK_CASE_SEND(f->chans[(first + c) % CHANNELS], &item);
        index = hk_select(cases, CHANNELS);
        CHECK(index >= 0 && cases[index].result == 0);
    }
    if (__atomic_add_fetch(&f->finished, 1, __ATOMIC_ACQ_REL) == SENDERS)
        for (int c = 0; c < CHANNELS; c++)
            hk_chan_close(f->chans[c]);
    return 0;
}

static int receive_everywhere(void *arg)
{
    struct fair *f = arg;
    uint64_t chance = __atomic_add_fetch(&f->seed, 1, __ATOMIC_RELAXED);
    int open = CHANNELS;
    hk_chan *chans[CHANNELS];

    memcpy(chans, f->chans, sizeof(chans));
    while (open > 0) {
        uint64_t item = 0, first = dice(&chance);
        hk_case cases[CHANNELS + 1];
        int index, at[CHANNELS];

        for (uint64_t c = 0; c < CHANNELS; c++) {
            at[c] = (int)((first + c) % CHANNELS);
            cases[c] = (hk_case)HK_CASE_RECV(chans[at[c]], &item);
        }
        cases[CHANNELS] = (hk_case)HK_CASE_DEADLINE(hk_now() + (int64_t)(first >> 45));
        index = hk_select(cases, CHANNELS + 1);
        CHECK(index >= 0);
        if (index == CHANNELS)
            continue;
        if (cases[index].result == -EPIPE) {
            chans[at[index]] = NULL; /* never again */
            open--;
        } else {
            CHECK_EQ(__atomic_add_fetch(&f->seen[item], 1, __ATOMIC_RELAXED), 1);
        }
    }
    return 0;
}

static void selects_that_meet_pass_each_item_once(void **state)
{
    uint64_t seed = kit_seed();

    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++)
        for (size_t capacity = 0; capacity < 2; capacity++) {
            struct fair *f = calloc(1, sizeof(*f));
            struct ensemble e = {.placing = placing};

            f->seed = seed;
            for (int c = 0; c < CHANNELS; c++)
                f->chans[c] = new_chan(capacity);
            for (int i = 0; i < SENDERS; i++)
                add_party(&e, i % 2 ? receive_everywhere : send_everywhere, f);
            for (int i = 0; i < RECEIVERS; i++)
                add_party(&e, i % 2 ? send_everywhere : receive_everywhere, f);
            check_doing = placing_name[placing];
            run_ensemble(&e, NULL);
            for (int i = 0; i < SENDERS * EACH; i++)
                assert_int_equal(f->seen[i], 1);
            for (int c = 0; c < CHANNELS; c++)
                hk_chan_free(f->chans[c]);
            free(f);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_room_passes_a_select_by),
        cmocka_unit_test(selects_that_meet_pass_each_item_once),
    };

    return cmocka_run_group_tests_name("select_crowd", tests, NULL, NULL);
}
