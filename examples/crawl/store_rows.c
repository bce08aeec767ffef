/* SPDX-License-Identifier: MIT */
/* What is in the database: rows in, rows out. */
#include "store_private.h"

static const char *const texts_of[STATEMENTS] = {
    [PUT_PAGE] =
        "INSERT OR REPLACE INTO pages(url, title, charset, depth, status, bytes,"
        " hash) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [PUT_LINK] = "INSERT OR IGNORE INTO links(page, target) VALUES(?1, ?2)",
    [PUT_REDIRECT] = "INSERT OR REPLACE INTO redirects(url, target, status)"
                     " VALUES(?1, ?2, ?3)",
    [PUT_ERROR] = "INSERT OR IGNORE INTO errors(url, kind, message) VALUES(?1, ?2, ?3)",
    [PUT_SKIPPED] = "INSERT OR IGNORE INTO skipped(url) VALUES(?1)",
    [PUT_SEED] = "INSERT OR IGNORE INTO seeds(url) VALUES(?1)",
    [PUT_SETTING] = "INSERT OR REPLACE INTO settings(name, value) VALUES(?1, ?2)",
    [SET_DEPTH] = "UPDATE pages SET depth = ?2 WHERE url = ?1 AND depth <> ?2",
};

/* ---- in ---- */

/* The statement, ready to be bound; NULL on failure. */
static sqlite3_stmt *prepare(struct store *store, enum statement which)
{
    sqlite3_stmt **statement = &store->statements[which];

    if (*statement)
        sqlite3_reset(*statement);
    else if (sqlite3_prepare_v2(store->db, texts_of[which], -1, statement, NULL) !=
             SQLITE_OK)
        (void)store_fail(store, NULL);
    return *statement;
}

static int run(struct store *store, sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);

    if (rc != SQLITE_DONE)
        (void)store_fail(store, NULL);
    sqlite3_reset(statement);
    return rc == SQLITE_DONE ? 0 : -1;
}

int store_put(struct store *store, enum statement which, const char *const *texts,
              int count)
{
    sqlite3_stmt *statement = prepare(store, which);

    if (!statement)
        return -1;
    for (int i = 0; i < count; i++)
        sqlite3_bind_text(statement, i + 1, texts[i], -1, SQLITE_STATIC);
    return run(store, statement);
}

static int put_html(struct store *store, const struct page *page)
{
    sqlite3_stmt *s = prepare(store, PUT_PAGE);

    if (!s)
        return -1;
    sqlite3_bind_text(s, 1, page->url, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, page->title, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 3, page->charset, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 4, page->depth);
    sqlite3_bind_int(s, 5, page->status);
    sqlite3_bind_int64(s, 6, (int64_t)page->bytes);
    sqlite3_bind_int64(s, 7, (int64_t)page->hash);
    if (run(store, s) < 0)
        return -1;
    for (uint32_t i = 0; i < page->links.count; i++) {
        const char *texts[] = {page->url, strset_text(&page->links, i)};

        if (store_put(store, PUT_LINK, texts, 2) < 0)
            return -1;
    }
    return 0;
}

static int put_redirect(struct store *store, const struct page *page)
{
    sqlite3_stmt *s = prepare(store, PUT_REDIRECT);

    if (!s)
        return -1;
    sqlite3_bind_text(s, 1, page->url, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, page->target, -1, SQLITE_STATIC);
    sqlite3_bind_int(s, 3, page->status);
    return run(store, s);
}

static int put_page(struct store *store, const struct page *page)
{
    int rc = 0;

    if (page->outcome == PAGE_HTML)
        rc = put_html(store, page);
    else if (page->outcome == PAGE_REDIRECT)
        rc = put_redirect(store, page);
    else if (page->outcome == PAGE_SKIPPED)
        rc = store_put(store, PUT_SKIPPED, &page->url, 1);
    if (rc == 0 && has_failed(&page->failure))
        rc = store_add_error(store, page->url, &page->failure);
    return rc < 0 ? -1 : 0;
}

