/* SPDX-License-Identifier: MIT */
/*
 * Waiting for the first of several things, over anything that is a few functions
 * (struct hk_waitable). The shape is nsync's wait_n: the caller has one waiter to park
 * on, the leader, and one in the queue of each case; all share the claim word.
 *
 * Exactly one case happens, because it takes the claim word to commit to a waiter of a
 * select: whoever sets it from 0 to 1 first (a case's other party, or the caller's own
 * abort) has ended the select, and all others leave its waiters alone.
 *
 * A deadline case is a scope of its own around the park: its expiry aborts the park
 * like any cancel, and the scope's join tells it from a cancel that came from outside.
 */
#include <hocket/select.h>

#include "core/self_inline.h"

#include <hocket/scope.h>

#include <stdio.h>

enum { CASES_MAX = 64 };

struct choice {
    hk_case *cases;
    size_t count;
    int64_t deadline_ns;      /* the earliest; HK_NEVER: none */
    size_t deadline_index;    /* whose it is */
    uint32_t claim;           /* atomic; 1: somebody has committed */
    uint8_t order[CASES_MAX]; /* in which cases are tried */
};

/* A case without a waitable is a deadline, one without an object never happens. */
static inline bool can_wait(const hk_case *one)
{
    return one->what && one->object;
}

static hk_lock *lock_of(const hk_case *one)
{
    return one->what->lock(one->object);
}

static void describe(const void *object, char *text, size_t size)
{
    const struct choice *choice = object;
    size_t used = 0;

    for (size_t i = 0; i < choice->count && used < size; i++) {
        const hk_case *one = &choice->cases[i];
        const char *name = can_wait(one) ? one->what->kind->name
                           : one->what   ? "nothing"
                                         : "deadline";
        int n = snprintf(text + used, size - used, "%s%s", i ? ", " : "", name);

        if (n < 0)
            break;
        used += (size_t)n;
        if (can_wait(one) && one->what->kind->describe && used + 3 < size) {
            text[used++] = ' ';
            text[used++] = '(';
            one->what->kind->describe(one->object, text + used, size - used);
            while (used < size - 1 && text[used])
                used++;
            if (used < size - 1) {
                text[used++] = ')';
                text[used] = '\0';
            }
        }
    }
}

static const hk_wait_kind select_kind = {.name = "select", .describe = describe};

/* ---- trying ---- */

/* A random order, after Fisher and Yates: who is ready wins with the same chance,
 * whatever stands around it. */
static void shuffle(struct choice *choice)
{
    for (size_t i = 0; i < choice->count; i++) {
        size_t at = i ? (size_t)(hki_random() % (i + 1)) : 0;

        choice->order[i] = choice->order[at];
        choice->order[at] = (uint8_t)i;
    }
}

static void find_deadline(struct choice *choice)
{
    choice->deadline_ns = HK_NEVER;
    for (size_t i = 0; i < choice->count; i++) {
        const hk_case *one = &choice->cases[i];

        if (!one->what && one->deadline_ns < choice->deadline_ns) {
            choice->deadline_ns = one->deadline_ns;
            choice->deadline_index = i;
        }
    }
}

static void begin(struct choice *choice, hk_case *cases, size_t count)
{
    choice->cases = cases;
    choice->count = count;
    choice->claim = 0;
    find_deadline(choice);
    shuffle(choice);
}

/* -EAGAIN, or what the case came to. Its lock is held. */
static int attempt(const hk_case *one, int64_t now_ns)
{
    if (!one->what)
        return one->deadline_ns <= now_ns ? 0 : -EAGAIN;
    return one->object ? one->what->attempt(one->object, one->data) : -EAGAIN;
}

/* The index of the first case, in random order, that could happen and did; -EAGAIN. */
static int attempt_all(struct choice *choice, bool is_locked)
{
    int64_t now_ns = choice->deadline_ns == HK_NEVER ? INT64_MIN : hk_now();

    for (size_t i = 0; i < choice->count; i++) {
        hk_case *one = &choice->cases[choice->order[i]];
        hk_lock *lock = !is_locked && can_wait(one) ? lock_of(one) : NULL;
        int rc;

        if (lock)
            hki_lock_acquire(&lock->hki_word);
        rc = attempt(one, now_ns);
        if (lock)
            hki_lock_release(&lock->hki_word);
        if (rc != -EAGAIN) {
            one->result = rc;
            return choice->order[i];
        }
    }
    return -EAGAIN;
}

/* ---- waiting ---- */

/* The locks of all cases, each once, by address: so that no two selects that share
 * objects can each wait for a lock that the other holds. */
