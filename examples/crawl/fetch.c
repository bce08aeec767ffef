/* SPDX-License-Identifier: MIT */
#include "fetch.h"

#include "connection.h"
#include "http.h"
#include "memory.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROBOTS_MAX_BYTES = 1 << 20, ROBOTS_HOPS_MAX = 5, SNIFFED_BYTES = 512 };

/* ---- a request and the head of its response ---- */

/* How a connection looks that the server has closed while it was idle. */
static bool looks_stale(int error)
{
    return error == -ENODATA || error == -EPIPE || error == -ECONNRESET;
}

/*
 * Sends a request for `path` and reads the head of the answer. A connection that was
 * idle may have ended meanwhile: then once more, on a new one.
 * Owns: on success the caller keeps or closes `*out_connection`.
 */
static int exchange(const struct options *o, struct host *host, const char *path,
                    struct connection **out_connection, struct http_response *head)
{
    for (bool fresh = false;; fresh = true) {
        struct connection *c;
        bool used;
        int rc = connection_get(host, fresh, &c);

        if (rc < 0)
            return rc;
        used = c->used;
        rc = http_send_request(c->fd, host->authority, path, o->user_agent);
        if (rc == 0)
            rc = http_read_head(c->in, head);
        if (rc == 0) {
            *out_connection = c;
            return 0;
        }
        connection_close(c);
        if (!used || !looks_stale(rc))
            return rc;
    }
}

static void done_with(struct host *host, struct connection *c, bool reusable)
{
    if (reusable)
        connection_keep(host, c);
    else
        connection_close(c);
}

static bool is_redirect(const struct http_response *head)
{
    return (head->status >= 301 && head->status <= 303) || head->status == 307 ||
           head->status == 308;
}

/* ---- robots.txt ---- */

/* Follows redirects within the host. `*out_len` stays 0 where everything is allowed. */
static int get_robots(const struct options *o, struct host *host, int *out_status,
                      char **out_text, size_t *out_len)
{
    char url[URL_SIZE], next[URL_SIZE];
    int n = snprintf(url, sizeof url, "http://%s/robots.txt", host->authority);

    if (n < 0 || (size_t)n >= sizeof url)
        return -EINVAL;
    for (int hop = 0; hop <= ROBOTS_HOPS_MAX; hop++) {
        struct http_response head;
        struct url_parts parts;
        struct connection *c;
        int rc;

        url_split(url, &parts);
        rc = exchange(o, host, parts.path, &c, &head);
        if (rc < 0)
            return rc;
        *out_status = head.status;
        if (head.status == 200) {
            rc = http_read_body(c->in, &head, ROBOTS_MAX_BYTES, out_text, out_len);
            done_with(host, c, rc == 0 && head.keep_alive);
            return rc;
        }
        done_with(host, c, http_skip_body(c->in, &head));
        if (!is_redirect(&head) || url_resolve(url, head.location, next) != URL_HTTP ||
            strncmp(next, url, parts.origin_len + 1) != 0)
            return 0;
        memcpy(url, next, sizeof url);
    }
    return 0;
}

int fetch_robots(const struct options *o, struct host *host)
{
    hk_scope patience = HK_SCOPE_INIT;
    char *text = NULL;
    size_t len = 0;
    int status = 0, rc, late;

    hk_scope_open_with(&patience, 0, "robots.txt");
    hk_scope_deadline(&patience, hk_now() + o->timeout_ns);
    rc = get_robots(o, host, &status, &text, &len);
    late = hk_scope_join(&patience);
    if (late == -ECANCELED)
        return late;
    if (rc < 0)
        failure_set(&host->robots_failure, late < 0 ? late : rc);
    else if (status >= 500)
        failure_say(&host->robots_failure, "robots",
                    "robots.txt: the server answered %d", status);
    else if (len > 0)
        host->robots = robots_parse(text, len, o->user_agent);
    free(text);
    host->robots_known = true;
    return 0;
}

/* ---- the page ---- */

static bool is_html(const struct http_response *head)
{
    return !head->has_type || strcmp(head->type, "text/html") == 0 ||
           strcmp(head->type, "application/xhtml+xml") == 0;
}

static int take_html(const struct options *o, struct connection *c,
                     struct http_response *head, struct page *page)
{
    size_t len;
    int rc = http_read_body(c->in, head, (size_t)o->bytes_max, &page->body, &len);

    if (rc < 0)
        return rc;
    page->bytes = len;
    snprintf(page->charset, sizeof page->charset, "%s", head->charset);
    /* UTF-16 has zeros as well; who serves pages in it names it. */
    if (!*head->charset &&
        memchr(page->body, '\0', len < SNIFFED_BYTES ? len : SNIFFED_BYTES))
        failure_say(&page->failure, "not-html", "not HTML but binary data");
    else
        page->outcome = PAGE_HTML;
    return 0;
}

static void take_redirect(const struct http_response *head, struct page *page)
{
    char target[URL_SIZE];

    switch (*head->location ? url_resolve(page->url, head->location, target)
                            : URL_BAD) {
    case URL_HTTP:
        page->target = must_copy(target, strlen(target));
        page->outcome = PAGE_REDIRECT;
        break;
    case URL_HTTPS:
        failure_say(&page->failure, "https",
                    "redirects to https, not supported yet: %.120s", target);
        break;
    default:
        failure_say(&page->failure, "redirect", "redirects to what is no URL for us");
    }
}

/* What the answer means. Returns 0, or an error of reading the body. */
static int take_answer(const struct options *o, struct connection *c,
                       struct http_response *head, struct page *page,
                       bool *out_reusable)
{
    int rc;

    page->status = head->status;
    if (head->status >= 200 && head->status < 300 && is_html(head)) {
        rc = take_html(o, c, head, page);
        *out_reusable = rc == 0 && head->keep_alive;
        return rc;
    }
    if (is_redirect(head)) {
        take_redirect(head, page);
    } else if (head->status >= 200 && head->status < 300) {
        failure_say(&page->failure, "not-html", "not HTML but %s", head->type);
    } else {
        char kind[16];

        snprintf(kind, sizeof kind, "http %d", head->status);
        failure_say(&page->failure, kind, "the server answered %d", head->status);
    }
    *out_reusable = http_skip_body(c->in, head);
    return 0;
}

static int get_page(const struct options *o, struct host *host, const char *path,
                    struct page *page)
{
    int64_t start = hk_now();
    struct http_response head;
    struct connection *c;
    bool reusable;
    int rc = exchange(o, host, path, &c, &head);

    if (rc < 0)
        return rc;
    rc = take_answer(o, c, &head, page, &reusable);
    done_with(host, c, reusable);
    page->took_ns = hk_now() - start;
    return rc;
}

int fetch_page(const struct options *o, struct host *host, struct page *page)
{
    hk_scope patience = HK_SCOPE_INIT;
    struct url_parts parts;
    int rc, late;

    url_split(page->url, &parts);
    if (has_failed(&host->robots_failure)) {
        page->failure = host->robots_failure;
        return 0;
    }
    if (host->robots && !robots_allow(host->robots, parts.path)) {
        page->outcome = PAGE_SKIPPED;
        return 0;
    }

    hk_scope_open_with(&patience, 0, page->url);
    hk_scope_deadline(&patience, hk_now() + o->timeout_ns);
    rc = get_page(o, host, parts.path, page);
    late = hk_scope_join(&patience);
    if (late == -ECANCELED)
        return late;
    if (late == -ETIMEDOUT && rc < 0)
        rc = late;
    if (rc < 0) {
        page->outcome = PAGE_FAILED;
        failure_set(&page->failure, rc);
    }
    return 0;
}
