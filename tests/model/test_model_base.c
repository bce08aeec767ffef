/* SPDX-License-Identifier: MIT */
/*
 * Models of the parts that everything stands on: the short lock, the spin lock, the
 * inbox of a worker, the sleep and wake-up of a plain thread, and the bias; each with
 * its mistakes planted, so that one knows that the model would see them.
 *
 * Run: once, builds=plain asan clang
 */
#include "model_kit.h"

#include "base/mpsc.h"
#include "base/spin.h"
#include "sync/bias.h"

/* ---- the short lock ---- */

static struct {
    uint32_t lock;
    struct hki_spin spin;
    int inside, visits;
} guarded;

static void guarded_begin(void *world)
{
    (void)world;
    memset(&guarded, 0, sizeof(guarded));
}

static bool guarded_end(void *world)
{
    (void)world;
    return guarded.lock == 0 && guarded.visits == 4;
}

/* A place where a preemption shows who is inside. */
static void stay_inside(void)
{
    MODEL_EXPECT(__atomic_add_fetch(&guarded.inside, 1, __ATOMIC_RELAXED) == 1);
    guarded.visits++;
    __atomic_sub_fetch(&guarded.inside, 1, __ATOMIC_RELAXED);
}

static void visit_locked(void *world)
{
    (void)world;
    hki_lock_acquire(&guarded.lock);
    stay_inside();
    hki_lock_release(&guarded.lock);
}

static void visit_locked_twice(void *world)
{
    visit_locked(world);
    visit_locked(world);
}

static void short_lock_excludes_and_wakes(void **state)
{
    const hk_model model = {
        .name = "short_lock",
        .begin = guarded_begin,
        .end = guarded_end,
        .threads = {visit_locked_twice, visit_locked, visit_locked},
        .delays = 1,
    };

    (void)state;
    expect_all_runs_pass(model);
}

/* The mistake: whoever sleeps is forgotten, as the word says "held", not "held, and
 * someone sleeps". */
static void visit_and_forget(void *world)
{
    (void)world;
    while (!hki_lock_try(&guarded.lock))
        hk_model_wait(&guarded.lock, 1, false);
    stay_inside();
    hki_lock_release(&guarded.lock);
}

static void a_short_lock_that_forgets_sleepers_is_found(void **state)
{
    const hk_model model = {
        .name = "short_lock_forgets",
        .begin = guarded_begin,
        .threads = {visit_and_forget, visit_and_forget},
    };

    (void)state;
    expect_found(model, -EDEADLK);
}

static void visit_spinning(void *world)
{
    (void)world;
    hki_spin_acquire(&guarded.spin);
    stay_inside();
    hki_spin_release(&guarded.spin);
}

static void visit_spinning_twice(void *world)
{
    visit_spinning(world);
    visit_spinning(world);
}

static void spin_lock_excludes(void **state)
{
    const hk_model model = {
        .name = "spin_lock",
        .begin = guarded_begin,
        .end = guarded_end,
        .threads = {visit_spinning_twice, visit_spinning_twice},
        .delays = 1,
    };

    (void)state;
    expect_all_runs_pass(model);
}

/* ---- the inbox ---- */

struct letter {
    struct hki_mpsc_node node;
    int sender, number;
};

static struct {
    struct hki_mpsc inbox;
    struct letter letters[4];
    int read, last[2];
} post;

static void post_begin(void *world)
{
    (void)world;
    memset(&post, 0, sizeof(post));
    for (int i = 0; i < 4; i++)
        post.letters[i] = (struct letter){.sender = i / 2, .number = i % 2 + 1};
}

static void send_first_two(void *world)
{
    (void)world;
    hki_mpsc_push(&post.inbox, &post.letters[0].node);
    hki_mpsc_push(&post.inbox, &post.letters[1].node);
}

static void send_last_two(void *world)
{
    (void)world;
    hki_mpsc_push(&post.inbox, &post.letters[2].node);
    hki_mpsc_push(&post.inbox, &post.letters[3].node);
}

