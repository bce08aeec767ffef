/* SPDX-License-Identifier: MIT */
/*
 * Futures of futures: hk_gather and hk_shield_future. Each observes the futures that it
 * stands on, and has a reference of each, which keeps their results; when it is freed
 * it stops observing. So it needs no reference of itself: who sets one of them holds
 * that one's lock while he is here, and the free waits for it.
 */
#include "exec/future.h"

#include "base/alloc.h"

struct member {
    struct hki_observer observer;
    struct derived *derived;
    hk_future *future;
};

struct derived {
    hk_future future;  /* first */
    hk_future *origin; /* the member that it is done as; NULL: as none of them */
    uint32_t pending;  /* atomic: members that are not done, and who makes it */
    uint32_t count;
    struct member members[];
};

static struct derived *derived_of(hk_future *future)
{
    return (struct derived *)(void *)future;
}

static void set(struct derived *derived, int rc)
{
    if (hki_future_claim(&derived->future))
        hki_future_finish(&derived->future, rc);
}

/* As `member` is done. */
static void set_as(struct derived *derived, hk_future *member)
{
    if (!hki_future_claim(&derived->future))
        return;
    derived->origin = member;
    derived->future.data = member->data;
    derived->future.size = member->size;
    hki_future_finish(&derived->future, member->rc);
}

static void derived_free(hk_future *future)
{
    struct derived *derived = derived_of(future);

    for (uint32_t i = 0; i < derived->count; i++) {
        struct member *member = &derived->members[i];

        (void)hki_future_unobserve(member->future, &member->observer);
        hk_future_free(member->future);
    }
    hki_free(derived);
}

static size_t derived_holders(const hk_future *future, hk_holder *out, size_t max)
{
    const struct derived *derived = (const struct derived *)(const void *)future;
    size_t count = 0;

    for (uint32_t i = 0; i < derived->count; i++)
        count += hki_future_holders(derived->members[i].future,
                                    count < max ? out + count : NULL,
                                    count < max ? max - count : 0);
    return count;
}

static struct derived *derived_new(const struct hki_future_kind *kind,
                                   hk_future *const *futures, size_t count)
{
    struct derived *derived;

    if (count > INT32_MAX)
        return NULL;
    derived = hki_alloc(sizeof(*derived) + count * sizeof(struct member));
    if (!derived)
        return NULL;
    hki_future_init(&derived->future, kind, 1);
    derived->pending = (uint32_t)count + 1;
    derived->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        derived->members[i] = (struct member){
            .derived = derived,
            .future = hk_future_ref(futures[i]),
        };
    return derived;
}

/* From now on `done` is called for each, once. */
static void observe_all(struct derived *derived,
                        void (*done)(struct hki_observer *observer, hk_future *future))
{
    for (uint32_t i = 0; i < derived->count; i++) {
        struct member *member = &derived->members[i];

        member->observer.done = done;
        if (!hki_future_observe(member->future, &member->observer))
            done(&member->observer, member->future);
    }
}

/* ---- gather ---- */

static void one_less(struct derived *derived)
{
    if (__atomic_sub_fetch(&derived->pending, 1, __ATOMIC_ACQ_REL) == 0)
        set(derived, 0);
}

static void gathered_one(struct hki_observer *observer, hk_future *future)
{
    struct derived *derived = ((struct member *)(void *)observer)->derived;

    if (future->rc < 0)
        set_as(derived, future);
    else
        one_less(derived);
}

static int gather_cancel(hk_future *future, hk_cancel_how how)
{
    struct derived *derived = derived_of(future);
    int rc = 0;

    for (uint32_t i = 0; i < derived->count; i++)
        if (hk_future_cancel(derived->members[i].future, how) == -ENOMEM)
            rc = -ENOMEM;
    set(derived, -EIDRM);
    return rc;
}

/* The last one that is pending ends it in any case; one of several may not be waited
 * for, because another may fail before. */
static size_t gather_holders(const hk_future *future, hk_holder *out, size_t max)
{
    const struct derived *derived = (const struct derived *)(const void *)future;

    return __atomic_load_n(&derived->pending, __ATOMIC_ACQUIRE) == 1
               ? derived_holders(future, out, max)
               : 0;
}

static const struct hki_future_kind gather_kind = {
    .name = "of all of several",
    .holders = gather_holders,
    .cancel = gather_cancel,
    .free = derived_free,
};

hk_future *hk_gather(hk_future *const *futures, size_t count)
{
    struct derived *derived = derived_new(&gather_kind, futures, count);

    if (!derived)
        return hki_future_no_memory();
    observe_all(derived, gathered_one);
    one_less(derived);
    return &derived->future;
}

/* ---- shield ---- */

static void shielded_is_done(struct hki_observer *observer, hk_future *future)
{
    set_as(((struct member *)(void *)observer)->derived, future);
}

static int shield_cancel(hk_future *future, hk_cancel_how how)
{
    (void)how;
    set(derived_of(future), -EIDRM);
    return 0;
}

static const struct hki_future_kind shield_kind = {
    .name = "behind a shield",
    .holders = derived_holders,
    .cancel = shield_cancel,
    .free = derived_free,
};

hk_future *hk_shield_future(hk_future *future)
{
    struct derived *derived = derived_new(&shield_kind, &future, 1);

    if (!derived)
        return hki_future_no_memory();
    observe_all(derived, shielded_is_done);
    return &derived->future;
}

/* ---- where an error comes from ---- */

const hk_future *hki_future_origin(const hk_future *future)
{
    while (future->kind == &shield_kind || future->kind == &gather_kind) {
        const hk_future *origin =
            ((const struct derived *)(const void *)future)->origin;

        if (!origin)
            break;
        future = origin;
    }
    return future;
}
