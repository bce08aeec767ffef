/* SPDX-License-Identifier: MIT */
/*
 * Parallel loops. The elements are cut into chunks of `grain`, the chunks into equal
 * shares, one for each thread that may take part. Who takes part claims shares, one
 * after the other, until none is left; a share that it has claimed lies in its *lane*,
 * one word, from which it takes chunks at the front, and from which, when no share is
 * left to claim, others take the back half into lanes of their own.
 *
 * Who may take part is invited by forks, in a binary tree, so that 64 threads come in 6
 * steps. An invitation that nobody took is taken back by the join, for nothing: then
 * the caller has claimed all shares itself. So a loop waits for nobody but bodies that
 * run, whatever the other threads do.
 *
 * The scope of a loop brings the cancel of the scopes around to the threads that take
 * part, and the first error to bodies that wait. A loop for one thread needs none.
 */
#include "exec/parallel.h"
#include "exec/work.h"

#include "base/alloc.h"
#include "sys/os.h"

enum {
    LINE_BYTES = 64,
    LANES_FEW = 8,        /* lie on the caller's stack */
    AUTOMATIC_SHARE = 64, /* chunks of a share, when the library chooses */
    CHUNKS_FIRST = 3,     /* before the first look at the clock */
    CHUNKS_MOST = 1024,
};

#define BREATHE_NS (500 * HK_MICROSECOND)

/* Chunks that were claimed and not begun: first in the low half, last + 1 in the high
 * one. Its owner moves the first on, thieves lower the last; both by compare-and-swap.
 * Only the owner fills it, when it is empty. */
struct lane {
    _Alignas(LINE_BYTES) uint64_t chunks; /* atomic */
};

struct loop {
    hk_range_fn *body; /* all of these: immutable when others come */
    void *ctx;
    const char *name;
    uint64_t begin, elements, grain;
    uint32_t chunks;
    uint32_t lane_count; /* and shares */
    hk_schedule schedule;
    struct lane *lanes;
    hk_scope *scope; /* NULL: the caller is alone */

    _Alignas(LINE_BYTES) uint32_t shares_claimed; /* atomic */
    uint32_t entered;                             /* atomic: lanes in use */
    int error; /* atomic: the first; no chunk is begun when it is set */
};

/* One that takes part. On a worker it lets the loop of that have a turn from time to
 * time, or no cancel would reach it and no deadline pass there. The clock is looked at
 * so seldom that it costs nothing. */
struct participant {
    struct hki_self *self;
    struct lane *lane;
    uint32_t chunks_left; /* until it looks at the clock */
    uint32_t chunks_most;
    int64_t breathed_ns;
};

struct invitation {
    hk_forked forked;
    struct loop *loop;
    uint32_t guests; /* who comes, and those that it shall invite */
};

/* ---- lanes ---- */

static uint64_t lane_word(uint32_t first, uint32_t end)
{
    return (uint64_t)end << 32 | first;
}

static uint32_t lane_first(uint64_t word)
{
    return (uint32_t)word;
}

static uint32_t lane_left(uint64_t word)
{
    return (uint32_t)(word >> 32) - (uint32_t)word;
}

/* How many of the chunks `left` are one range. */
static uint32_t take_how_many(const struct loop *loop, uint32_t left)
{
    return loop->schedule == HK_SCHEDULE_GUIDED && left >= 8 ? left / 4 : 1;
}

