/* SPDX-License-Identifier: MIT */
/*
 * Futures and jobs under the schedule explorer: everybody sees the one result, a job
 * that did not run says so, a continuation's context has one owner, a stream of jobs
 * gives each of them once.
 */
#include "explore_kit.h"

enum { SET_RC = 7 };

/* ---- promises ---- */

struct promises {
    hk_future *one, *other;
    int result; /* atomic: of `one`, as somebody saw it; 0: nobody did */
};

static int agree(struct promises *p, int rc)
{
    int seen = 0;

    EXPECT(rc == SET_RC || rc == -EIDRM);
    EXPECT(__atomic_compare_exchange_n(&p->result, &seen, rc, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE) ||
           seen == rc);
    return 0;
}

static int wait_somehow(void *arg)
{
    struct promises *p = arg;
    hk_future *both[] = {p->other, p->one};
    hk_case cases[] = {HK_CASE_FUTURE(p->one), HK_CASE_FUTURE(p->other)};

    switch (hk_explore_choice(4)) {
    case 0: TRY(hk_wait(both, 2, HK_UNTIL_ALL)); break;
    case 1: TRY(hk_wait(both, 2, HK_UNTIL_FAILED)); break;
    case 2: TRY(hk_select(cases, 2)); break;
    default: break;
    }
    do { /* -ECANCELED is the caller's own; the future's is -EIDRM */
        int rc = hk_future_await(p->one, NULL);

        if (rc == -ECANCELED)
            return rc;
        TRY(agree(p, rc));
    } while (hk_explore_choice(2));
    return 0;
}

static int await_what_stands_on_it(void *arg)
{
    struct promises *p = arg;
    hk_future *both[] = {p->one, p->other, p->one};
    hk_future *shield = hk_shield_future(p->one), *all = hk_gather(both, 3);
    int rc = hk_future_await(shield, NULL), all_rc = hk_future_try(all, NULL);
    int failed = rc >= 0 || rc == -ECANCELED ? 0 : agree(p, rc);

    hk_future_free(shield);
    hk_future_free(all);
    EXPECT(all_rc == -EAGAIN || all_rc == 0 || all_rc == -EIDRM);
    return rc == -ECANCELED ? rc : failed;
}

static int end_them(void *arg)
{
    struct promises *p = arg;
    int rc = dawdle();

    (void)hk_future_set(p->other, 1, NULL, 0);
    if (hk_explore_choice(3) == 0)
        (void)hk_future_cancel(p->one, HK_CANCEL);
    (void)hk_future_set(p->one, SET_RC, "x", 1);
    return rc;
}

static int everybody_sees_one_result(void *arg)
{
    struct promises p = {hk_future_new(), hk_future_new(), 0};
    hk_scope s;
    int rc;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, wait_somehow, &p);
    hk_spawn(&s, await_what_stands_on_it, &p);
    hk_spawn(&s, end_them, &p);
    hk_spawn(&s, wait_somehow, &p);
    rc = hk_scope_join(&s);
    EXPECT(rc == 0);
    EXPECT(hk_future_is_done(p.one) && hk_future_is_done(p.other));
    hk_future_free(p.one);
    hk_future_free(p.other);
    return 0;
}

/* ---- continuations ---- */

struct chain {
    hk_future *first, *links[3];
    int owned[3]; /* by the continuation: it was called with it */
};

static int own_it(hk_future *done, void *ctx, hk_result *result)
{
    (void)result;
    EXPECT(hk_future_is_done(done));
    add_to(ctx, 1);
    return dawdle();
}

static int cancel_a_link(void *arg)
{
    struct chain *c = arg;

    TRY(dawdle());
    (void)hk_future_cancel(c->links[hk_explore_choice(3)],
                           hk_explore_choice(2) ? HK_CANCEL : HK_CANCEL_QUEUED);
    return 0;
}

static int set_the_first(void *arg)
{
    struct chain *c = arg;
    int rc = dawdle();

    (void)hk_future_set(c->first, 0, NULL, 0);
    return rc;
}

static int make_chain(struct chain *c)
{
    hk_scope s;

    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        c->links[i] =
            hk_then(i ? c->links[i - 1] : c->first, hk_tasks(), own_it, &c->owned[i]);
    hk_spawn(&s, set_the_first, c);
    hk_spawn(&s, cancel_a_link, c);
    if (hk_explore_choice(2))
        hk_spawn(&s, cancel_later, &s);
    return hk_scope_join(&s);
}

static int a_context_has_one_owner(void *arg)
{
    struct chain c = {.first = hk_future_new()};
    hk_job_error error;

    (void)arg;
    EXPECT(make_chain(&c) == 0);
    for (int i = 0; i < 3; i++) {
        EXPECT(hk_future_error(c.links[i], &error) == 0);
        EXPECT(error.attempts == (uint32_t)c.owned[i]);
        EXPECT(error.error == 0 || error.error == -EIDRM);
        EXPECT(error.error != 0 || c.owned[i]);
        hk_future_free(c.links[i]);
    }
    hk_future_free(c.first);
    return 0;
}

/* ---- streams of jobs ---- */

enum { INPUTS = 6 };

HK_FN(hk_rc, gives_later, (int, n))
{
    TRY(dawdle());
    return n;
}

static hk_future *next_input(void *ctx)
{
    int *next = ctx;

    return *next < INPUTS ? gives_later_on(hk_tasks(), (*next)++) : NULL;
}

static int take_all(hk_imap_order order)
{
    int next = 0, given = 0, rc;
    bool seen[INPUTS] = {false};
    hk_future *f;
    hk_imap it;
    size_t i;

    TRY(hk_imap_begin(&it, next_input, &next, 1 + hk_explore_choice(3), order));
    while ((rc = hk_imap_next(&it, &f, &i)) > 0) {
        int value = hk_future_try(f, NULL);

        EXPECT(value == (int)i || value == -EIDRM);
        EXPECT(i < INPUTS && !seen[i]);
        EXPECT(order == HK_UNORDERED || (int)i == given);
        seen[i] = true;
        given++;
        hk_future_free(f);
    }
    hk_imap_end(&it);
    EXPECT(rc == -ECANCELED || given == INPUTS);
    return rc;
}

static int take_in_some_order(void *arg)
{
    (void)arg;
    return take_all(hk_explore_choice(2) ? HK_ORDERED : HK_UNORDERED);
}

static int a_stream_gives_each_job_once(void *arg)
{
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, take_in_some_order, NULL);
    hk_spawn(&s, take_in_some_order, NULL);
    EXPECT(hk_scope_join(&s) == 0);
    return 0;
}

static const struct scenario scenarios[] = {
    {"everybody_sees_one_result", everybody_sees_one_result, 2, false},
    {"a_context_has_one_owner", a_context_has_one_owner, 0, false},
    {"a_stream_gives_each_job_once", a_stream_gives_each_job_once, 2, false},
};

int main(void)
{
    return explore_all(scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
