/* SPDX-License-Identifier: MIT */
#include "frontier.h"

#include "memory.h"
#include "url.h"

#include <stdlib.h>
#include <string.h>

enum node_state {
    NODE_KNOWN,  /* nothing says that it should be fetched */
    NODE_QUEUED, /* in its host's queue */
    NODE_OUT,    /* being fetched */
    NODE_PAGE,   /* `out` has where its links lead */
    NODE_MOVED,  /* `out` has where it redirects to */
    NODE_OVER,   /* failed, or skipped */
};

static const uint32_t no_node = UINT32_MAX;

struct node {
    enum node_state state;
    uint32_t depth, hops; /* UINT32_MAX: no way leads here */
    uint32_t *out;
    uint32_t out_count, out_max;
    uint32_t next_queued;
    struct host *host; /* NULL while it was never queued */
};

struct frontier {
    int64_t depth_max;
    bool all_sites;
    struct strset urls; /* node n is the n-th */
    struct node *nodes;
    uint32_t nodes_max;
    uint32_t queued;
    struct strset sites;       /* origins to stay on */
    struct strset authorities; /* host n is the n-th */
    struct host **host_table;
    struct host *hosts;    /* all */
    struct host *ring;     /* who has the next turn; NULL: nobody has pages queued */
    uint32_t *corrections; /* nodes whose labels became better: a stack */
    uint32_t corrections_count, corrections_max;
};

struct frontier *frontier_new(int64_t depth_max, bool all_sites)
{
    struct frontier *f = must_alloc(sizeof *f);

    f->depth_max = depth_max;
    f->all_sites = all_sites;
    return f;
}

void frontier_free(struct frontier *f)
{
    if (!f)
        return;
    for (uint32_t n = 0; n < f->urls.count; n++)
        free(f->nodes[n].out);
    while (f->hosts) {
        struct host *host = f->hosts;

        f->hosts = host->next;
        host_free(host);
    }
    strset_fini(&f->urls);
    strset_fini(&f->sites);
    strset_fini(&f->authorities);
    free(f->nodes);
    free(f->host_table);
    free(f->corrections);
    free(f);
}

/* ---- hosts, the ring, the queues ---- */

static struct host *find_host(struct frontier *f, const char *url)
{
    struct url_parts parts;
    struct host *host;
    uint32_t number;
    bool is_new;

    url_split(url, &parts);
    number = strset_add(&f->authorities, parts.authority, parts.authority_len, &is_new);
    if (!is_new)
        return f->host_table[number];
    host = host_new(url);
    host->queue_head = host->queue_tail = no_node;
    host->next = f->hosts;
    f->hosts = host;
    f->host_table = must_realloc(f->host_table, (number + 1) * sizeof *f->host_table);
    f->host_table[number] = host;
    return host;
}

/* Last in turn. */
static void ring_add(struct frontier *f, struct host *host)
{
    if (host->ring_next || host->held || host->queue_head == no_node)
        return;
    if (!f->ring) {
        f->ring = host->ring_next = host->ring_prev = host;
        return;
    }
    host->ring_next = f->ring;
    host->ring_prev = f->ring->ring_prev;
    host->ring_prev->ring_next = host;
    f->ring->ring_prev = host;
}

static void ring_remove(struct frontier *f, struct host *host)
{
    if (!host->ring_next)
        return;
    if (f->ring == host)
        f->ring = host->ring_next == host ? NULL : host->ring_next;
    host->ring_prev->ring_next = host->ring_next;
    host->ring_next->ring_prev = host->ring_prev;
    host->ring_next = host->ring_prev = NULL;
}

static void enqueue(struct frontier *f, uint32_t number)
{
    struct node *node = &f->nodes[number];

    node->state = NODE_QUEUED;
    node->host = find_host(f, strset_text(&f->urls, number));
    node->next_queued = no_node;
    if (node->host->queue_head == no_node)
        node->host->queue_head = number;
    else
        f->nodes[node->host->queue_tail].next_queued = number;
    node->host->queue_tail = number;
    f->queued++;
    ring_add(f, node->host);
}