/* Owner only: some chunks from `*first` on; 0: thieves were faster. */
static uint32_t take_front(const struct loop *loop, struct lane *lane, uint32_t *first)
{
    uint64_t word = __atomic_load_n(&lane->chunks, __ATOMIC_RELAXED);
    uint32_t count;

    do {
        if (lane_left(word) == 0)
            return 0;
        count = take_how_many(loop, lane_left(word));
        *first = lane_first(word);
        if (loop->schedule == HK_SCHEDULE_STATIC) { /* nobody steals */
            __atomic_store_n(&lane->chunks, word + count, __ATOMIC_RELAXED);
            break;
        }
    } while (!__atomic_compare_exchange_n(&lane->chunks, &word, word + count, true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return count;
}

/* The back half, into the empty lane `mine`. */
static bool steal_half(struct lane *victim, struct lane *mine)
{
    uint64_t word = __atomic_load_n(&victim->chunks, __ATOMIC_RELAXED);
    uint32_t first, count, stays;

    do {
        count = lane_left(word);
        if (count == 0)
            return false;
        first = lane_first(word);
        stays = count / 2;
    } while (!__atomic_compare_exchange_n(&victim->chunks, &word,
                                          lane_word(first, first + stays), true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    __atomic_store_n(&mine->chunks, lane_word(first + stays, first + count),
                     __ATOMIC_RELAXED);
    return true;
}

static bool steal(struct loop *loop, uint32_t me)
{
    for (uint32_t i = 1; i < loop->lane_count; i++) {
        uint32_t at = me + i < loop->lane_count ? me + i : me + i - loop->lane_count;

        if (steal_half(&loop->lanes[at], &loop->lanes[me]))
            return true;
    }
    return false;
}

static void fill_lane(const struct loop *loop, struct lane *mine, uint64_t share)
{
    uint64_t shares = loop->lane_count;

    __atomic_store_n(&mine->chunks,
                     lane_word((uint32_t)(share * loop->chunks / shares),
                               (uint32_t)((share + 1) * loop->chunks / shares)),
                     __ATOMIC_RELAXED);
}

static bool claim_share(struct loop *loop, struct lane *mine)
{
    uint32_t share;

    if (__atomic_load_n(&loop->shares_claimed, __ATOMIC_RELAXED) >= loop->lane_count)
        return false;
    share = __atomic_fetch_add(&loop->shares_claimed, 1, __ATOMIC_RELAXED);
    if (share >= loop->lane_count)
        return false;
    fill_lane(loop, mine, share);
    return true;
}

/* ---- chunks ---- */

static void fail(struct loop *loop, int rc)
{
    int none = 0;

    if (__atomic_compare_exchange_n(&loop->error, &none, rc, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED) &&
        loop->scope)
        hk_scope_cancel(loop->scope);
}

static void look_at_clock(struct participant *me)
{
    int64_t now_ns = hki_os_now_ns();

    if (me->breathed_ns == 0)
        me->breathed_ns = now_ns; /* a short loop never comes to need it */
    if (now_ns - me->breathed_ns >= BREATHE_NS) {
        hki_workers_breathe(me->self);
        me->breathed_ns = hki_os_now_ns();
        me->chunks_most = me->chunks_most / 4 + 1;
    } else if (me->chunks_most < CHUNKS_MOST) {
        me->chunks_most *= 2;
    }
    me->chunks_left = me->chunks_most;
}

/* There is more to be done: shall it be? */
static bool goes_on(struct loop *loop, struct participant *me)
{
    int rc;

    if (HKI_UNLIKELY(__atomic_load_n(&loop->error, __ATOMIC_RELAXED)))
        return false;
    if (HKI_UNLIKELY(me->chunks_left-- == 0))
        look_at_clock(me);
    rc = hki_enter(me->self);
    if (HKI_UNLIKELY(rc < 0))
        fail(loop, rc);
    return rc == 0;
}

static void run_chunks(struct loop *loop, uint32_t first, uint32_t count)
{
    uint64_t begin = first * loop->grain, end = begin + count * loop->grain;
    int rc;

    if (first + count == loop->chunks)
        end = loop->elements;
    rc = loop->body((int64_t)(loop->begin + begin), (int64_t)(loop->begin + end),
                    loop->ctx);
    if (HKI_UNLIKELY(rc < 0))
        fail(loop, rc);
}

static void run_lane(struct loop *loop, struct participant *me)
{
    struct lane *lane = me->lane;
    uint32_t first, count;

    while (lane_left(__atomic_load_n(&lane->chunks, __ATOMIC_RELAXED)) > 0) {
        if (!goes_on(loop, me))
            return;
        count = take_front(loop, lane, &first);
        if (HKI_LIKELY(count > 0))
            run_chunks(loop, first, count);
    }
}

/* All that the calling thread can do for the loop now, which has the lane `index`. */
static void work(struct loop *loop, uint32_t index)
{
    struct hki_self *self = hki_self();
    struct participant me = {
        .self = self,
        .lane = &loop->lanes[index],
        .chunks_left = CHUNKS_FIRST,
        .chunks_most = 1,
    };
    uint16_t forks = self->forks;

    do
        run_lane(loop, &me); /* empty at first, but for the caller's */
    while (claim_share(loop, me.lane));
    if (loop->schedule != HK_SCHEDULE_STATIC)
        while (!__atomic_load_n(&loop->error, __ATOMIC_RELAXED) && steal(loop, index))
            run_lane(loop, &me);
    hki_forks_check(self, forks);
}

/* ---- invitations ---- */

static void take_part(struct loop *loop, uint32_t index, uint32_t guests);

static int accept(void *arg)
{
    const struct invitation *invitation = arg;
    struct loop *loop = invitation->loop;
    uint32_t index = __atomic_fetch_add(&loop->entered, 1, __ATOMIC_RELAXED);

    take_part(loop, index, invitation->guests - 1);
    return 0;
}

static bool invite(struct invitation *invitation, struct loop *loop, uint32_t guests)
{
    if (guests == 0)
        return false;
    invitation->loop = loop;
    invitation->guests = guests;
    hki_fork_named(&invitation->forked, accept, invitation, loop->name);
    return true;
}

/* The caller works; so do `guests` others if they come. */
static void take_part(struct loop *loop, uint32_t index, uint32_t guests)
{
    struct invitation near, far;
    bool has_far = invite(&far, loop, guests / 2);
    bool has_near = invite(&near, loop, guests - guests / 2);

    work(loop, index);
    if (has_near)
        (void)hk_join(&near.forked);
    if (has_far)
        (void)hk_join(&far.forked);
}

/* ---- a loop ---- */

/* How many may take part, how many chunks there are, and of which size. */
static void cut(struct loop *loop, const hk_parallel_options *options)
{
    uint64_t threads = hk_parallel_threads(), chunks;

    if (options->threads_max && threads > options->threads_max)
        threads = options->threads_max;
    loop->grain = (uint64_t)options->grain;
    if (loop->grain == 0) {
        uint64_t parts =
            loop->schedule == HK_SCHEDULE_STATIC ? threads : threads * AUTOMATIC_SHARE;

        loop->grain = (loop->elements - 1) / parts + 1;
    }
    if ((loop->elements - 1) / loop->grain >= UINT32_MAX)
        loop->grain = (loop->elements - 1) / UINT32_MAX + 1;
    chunks = (loop->elements - 1) / loop->grain + 1;
    loop->chunks = (uint32_t)chunks;
    loop->lane_count = (uint32_t)(threads < chunks ? threads : chunks);
}

static void run_with_others(struct loop *loop)
{
    struct lane few[LANES_FEW], *many = NULL;
    hk_scope scope;

    loop->lanes = few;
    if (loop->lane_count > LANES_FEW) {
        /* One more, as the heap aligns less. */
        many = hki_alloc((loop->lane_count + 1) * sizeof(*many));
        if (many)
            loop->lanes = (struct lane *)(((uintptr_t)many + LINE_BYTES - 1) &
                                          ~(uintptr_t)(LINE_BYTES - 1));
        else
            loop->lane_count = LANES_FEW;
    }
    for (uint32_t i = 0; i < loop->lane_count; i++)
        loop->lanes[i].chunks = 0;
    fill_lane(loop, &loop->lanes[0], 0); /* the caller's: no need to claim it */
    loop->shares_claimed = loop->entered = 1;
    loop->scope = loop->lane_count > 1 ? &scope : NULL;
    if (loop->scope)
        hk_scope_open_with(&scope, 0, loop->name);
    take_part(loop, 0, loop->lane_count - 1);
    if (loop->scope)
        (void)hk_scope_join(&scope); /* loop->error knows more */
    hki_free(many);
}

struct start {
    struct loop *loop;
    const hk_parallel_options *options;
};

static int run_loop(void *arg)
{
    struct start *start = arg;
    struct loop *loop = start->loop;

    cut(loop, start->options);
    run_with_others(loop);
    return loop->error;
}

int hk_parallel_for_with(int64_t begin, int64_t end, const hk_parallel_options *options,
                         hk_range_fn *body, void *ctx)
{
    static const hk_parallel_options none;
    struct loop loop = {
        .body = body,
        .ctx = ctx,
        .begin = (uint64_t)begin,
        .elements = (uint64_t)end - (uint64_t)begin,
    };
    struct start start = {&loop, options ? options : &none};

    loop.schedule = start.options->schedule;
    loop.name = start.options->name ? start.options->name : "parallel loop";
    if (HKI_UNLIKELY(!body))
        hki_panic("hk_parallel_for without a body");
    if (start.options->grain < 0 || (unsigned)loop.schedule > HK_SCHEDULE_GUIDED)
        return -EINVAL;
    if (end <= begin)
        return hk_cancelled();
    return hk_parallel_run(run_loop, &start);
}

int hk_parallel_for(int64_t begin, int64_t end, int64_t grain, hk_range_fn *body,
                    void *ctx)
{
    const hk_parallel_options options = {.grain = grain};

    return hk_parallel_for_with(begin, end, &options, body, ctx);
}
