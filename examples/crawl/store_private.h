/* SPDX-License-Identifier: MIT */
/* What store.c (the file) and store_rows.c (what is in it) share. */
#ifndef CRAWL_STORE_PRIVATE_H
#define CRAWL_STORE_PRIVATE_H

#include "store.h"

#include <sqlite3.h>

/* Statements that are used often; their texts are in store_rows.c. */
enum statement {
    PUT_PAGE,
    PUT_LINK,
    PUT_REDIRECT,
    PUT_ERROR,
    PUT_SKIPPED,
    PUT_SEED,
    PUT_SETTING,
    SET_DEPTH,
    STATEMENTS,
};

struct store {
    char *path;
    int lock_fd; /* holds the lock; closed after the database, see store_close */
    bool is_new;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    char error[512];
};

/* Sets the error, to SQLite's words with a NULL text. Returns -1. */
int store_fail(struct store *store, const char *text);
/* Runs SQL without results. */
int store_exec(struct store *store, const char *sql);
/* Runs one of the statements with its first `count` texts bound. */
int store_put(struct store *store, enum statement which, const char *const *texts,
              int count);
/* Runs `sql` and calls `row` for each row of its result. */
int store_each(struct store *store, const char *sql,
               void (*row)(void *ctx, sqlite3_stmt *statement), void *ctx);
/* A column as text, never NULL. */
const char *store_text(sqlite3_stmt *statement, int column);

#endif