/* A page may come out of the queue by another door: a database says that it is done. */
static void dequeue(struct frontier *f, uint32_t number)
{
    struct node *node = &f->nodes[number];
    struct host *host = node->host;
    uint32_t *link = &host->queue_head, last = no_node;

    while (*link != number) {
        last = *link;
        link = &f->nodes[*link].next_queued;
    }
    *link = node->next_queued;
    if (host->queue_tail == number)
        host->queue_tail = last;
    f->queued--;
    if (host->queue_head == no_node)
        ring_remove(f, host);
}

enum frontier_answer frontier_next(struct frontier *f, int64_t now_ns,
                                   struct host **out_host, int64_t *out_when_ns)
{
    struct host *host = f->ring;
    int64_t first = HK_NEVER;

    if (!host)
        return FRONTIER_NONE;
    do {
        if (host->next_ns <= now_ns) {
            *out_host = host;
            return FRONTIER_NOW;
        }
        first = host->next_ns < first ? host->next_ns : first;
        host = host->ring_next;
    } while (host != f->ring);
    *out_when_ns = first;
    return FRONTIER_LATER;
}

uint32_t frontier_take(struct frontier *f, struct host *host, int64_t next_ns)
{
    uint32_t number = host->queue_head;

    dequeue(f, number);
    f->nodes[number].state = NODE_OUT;
    host->next_ns = next_ns;
    if (host->ring_next)
        f->ring = host->ring_next; /* the others' turn */
    return number;
}

void frontier_hold(struct frontier *f, struct host *host)
{
    host->held = true;
    ring_remove(f, host);
}

void frontier_release(struct frontier *f, struct host *host)
{
    host->held = false;
    ring_add(f, host);
}

/* ---- labels ---- */

static bool is_site(const struct frontier *f, const char *url)
{
    struct url_parts parts;

    url_split(url, &parts);
    return f->all_sites || strset_has(&f->sites, url, parts.origin_len);
}

static bool is_wanted(const struct frontier *f, uint32_t number)
{
    const struct node *node = &f->nodes[number];
    const char *url = strset_text(&f->urls, number);

    return node->depth != UINT32_MAX &&
           (f->depth_max < 0 || (int64_t)node->depth <= f->depth_max) &&
           node->hops <= REDIRECT_HOPS_MAX && strncmp(url, "http://", 7) == 0 &&
           (node->depth == 0 || url_is_page(url)) && is_site(f, url);
}

static void push_correction(struct frontier *f, uint32_t number)
{
    if (f->corrections_count == f->corrections_max) {
        f->corrections_max = f->corrections_max ? f->corrections_max * 2 : 64;
        f->corrections =
            must_realloc(f->corrections, f->corrections_max * sizeof *f->corrections);
    }
    f->corrections[f->corrections_count++] = number;
}

/* A way to `number` was found that makes its labels at most these. */
static void improve(struct frontier *f, uint32_t number, uint32_t depth, uint32_t hops)
{
    struct node *node = &f->nodes[number];

    if (depth >= node->depth && hops >= node->hops)
        return;
    if (depth < node->depth)
        node->depth = depth;
    if (hops < node->hops)
        node->hops = hops;
    if (node->out_count > 0)
        push_correction(f, number);
    if (node->state == NODE_KNOWN && is_wanted(f, number))
        enqueue(f, number);
}

/* One more site to stay on: what was known of it before may be wanted now. */
static void add_site(struct frontier *f, const char *url)
{
    struct url_parts parts;
    bool is_new;

    url_split(url, &parts);
    strset_add(&f->sites, url, parts.origin_len, &is_new);
    for (uint32_t n = 0; is_new && n < f->urls.count; n++)
        if (f->nodes[n].state == NODE_KNOWN && is_wanted(f, n))
            enqueue(f, n);
}

/* Tells the `i`-th way out of `node` its labels. */
static void improve_out(struct frontier *f, const struct node *node, uint32_t i)
{
    if (node->state != NODE_MOVED) {
        improve(f, node->out[i], node->depth + 1, 0);
        return;
    }
    improve(f, node->out[i], node->depth, node->hops + 1);
    if (node->depth == 0) /* a start page that moved takes the crawl with it */
        add_site(f, strset_text(&f->urls, node->out[i]));
}

