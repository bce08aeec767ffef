/* SPDX-License-Identifier: MIT */
/*
 * The order graph: an edge from A to B says that B was waited for while A was held. As
 * long as the edges form no cycle, no deadlock of these locks is possible, whatever the
 * timing; an edge that would close one is reported, once, and left out.
 *
 * A task that takes C under A and B adds the edge from B only: that from A to B is
 * there already. A lock that was taken by a try has no edge to it, since nobody waited
 * for it, so what lies before it gets one, too.
 *
 * Readers wait for no readers: a path that arrives at a lock to share it does not go on
 * from where that lock was held shared.
 *
 * A known edge costs a look into a set (check_once.c) and no lock. When there is no
 * room for more, all is forgotten and learnt anew: what is used now will be there soon.
 */
#include "core/check.h"
#include "core/check_once.h"

#include "core/runtime.h"
#include "sys/os.h"

#include <stdio.h>
#include <string.h>

enum {
    LOCKS_MAX = 16384,
    EDGES_MAX = 24576, /* fewer than check_once has room for */
    BUCKETS = 16384,
    WAY_SHOWN = 16, /* edges of a cycle in a report */
    NONE = 0,       /* index 0 is no lock, and no edge */
};

#define DEAD UINT64_MAX /* the identity of a lock that is no more */

struct node {
    uint64_t identity;
    uint32_t next;     /* in its bucket */
    uint32_t out;      /* edges from here */
    uint32_t in;       /* edges to here */
    uint32_t stamp[2]; /* of the last search that came here, alone and shared */
    uint32_t by[2];    /* edge * 2 + shared: how it came, and from which state */
    char text[64];     /* "mutex 'ledger'" */
};

/* B was waited for while A was held. */
struct edge {
    uint32_t from, to;
    uint32_t next_out, next_in;
    bool held_shared, wanted_shared;
    bool by_thread;
    char who[32];
    struct hki_frames frames; /* of who waited, or was about to */
};

/* Address space; what is used of it costs memory. */
struct graph {
    uint32_t lock; /* guards all of it */
    uint32_t nodes_used, edges_used;
    uint32_t search; /* the number of the last one */
    uint32_t buckets[BUCKETS];
    struct node nodes[LOCKS_MAX];
    struct edge edges[EDGES_MAX];
    uint32_t queue[2 * LOCKS_MAX]; /* of a search: states */
};

static struct graph *graph; /* atomic; set once */

int hki_order_init(void)
{
    struct graph *room = hki_os_reserve(sizeof(*room));

    if (!room)
        return -ENOMEM;
    room->nodes_used = room->edges_used = NONE + 1;
    __atomic_store_n(&graph, room, __ATOMIC_RELEASE);
    return 0;
}

static struct graph *the_graph(void)
{
    return __atomic_load_n(&graph, __ATOMIC_ACQUIRE);
}

/* With an order for TSan's logical mode, too: libc's printf is seen to read names. */
static void lock_graph(struct graph *g)
{
    hki_lock_acquire(&g->lock);
    HKI_HB_ACQUIRE(&g->lock);
}

static void unlock_graph(struct graph *g)
{
    hki_lock_release(&g->lock);
}

/* ---- identity ---- */

static __attribute__((noinline)) uint64_t new_identity(uint32_t *place)
{
    static uint32_t last;
    uint32_t fresh, none = 0;

    do
        fresh = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
    while (!fresh);
    return __atomic_compare_exchange_n(place, &none, fresh, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED)
               ? fresh
               : none;
}

uint64_t hki_order_identity(const void *lock, const hk_wait_kind *kind)
{
    const uint64_t is_address = UINT64_C(1) << 63;
    uint32_t *place, number;

    if (!kind->check_offset)
        return (uintptr_t)lock | is_address;
    place = (uint32_t *)(void *)((char *)(uintptr_t)lock + kind->check_offset);
    number = __atomic_load_n(place, __ATOMIC_RELAXED);
    return HKI_LIKELY(number) ? number : new_identity(place);
}

/* ---- nodes and edges; with the lock ---- */

static uint64_t key_of(uint64_t from, bool held_shared, uint64_t to, bool wanted_shared)
{
    return hki_once_key(from, to,
                        1u + (held_shared ? 2u : 0) + (wanted_shared ? 4u : 0));
}