static void read_letters(struct hki_mpsc_node *node)
{
    while (node) {
        struct letter *letter = (struct letter *)(void *)node;

        node = node->next;
        MODEL_EXPECT(letter->number == post.last[letter->sender] + 1);
        post.last[letter->sender]++;
        post.read++;
    }
}

static void read_all(void *world)
{
    (void)world;
    while (post.read < 4) {
        while (hki_mpsc_is_empty(&post.inbox))
            hk_model_yield();
        read_letters(hki_mpsc_take_all(&post.inbox));
    }
}

static void inbox_keeps_the_order_of_each_sender(void **state)
{
    const hk_model model = {
        .name = "inbox",
        .begin = post_begin,
        .threads = {read_all, send_first_two, send_last_two},
        .delays = 1,
    };

    (void)state;
    expect_all_runs_pass(model);
}

/* The mistake: looks first, then empties it, and what came in between is lost. */
static void read_all_carelessly(void *world)
{
    (void)world;
    while (post.read < 4) {
        struct hki_mpsc_node *node, *next, *oldest = NULL;

        while (hki_mpsc_is_empty(&post.inbox))
            hk_model_yield();
        node = __atomic_load_n(&post.inbox.top, __ATOMIC_ACQUIRE);
        __atomic_store_n(&post.inbox.top, NULL, __ATOMIC_RELAXED);
        for (; node; node = next) {
            next = node->next;
            node->next = oldest;
            oldest = node;
        }
        read_letters(oldest);
    }
}

static void an_inbox_that_loses_letters_is_found(void **state)
{
    const hk_model model = {
        .name = "inbox_loses",
        .begin = post_begin,
        .threads = {read_all_carelessly, send_first_two, send_last_two},
    };

    (void)state;
    expect_found(model, -EDEADLK);
}

/* ---- a plain thread sleeps and is woken ---- */

static hk_waiter waiter;
static const hk_wait_kind kind = {.name = "model"};

static void parker_begin(void *world)
{
    (void)world;
    forget_threads();
    hki_waiter_arm(&waiter, &model_threads[0].self, &kind, NULL);
}

static void park(void *world)
{
    (void)world;
    be_thread(0);
    MODEL_EXPECT(hk_park(&waiter, NULL) == 7);
}

static void wake(void *world)
{
    (void)world;
    be_thread(1);
    hk_wake(&waiter, 7);
}

static void kick_in_between(void *world)
{
    (void)world;
    be_thread(2);
    hki_thread_kick(&model_threads[0]); /* as a cancel of another scope does */
}

static void a_parked_thread_is_always_woken(void **state)
{
    const hk_model model = {
        .name = "parker",
        .begin = parker_begin,
        .threads = {park, wake, kick_in_between},
        .delays = 2,
    };

    (void)state;
    expect_all_runs_pass(model);
}

/* The same protocol in few words, to plant mistakes in it. */
enum mistake { NONE, SEQUENCE_READ_TOO_LATE, ASLEEP_READ_TOO_EARLY };

static struct {
    uint32_t done, sequence, asleep;
    enum mistake mistake;
} parker;

static void small_parker_begin(void *world)
{
    (void)world;
    parker.done = parker.sequence = parker.asleep = 0;
}

static uint32_t sequence_now(void)
{
    return __atomic_load_n(&parker.sequence, __ATOMIC_SEQ_CST);
}

static void sleep_until_done(void *world)
{
    (void)world;
    for (;;) {
        uint32_t sequence = sequence_now();

        if (__atomic_load_n(&parker.done, __ATOMIC_ACQUIRE))
            return;
        if (parker.mistake == SEQUENCE_READ_TOO_LATE)
            sequence = sequence_now();
        __atomic_store_n(&parker.asleep, 1, __ATOMIC_SEQ_CST);
        hk_model_wait(&parker.sequence, sequence, false);
        __atomic_store_n(&parker.asleep, 0, __ATOMIC_SEQ_CST);
    }
}