int store_pages(struct store *store, struct page *const *pages, size_t count)
{
    if (store_exec(store, "BEGIN IMMEDIATE") < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (put_page(store, pages[i]) < 0)
            goto undo;
    if (store_exec(store, "COMMIT") == 0)
        return 0;
undo:
    (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL,
                       NULL); /* maybe done already */
    return -1;
}

int store_add_error(struct store *store, const char *url, const struct failure *failure)
{
    const char *texts[] = {url, failure->kind, failure->text};

    if (store_put(store, PUT_ERROR, texts, 3) < 0)
        return -1;
    return sqlite3_changes(store->db) > 0;
}

int store_add_seed(struct store *store, const char *url)
{
    return store_put(store, PUT_SEED, &url, 1);
}

struct depths {
    struct store *store;
    int rc;
};

static void set_depth(void *ctx, const char *url, uint32_t depth)
{
    struct depths *d = ctx;
    sqlite3_stmt *s = d->rc == 0 ? prepare(d->store, SET_DEPTH) : NULL;

    if (!s) {
        d->rc = -1;
        return;
    }
    sqlite3_bind_text(s, 1, url, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, depth);
    d->rc = run(d->store, s);
}

int store_finish(struct store *store, struct frontier *frontier)
{
    const char *finished[] = {"state", "finished"};
    struct depths d = {.store = store};

    if (store_exec(store, "BEGIN IMMEDIATE") < 0)
        return -1;
    frontier_each_page(frontier, set_depth, &d);
    if (d.rc == 0 && store_put(store, PUT_SETTING, finished, 2) == 0 &&
        store_exec(store, "COMMIT") == 0)
        return 0;
    (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL,
                       NULL); /* maybe done already */
    return -1;
}

/* ---- out ---- */

static void replay_page(void *ctx, sqlite3_stmt *s)
{
    frontier_set_page(ctx, frontier_find(ctx, store_text(s, 0)), NULL);
}

static void replay_redirect(void *ctx, sqlite3_stmt *s)
{
    frontier_set_redirect(ctx, frontier_find(ctx, store_text(s, 0)), store_text(s, 1));
}

static void replay_over(void *ctx, sqlite3_stmt *s)
{
    frontier_set_over(ctx, frontier_find(ctx, store_text(s, 0)));
}

static void replay_link(void *ctx, sqlite3_stmt *s)
{
    frontier_add_link(ctx, frontier_find(ctx, store_text(s, 0)), store_text(s, 1));
}

static void replay_seed(void *ctx, sqlite3_stmt *s)
{
    frontier_add_seed(ctx, store_text(s, 0));
}

/* Ends before ways, so that nothing is queued only to be taken out again. */
int store_replay(struct store *store, struct frontier *frontier)
{
    static const struct {
        const char *sql;
        void (*row)(void *ctx, sqlite3_stmt *statement);
    } steps[] = {
        {"SELECT url FROM pages", replay_page},
        {"SELECT url, target FROM redirects", replay_redirect},
        {"SELECT url FROM errors UNION ALL SELECT url FROM skipped", replay_over},
        {"SELECT page, target FROM links", replay_link},
        {"SELECT url FROM seeds", replay_seed},
    };

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (store_each(store, steps[i].sql, steps[i].row, frontier) < 0)
            return -1;
    return 0;
}

static void take_totals(void *ctx, sqlite3_stmt *s)
{
    *(struct store_totals *)ctx = (struct store_totals){
        .pages = sqlite3_column_int64(s, 0),
        .bytes = sqlite3_column_int64(s, 1),
        .links = sqlite3_column_int64(s, 2),
        .redirects = sqlite3_column_int64(s, 3),
        .errors = sqlite3_column_int64(s, 4),
        .skipped = sqlite3_column_int64(s, 5),
    };
}

int store_count(struct store *store, struct store_totals *out)
{
    return store_each(store,
                      "SELECT (SELECT count(*) FROM pages),"
                      " (SELECT coalesce(sum(bytes), 0) FROM pages),"
                      " (SELECT count(*) FROM links), (SELECT count(*) FROM redirects),"
                      " (SELECT count(*) FROM errors), (SELECT count(*) FROM skipped)",
                      take_totals, out);
}

struct kind_call {
    void (*fn)(void *ctx, const char *kind, int64_t count);
    void *ctx;
};

static void call_with_kind(void *ctx, sqlite3_stmt *s)
{
    struct kind_call *call = ctx;

    call->fn(call->ctx, store_text(s, 0), sqlite3_column_int64(s, 1));
}

int store_each_kind(struct store *store,
                    void (*fn)(void *ctx, const char *kind, int64_t count), void *ctx)
{
    struct kind_call call = {fn, ctx};

    return store_each(store,
                      "SELECT kind, count(*) FROM errors GROUP BY kind ORDER BY 1",
                      call_with_kind, &call);
}

struct error_call {
    void (*fn)(void *ctx, const char *url, const char *message);
    void *ctx;
};

static void call_with_error(void *ctx, sqlite3_stmt *s)
{
    struct error_call *call = ctx;

    call->fn(call->ctx, store_text(s, 0), store_text(s, 1));
}

int store_each_error(struct store *store,
                     void (*fn)(void *ctx, const char *url, const char *message),
                     void *ctx)
{
    struct error_call call = {fn, ctx};

    return store_each(store, "SELECT url, message FROM errors ORDER BY url",
                      call_with_error, &call);
}