static uint32_t *bucket_of(struct graph *g, uint64_t identity)
{
    return &g->buckets[hki_once_key(identity, 0, 0) % BUCKETS];
}

static void forget_all(struct graph *g)
{
    hki_log(HK_LOG_DEBUG, "lock order: more locks than there is room for: all orders "
                          "are learnt anew");
    memset(g->buckets, 0, sizeof(g->buckets));
    g->nodes_used = g->edges_used = NONE + 1;
    g->search = 0;
    hki_once_clear();
}

static uint32_t find_node(struct graph *g, uint64_t identity)
{
    uint32_t i = *bucket_of(g, identity);

    while (i != NONE && g->nodes[i].identity != identity)
        i = g->nodes[i].next;
    return i;
}

static uint32_t get_node(struct graph *g, uint64_t identity, const void *lock,
                         const hk_wait_kind *kind)
{
    uint32_t i = find_node(g, identity), *bucket = bucket_of(g, identity);
    struct node *node;

    if (i != NONE)
        return i;
    i = g->nodes_used++;
    node = &g->nodes[i];
    *node = (struct node){.identity = identity, .next = *bucket};
    hki_check_lock_text(lock, kind, node->text, sizeof(node->text));
    *bucket = i;
    return i;
}

static void add_edge(struct graph *g, const struct edge *edge)
{
    uint32_t i = g->edges_used++;
    struct edge *added = &g->edges[i];

    *added = *edge;
    added->next_out = g->nodes[edge->from].out;
    g->nodes[edge->from].out = i;
    added->next_in = g->nodes[edge->to].in;
    g->nodes[edge->to].in = i;
}

static void unlearn(const struct graph *g, const struct edge *edge)
{
    hki_once_remove(key_of(g->nodes[edge->from].identity, edge->held_shared,
                           g->nodes[edge->to].identity, edge->wanted_shared));
}

/* ---- the search, over states: a lock, and whether the way came there to share ---- */

static uint32_t state_of(uint32_t node, bool shared)
{
    return node * 2 + shared;
}

static void come_to(struct graph *g, uint32_t *end, uint32_t node, bool shared,
                    uint32_t by)
{
    struct node *n = &g->nodes[node];

    if (n->identity == DEAD || n->stamp[shared] == g->search)
        return;
    n->stamp[shared] = g->search;
    n->by[shared] = by;
    g->queue[(*end)++] = state_of(node, shared);
}

/* The shortest path by which `edge` would close a cycle: its last state, or 0. */
static uint32_t find_way_back(struct graph *g, const struct edge *edge)
{
    uint32_t begin = 0, end = 0;

    g->search++;
    come_to(g, &end, edge->to, edge->wanted_shared, NONE);
    while (begin < end) {
        uint32_t state = g->queue[begin++];
        bool shared = state & 1;

        if (state / 2 == edge->from && !(shared && edge->held_shared))
            return state;
        for (uint32_t i = g->nodes[state / 2].out; i != NONE; i = g->edges[i].next_out)
            if (!(shared && g->edges[i].held_shared))
                come_to(g, &end, g->edges[i].to, g->edges[i].wanted_shared,
                        i * 2 + shared);
    }
    return 0;
}

/* ---- the report ---- */

static void add_edge_text(struct hki_report *report, const struct graph *g,
                          const struct edge *edge, bool is_now)
{
    hki_report_add(report, "lock order:   %s '%s' %s %s%s and %s %s%s at\n",
                   edge->by_thread ? "thread" : "task", edge->who,
                   is_now ? "holds" : "held", g->nodes[edge->from].text,
                   edge->held_shared ? " (shared)" : "", is_now ? "takes" : "took",
                   g->nodes[edge->to].text, edge->wanted_shared ? " (shared)" : "");
    hki_report_add_frames(report, 6, &edge->frames);
}

static void add_cycle_text(struct hki_report *report, const struct graph *g,
                           const struct edge *closing, uint32_t last_state)
{
    const struct edge *way[WAY_SHOWN];
    uint32_t count = 0, shown = 0;

    for (uint32_t by, state = last_state; (by = g->nodes[state / 2].by[state & 1]);) {
        const struct edge *edge = &g->edges[by / 2];

        count++;
        if (shown < WAY_SHOWN)
            way[shown++] = edge;
        state = state_of(edge->from, by & 1);
    }
    hki_report_add(report,
                   "lock order: %u locks are taken in an order that can deadlock:\n",
                   count + 1);
    add_edge_text(report, g, closing, true);
    while (shown > 0)
        add_edge_text(report, g, way[--shown], false);
}

