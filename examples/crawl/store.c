/* SPDX-License-Identifier: MIT */
/* The file: whose it is, that we alone write it, and how it is made. */
#include "store_private.h"

#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* "hkcw"; and the number of the schema. */
enum { APPLICATION_ID = 0x686b6377, SCHEMA_VERSION = 1, BUSY_MS = 10000 };

/* Rows lie in the order of their keys, so that equal contents make equal dumps. */
static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE pages(url TEXT PRIMARY KEY, depth INTEGER NOT NULL,"
    " status INTEGER NOT NULL, charset TEXT NOT NULL, bytes INTEGER NOT NULL,"
    " hash INTEGER NOT NULL, title TEXT) WITHOUT ROWID;"
    "CREATE TABLE links(page TEXT, target TEXT, PRIMARY KEY(page, target))"
    " WITHOUT ROWID;"
    "CREATE TABLE redirects(url TEXT PRIMARY KEY, target TEXT NOT NULL,"
    " status INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE errors(url TEXT PRIMARY KEY, kind TEXT NOT NULL,"
    " message TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE skipped(url TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE seeds(url TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "PRAGMA application_id = 1751868279;" /* APPLICATION_ID */
    "PRAGMA user_version = 1;"            /* SCHEMA_VERSION */
    "COMMIT;";

int store_fail(struct store *store, const char *text)
{
    snprintf(store->error, sizeof store->error, "%s: %s", store->path,
             text ? text : sqlite3_errmsg(store->db));
    return -1;
}

int store_exec(struct store *store, const char *sql)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    return store_fail(store, NULL);
}

/* ---- opening ---- */

/* An flock of our own: SQLite's locks come and go with transactions. */
static int lock_file(struct store *store)
{
    store->lock_fd = open(store->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (store->lock_fd < 0) {
        bool exists = access(store->path, F_OK) == 0;

        if (exists && (errno == EACCES || errno == EROFS || errno == EPERM))
            return store_fail(store, "the database is read-only");
        return store_fail(store, strerror(errno));
    }
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return store_fail(store, errno == EWOULDBLOCK
                                     ? "another hocket-crawl is at work on it"
                                     : strerror(errno));
    return 0;
}

static int query_number(struct store *store, const char *sql, int64_t *out)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    if (rc == SQLITE_NOTADB)
        return store_fail(store, "not a database of hocket-crawl, left alone");
    return rc == SQLITE_ROW ? 0 : store_fail(store, NULL);
}

/* Ours, or empty? Nothing is written before that is known. */
static int check_owner(struct store *store)
{
    int64_t tables, application, version;
    char text[128];

    if (query_number(store, "SELECT count(*) FROM sqlite_master", &tables) < 0 ||
        query_number(store, "PRAGMA application_id", &application) < 0 ||
        query_number(store, "PRAGMA user_version", &version) < 0)
        return -1;
    store->is_new = tables == 0 && application == 0 && version == 0;
    if (!store->is_new && application != APPLICATION_ID)
        return store_fail(store, "the database of another program, left alone");
    if (!store->is_new && version != SCHEMA_VERSION) {
        snprintf(text, sizeof text, "schema %lld, of another version of hocket-crawl",
                 (long long)version);
        return store_fail(store, text);
    }
    if (sqlite3_db_readonly(store->db, "main") != 0)
        return store_fail(store, "the database is read-only");
    return 0;
}

int store_open(const char *path, struct store **out)
{
    struct store *store = must_alloc(sizeof *store);

    *out = store;
    store->path = must_copy(path, strlen(path));
    if (lock_file(store) < 0)
        return -1;
    if (sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return store_fail(store, NULL);
    sqlite3_busy_timeout(store->db, BUSY_MS);
    if (check_owner(store) < 0)
        return -1;
    /* With a write-ahead log readers wait for nobody, and a commit is one write. */
    if (store_exec(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;") <
        0)
        return -1;
    if (store->is_new && store_exec(store, schema) < 0) {
        (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL); /* if it began */
        return -1;
    }
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(store->statements[i]);
    sqlite3_close(store->db);
    /* Not before: closing any descriptor of a file drops SQLite's own locks on it. */
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    free(store->path);
    free(store);
}

const char *store_error(const struct store *store)
{
    return store->error;
}

bool store_is_new(const struct store *store)
{
    return store->is_new;
}

/* ---- results ---- */

int store_each(struct store *store, const char *sql,
               void (*row)(void *ctx, sqlite3_stmt *statement), void *ctx)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);

    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW)
            row(ctx, statement);
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? 0 : store_fail(store, NULL);
}

const char *store_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    return text ? (const char *)text : "";
}

/* ---- settings ---- */

/* The options that are kept, and which bit says that one was given. */
struct setting {
    const char *name;
    unsigned given;
    int64_t *number; /* one of the two */
    bool *flag;
};

enum { SETTINGS = 5 };

static void list_settings(struct options *o, struct setting out[SETTINGS])
{
    out[0] = (struct setting){"depth", OPTION_GIVEN_DEPTH, &o->depth, NULL};
    out[1] = (struct setting){"max-pages", OPTION_GIVEN_PAGES_MAX, &o->pages_max, NULL};
    out[2] = (struct setting){"max-bytes", OPTION_GIVEN_BYTES_MAX, &o->bytes_max, NULL};
    out[3] = (struct setting){"all-sites", OPTION_GIVEN_ALL_SITES, NULL, &o->all_sites};
    out[4] = (struct setting){"no-robots", OPTION_GIVEN_NO_ROBOTS, NULL, &o->no_robots};
}

static void take_setting(void *ctx, sqlite3_stmt *statement)
{
    struct options *options = ctx;
    const char *name = store_text(statement, 0);
    int64_t value = sqlite3_column_int64(statement, 1);
    struct setting settings[SETTINGS];

    list_settings(options, settings);
    for (int i = 0; i < SETTINGS; i++) {
        if (strcmp(settings[i].name, name) != 0 || (options->given & settings[i].given))
            continue;
        if (settings[i].number)
            *settings[i].number = value;
        else
            *settings[i].flag = value != 0;
    }
}

int store_settings(struct store *store, struct options *options)
{
    struct setting settings[SETTINGS];

    if (store_each(store, "SELECT name, value FROM settings", take_setting, options) <
        0)
        return -1;
    list_settings(options, settings);
    for (int i = 0; i < SETTINGS; i++) {
        char value[24];
        int64_t number = settings[i].number ? *settings[i].number : *settings[i].flag;

        snprintf(value, sizeof value, "%lld", (long long)number);
        if (store_put(store, PUT_SETTING, (const char *[]){settings[i].name, value},
                      2) < 0)
            return -1;
    }
    return store_put(store, PUT_SETTING, (const char *[]){"state", "unfinished"}, 2);
}

int store_clear(struct store *store)
{
    store->is_new = true;
    return store_exec(store, "BEGIN IMMEDIATE; DELETE FROM pages; DELETE FROM links;"
                             "DELETE FROM redirects; DELETE FROM errors;"
                             "DELETE FROM skipped; DELETE FROM seeds;"
                             "DELETE FROM settings; COMMIT;");
}

int store_drop_errors(struct store *store)
{
    return store_exec(store,
                      "DELETE FROM errors WHERE url NOT IN (SELECT url FROM pages)");
}

int store_drop_skipped(struct store *store)
{
    return store_exec(store, "DELETE FROM skipped");
}