static void be_done(void *world)
{
    bool asleep = __atomic_load_n(&parker.asleep, __ATOMIC_SEQ_CST);

    (void)world;
    __atomic_store_n(&parker.done, 1, __ATOMIC_RELEASE);
    __atomic_add_fetch(&parker.sequence, 1, __ATOMIC_SEQ_CST);
    if (parker.mistake != ASLEEP_READ_TOO_EARLY)
        asleep = __atomic_load_n(&parker.asleep, __ATOMIC_SEQ_CST);
    if (asleep)
        hk_model_wake(&parker.sequence, 1);
}

static void a_parker_that_loses_a_wake_is_found(void **state)
{
    const hk_model model = {
        .name = "small_parker",
        .begin = small_parker_begin,
        .threads = {sleep_until_done, be_done},
        .delays = 1,
    };

    (void)state;
    parker.mistake = NONE;
    expect_all_runs_pass(model);
    parker.mistake = SEQUENCE_READ_TOO_LATE;
    expect_found(model, -EDEADLK);
    parker.mistake = ASLEEP_READ_TOO_EARLY;
    expect_found(model, -EDEADLK);
}

/* ---- the bias ---- */

static struct {
    struct hki_bias bias;
    uint32_t lock;
    int inside;
} biased;

static struct hki_worker *const owner = (struct hki_worker *)(void *)&biased;
static bool without_fence;

static void bias_begin(void *world)
{
    (void)world;
    memset(&biased, 0, sizeof(biased));
    biased.bias.owner = (uintptr_t)owner;
}

static void use_biased(void)
{
    MODEL_EXPECT(__atomic_add_fetch(&biased.inside, 1, __ATOMIC_RELAXED) == 1);
    __atomic_sub_fetch(&biased.inside, 1, __ATOMIC_RELAXED);
}

static void use_as_owner(void *world)
{
    (void)world;
    for (int i = 0; i < 2; i++) {
        if (hki_bias_enter(&biased.bias, owner)) {
            use_biased();
            hki_bias_leave(&biased.bias);
            continue;
        }
        hki_lock_acquire(&biased.lock);
        hki_bias_visit(&biased.bias, owner);
        use_biased();
        hki_lock_release(&biased.lock);
    }
}

static void use_as_stranger(void *world)
{
    (void)world;
    hki_lock_acquire(&biased.lock);
    if (without_fence)
        __atomic_store_n(&biased.bias.owner, HKI_BIAS_NONE, __ATOMIC_RELAXED);
    else
        hki_bias_visit(&biased.bias, NULL);
    while (without_fence && __atomic_load_n(&biased.bias.busy, __ATOMIC_ACQUIRE))
        hk_model_yield();
    use_biased();
    hki_lock_release(&biased.lock);
}

static const hk_model bias_model = {
    .name = "bias",
    .begin = bias_begin,
    .threads = {use_as_owner, use_as_stranger, use_as_stranger},
    .delays = 2,
};

static void a_bias_excludes_its_owner_from_strangers(void **state)
{
    (void)state;
    without_fence = false;
    expect_all_runs_pass(bias_model);
}

static void a_bias_without_its_fence_is_found(void **state)
{
    (void)state;
    without_fence = true;
    expect_found(bias_model, -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_lock_excludes_and_wakes),
        cmocka_unit_test(a_short_lock_that_forgets_sleepers_is_found),
        cmocka_unit_test(spin_lock_excludes),
        cmocka_unit_test(inbox_keeps_the_order_of_each_sender),
        cmocka_unit_test(an_inbox_that_loses_letters_is_found),
        cmocka_unit_test(a_parked_thread_is_always_woken),
        cmocka_unit_test(a_parker_that_loses_a_wake_is_found),
        cmocka_unit_test(a_bias_excludes_its_owner_from_strangers),
        cmocka_unit_test(a_bias_without_its_fence_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