static void carry_corrections(struct frontier *f)
{
    while (f->corrections_count > 0) {
        const struct node *node = &f->nodes[f->corrections[--f->corrections_count]];

        if (node->depth == UINT32_MAX)
            continue; /* a database may name a page before any way to it */
        for (uint32_t i = 0; i < node->out_count; i++)
            improve_out(f, node, i);
    }
}

/* ---- what becomes known ---- */

uint32_t frontier_find(struct frontier *f, const char *url)
{
    bool is_new;
    uint32_t number = strset_add(&f->urls, url, strlen(url), &is_new);

    if (!is_new)
        return number;
    if (number == f->nodes_max) {
        f->nodes_max = f->nodes_max ? f->nodes_max * 2 : 256;
        f->nodes = must_realloc(f->nodes, f->nodes_max * sizeof *f->nodes);
    }
    f->nodes[number] = (struct node){.depth = UINT32_MAX, .hops = UINT32_MAX};
    return number;
}

void frontier_add_seed(struct frontier *f, const char *url)
{
    uint32_t number = frontier_find(f, url);

    add_site(f, url);
    improve(f, number, 0, 0);
    carry_corrections(f);
}

static void set_state(struct frontier *f, uint32_t number, enum node_state state)
{
    if (f->nodes[number].state == NODE_QUEUED)
        dequeue(f, number);
    f->nodes[number].state = state;
}

static void add_out(struct frontier *f, uint32_t number, const char *target)
{
    uint32_t to = frontier_find(f, target); /* may move the nodes */
    struct node *node = &f->nodes[number];

    if (node->out_count == node->out_max) {
        node->out_max = node->out_max ? node->out_max * 2 : 4;
        node->out = must_realloc(node->out, node->out_max * sizeof *node->out);
    }
    node->out[node->out_count++] = to;
    if (node->depth != UINT32_MAX)
        improve_out(f, node, node->out_count - 1);
}

void frontier_set_page(struct frontier *f, uint32_t number, const struct strset *links)
{
    set_state(f, number, NODE_PAGE);
    for (uint32_t i = 0; links && i < links->count; i++)
        add_out(f, number, strset_text(links, i));
    carry_corrections(f);
}

void frontier_add_link(struct frontier *f, uint32_t page, const char *target)
{
    add_out(f, page, target);
    carry_corrections(f);
}

void frontier_set_redirect(struct frontier *f, uint32_t number, const char *target)
{
    set_state(f, number, NODE_MOVED);
    add_out(f, number, target);
    carry_corrections(f);
}

void frontier_set_over(struct frontier *f, uint32_t number)
{
    if (f->nodes[number].state != NODE_PAGE && f->nodes[number].state != NODE_MOVED)
        set_state(f, number, NODE_OVER);
}

/* ---- looking ---- */

uint32_t frontier_queued(const struct frontier *f)
{
    return f->queued;
}

const char *frontier_url(const struct frontier *f, uint32_t node)
{
    return strset_text(&f->urls, node);
}

uint32_t frontier_depth(const struct frontier *f, uint32_t node)
{
    return f->nodes[node].depth;
}

struct host *frontier_host(struct frontier *f, uint32_t node)
{
    return f->nodes[node].host;
}

struct host *frontier_hosts(struct frontier *f)
{
    return f->hosts;
}

/* ---- when all is fetched ---- */

/* From `number` on only redirects, more than allowed. A circle is longer than that. */
static bool is_endless(const struct frontier *f, uint32_t number)
{
    for (uint32_t hops = 0; f->nodes[number].state == NODE_MOVED; hops++) {
        if (hops == REDIRECT_HOPS_MAX)
            return true;
        number = f->nodes[number].out[0];
    }
    return false;
}

void frontier_each_endless(struct frontier *f, void (*fn)(void *ctx, const char *url),
                           void *ctx)
{
    for (uint32_t n = 0; n < f->urls.count; n++)
        if (f->nodes[n].hops == 0 && is_endless(f, n))
            fn(ctx, strset_text(&f->urls, n));
}

void frontier_each_page(struct frontier *f,
                        void (*fn)(void *ctx, const char *url, uint32_t depth),
                        void *ctx)
{
    for (uint32_t n = 0; n < f->urls.count; n++)
        if (f->nodes[n].state == NODE_PAGE)
            fn(ctx, strset_text(&f->urls, n), f->nodes[n].depth);
}