static size_t collect_locks(const struct choice *choice, hk_lock **locks)
{
    size_t n = 0;

    for (size_t i = 0; i < choice->count; i++) {
        size_t at = n;
        hk_lock *lock;

        if (!can_wait(&choice->cases[i]))
            continue;
        lock = lock_of(&choice->cases[i]);
        while (at > 0 && (uintptr_t)locks[at - 1] > (uintptr_t)lock)
            at--;
        if (at > 0 && locks[at - 1] == lock)
            continue;
        for (size_t move = n++; move > at; move--)
            locks[move] = locks[move - 1];
        locks[at] = lock;
    }
    return n;
}

static void enqueue_all(struct choice *choice, hk_waiter *waiters, hk_waiter *leader)
{
    for (size_t i = 0; i < choice->count; i++) {
        const hk_case *one = &choice->cases[i];

        waiters[i] = (hk_waiter){
            .object = one->object,
            .data = one->data,
            .claim = &choice->claim,
            .leader = leader,
        };
        if (!can_wait(one))
            continue;
        waiters[i].kind = one->what->kind;
        one->what->enqueue(one->object, &waiters[i]);
    }
}

static void dequeue_all(struct choice *choice, hk_waiter *waiters)
{
    for (size_t i = 0; i < choice->count; i++) {
        const hk_case *one = &choice->cases[i];
        hk_lock *lock;

        if (!can_wait(one))
            continue;
        lock = lock_of(one);
        hki_lock_acquire(&lock->hki_word);
        one->what->dequeue(one->object, &waiters[i]);
        hki_lock_release(&lock->hki_word);
    }
}

static void settle_all(const struct choice *choice, hk_waiter *waiters)
{
    for (size_t i = 0; i < choice->count; i++) {
        const hk_case *one = &choice->cases[i];

        if (can_wait(one) && one->what->settle)
            one->what->settle(one->object, &waiters[i]);
    }
}

static hk_verdict select_abort(hk_waiter *leader)
{
    struct choice *choice = (struct choice *)leader->object;
    uint32_t open = 0;

    return __atomic_compare_exchange_n(&choice->claim, &open, 1, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)
               ? HK_ABORTED
               : HK_PENDING;
}

/* Queues at every case; or finds one that can happen by now, and returns its index. */
static int enqueue_or_attempt(struct choice *choice, hk_waiter *waiters,
                              hk_waiter *leader)
{
    hk_lock *locks[choice->count];
    size_t n = collect_locks(choice, locks);
    int index;

    for (size_t i = 0; i < n; i++)
        hki_lock_acquire(&locks[i]->hki_word);
    index = attempt_all(choice, true);
    if (index == -EAGAIN)
        enqueue_all(choice, waiters, leader);
    while (n-- > 0)
        hki_lock_release(&locks[n]->hki_word);
    return index;
}

/* The index of the case that happened, or park's error. `*out_parked`: it waited. */
static int wait_for_one(struct choice *choice, bool *out_parked)
{
    hk_waiter leader, waiters[choice->count];
    int rc;

    hk_waiter_init(&leader, &select_kind, choice);
    rc = enqueue_or_attempt(choice, waiters, &leader);
    *out_parked = rc == -EAGAIN;
    if (rc != -EAGAIN)
        return rc;
    rc = hk_park(&leader, select_abort);
    dequeue_all(choice, waiters);
    settle_all(choice, waiters);
    if (rc < 0)
        return rc;
    rc = (int)((hk_waiter *)leader.data - waiters); /* see hk_wake */
    choice->cases[rc].result = waiters[rc].result;
    return rc;
}

static int wait_with_deadline(struct choice *choice, bool *out_parked)
{
    hk_scope scope = HK_SCOPE_INIT;
    int rc, joined;

    hk_scope_open_with(&scope, 0, "select");
    hk_scope_deadline(&scope, choice->deadline_ns);
    rc = wait_for_one(choice, out_parked);
    joined = hk_scope_join(&scope);
    if (rc != -ECANCELED || joined != -ETIMEDOUT)
        return rc;
    choice->cases[choice->deadline_index].result = 0;
    return (int)choice->deadline_index;
}

int hk_select(hk_case *cases, size_t count)
{
    struct hki_self *self = hki_self();
    struct choice choice;
    bool parked = false;
    int rc;

    if (count == 0 || count > CASES_MAX)
        return -EINVAL;
    rc = hki_enter(self);
    if (HKI_UNLIKELY(rc < 0))
        return rc;
    begin(&choice, cases, count);
    rc = attempt_all(&choice, false);
    if (rc == -EAGAIN)
        rc = choice.deadline_ns == HK_NEVER ? wait_for_one(&choice, &parked)
                                            : wait_with_deadline(&choice, &parked);
    if (!parked)
        hki_spend(self);
    return rc;
}

int hk_try_select(hk_case *cases, size_t count)
{
    struct choice choice;

    if (count == 0 || count > CASES_MAX)
        return -EINVAL;
    begin(&choice, cases, count);
    return attempt_all(&choice, false);
}