/* ---- learning ---- */

/* One warning is enough for the two locks, shared or not. */
static void silence(uint64_t from, uint64_t to)
{
    for (int i = 0; i < 4; i++)
        (void)hki_once_add(key_of(from, i & 1, to, i & 2));
}

/* An edge not seen before, unless another has just added it. True: it closes a
 * cycle, and the caller has a report to log. */
static bool learn(struct graph *g, const struct hki_hold *held, const void *lock,
                  const hk_wait_kind *kind, struct edge *edge,
                  struct hki_report *report)
{
    uint64_t from = held->identity, to = hki_order_identity(lock, kind);
    uint32_t last_state;
    int rc;

    if (g->nodes_used + 2 > LOCKS_MAX || g->edges_used + 1 > EDGES_MAX)
        forget_all(g);
    rc = hki_once_add(key_of(from, edge->held_shared, to, edge->wanted_shared));
    if (rc == 0)
        return false;
    if (rc < 0)
        forget_all(g);
    edge->from = get_node(g, from, held->lock, held->kind);
    edge->to = get_node(g, to, lock, kind);
    last_state = find_way_back(g, edge);
    if (!last_state) {
        add_edge(g, edge);
        return false;
    }
    silence(from, to);
    hki_report_init(report, -1);
    add_cycle_text(report, g, edge, last_state);
    return true;
}

static __attribute__((noinline, cold)) void meet(const struct hki_self *self,
                                                 const struct hki_hold *held,
                                                 const void *lock,
                                                 const hk_wait_kind *kind, bool shared)
{
    struct graph *g = the_graph();
    struct hki_report report;
    struct edge edge = {
        .held_shared = held->hold == HKI_HELD_SHARED,
        .wanted_shared = shared,
        .by_thread = self->kind == HKI_SELF_THREAD,
    };
    bool found;

    (void)snprintf(edge.who, sizeof(edge.who), "%s", hki_self_name(self));
    hki_backtrace_here(&edge.frames);
    lock_graph(g);
    found = learn(g, held, lock, kind, &edge, &report);
    unlock_graph(g);
    if (found) {
        hki_report_log(&report, HK_LOG_WARNING);
        hki_report_fini(&report);
    }
}

void hki_check_order(struct hki_self *self, const void *lock, const hk_wait_kind *kind,
                     enum hki_holding hold)
{
    struct hki_holds *holds = hki_holds_get(self);
    bool shared = hold == HKI_HELD_SHARED;
    uint64_t identity;

    if (HKI_UNLIKELY(!holds))
        return;
    holds->ordered = lock;
    if (HKI_LIKELY(!holds->count) || hki_holds_find(holds, lock))
        return;
    identity = hki_order_identity(lock, kind);
    for (uint32_t i = holds->count; i-- > 0;) {
        const struct hki_hold *held = &holds->room->items[i];

        if (!hki_once_seen(key_of(held->identity, held->hold == HKI_HELD_SHARED,
                                  identity, shared)))
            meet(self, held, lock, kind, shared);
        if (held->may_have_waited)
            break; /* what it held before then, it held when it took this one */
    }
}

/* ---- locks that are no more ---- */

/* Their edges stay, for nothing, until all are forgotten; but the address may be
 * another lock's soon. */
void hki_check_forget(const void *lock)
{
    static const hk_wait_kind by_address = {.name = "lock"};
    struct graph *g = the_graph();
    struct node *node;
    uint32_t found;

    if (!g)
        return;
    lock_graph(g);
    found = find_node(g, hki_order_identity(lock, &by_address));
    node = &g->nodes[found];
    if (found != NONE) {
        uint32_t *link = bucket_of(g, node->identity);

        for (uint32_t i = node->out; i != NONE; i = g->edges[i].next_out)
            unlearn(g, &g->edges[i]);
        for (uint32_t i = node->in; i != NONE; i = g->edges[i].next_in)
            unlearn(g, &g->edges[i]);
        while (*link != found)
            link = &g->nodes[*link].next;
        *link = node->next;
        node->identity = DEAD;
    }
    unlock_graph(g);
}
