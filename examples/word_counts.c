/* SPDX-License-Identifier: MIT */
/*
 * Which words do Python's manuals use most? Each page is read and counted by a job in a
 * worker process; a few are under way at once, and what they found is added up as it
 * comes. Another folder may be given, whose .html files are counted.
 *
 * Needs: /usr/share/doc/python3.11/html/index.html
 * Wrong: / /
 * Prints:
 *   ... python
 *   ...
 *   one by one     ... pages, ... words in ... s
 *   in processes   ... pages, ... words in ... s, ... times as fast
 */
#include <hocket.h>

#include "words.h"

#include <fts.h>
#include <stdio.h>

enum { LETTERS_MIN = 4, TOP = 10, AHEAD = 16, BYTES_MAX = 64 << 20 };

/* Its result, an array of struct word, is a value: it may cross to another process. */
HK_FN(hk_bytes, count_words, (hk_str, path))
{
    struct words words = {0};
    char *html;
    size_t size;
    int rc = hk_read_file(path, BYTES_MAX, &html, &size);

    if (rc < 0) {
        hk_job_fail(rc);
        return (hk_bytes){0};
    }
    words_of_html(&words, html, LETTERS_MIN);
    words_sort(&words);
    free(html);
    return (hk_bytes){words.slots, words.used * sizeof(*words.slots)};
}

/* Pages without words do not count. */
static void add_up(struct words *all, hk_bytes part)
{
    const struct word *words = part.data;

    for (size_t i = 0; i < part.size / sizeof(*words); i++)
        words_add(all, words[i].text, words[i].count);
    all->pages += part.size > 0;
}

static const char *next_page(FTS *tree)
{
    FTSENT *entry;

    while ((entry = fts_read(tree)))
        if (entry->fts_info == FTS_F && entry->fts_namelen > 5 &&
            strcmp(entry->fts_name + entry->fts_namelen - 5, ".html") == 0)
            return entry->fts_path;
    return NULL;
}

static void one_by_one(FTS *tree, struct words *all)
{
    const char *path;

    while ((path = next_page(tree))) {
        hk_bytes part = count_words(path);

        add_up(all, part);
        free((void *)part.data);
    }
}

/* Called whenever there is room for one more job. */
static hk_future *start_next(void *tree)
{
    const char *path = next_page(tree);

    return path ? count_words_on(hk_processes(), path) : NULL;
}

static void in_processes(FTS *tree, struct words *all)
{
    hk_imap it;
    hk_future *f;
    hk_bytes part;
    int rc, failed = 0;

    hk_imap_begin(&it, start_next, tree, AHEAD, HK_UNORDERED);
    while (hk_imap_next(&it, &f, NULL) > 0) {
        rc = count_words_await(f, &part);
        if (rc < 0)
            failed = rc;
        else
            add_up(all, part);
        hk_future_free(f);
    }
    hk_imap_end(&it);
    if (failed < 0)
        fprintf(stderr, "word_counts: some pages are left out: %s\n",
                hk_error_text(failed));
}

/* Returns how many seconds it took. */
static double count(const char *folder, void (*way)(FTS *, struct words *),
                    struct words *out)
{
    char *const folders[] = {(char *)folder, NULL};
    FTS *tree = fts_open(folders, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    int64_t start = hk_now();

    if (tree) {
        way(tree, out);
        (void)fts_close(tree);
    }
    return (double)(hk_now() - start) / HK_SECOND;
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : "/usr/share/doc/python3.11/html";
    struct words first = {0}, second = {0};
    double slow, fast;

    if (argc > 2) {
        fprintf(stderr, "usage: word_counts [FOLDER]\n");
        return 2;
    }
    slow = count(folder, one_by_one, &first);
    if (first.pages == 0) {
        fprintf(stderr, "word_counts: no .html files with words in %s\n", folder);
        return 1;
    }
    fast = count(folder, in_processes, &second);
    words_sort(&second);
    for (size_t i = 0; i < TOP && i < second.used; i++)
        printf("%8u %s\n", second.slots[i].count, second.slots[i].text);
    printf("one by one     %ld pages, %ld words in %.2f s\n", first.pages, first.total,
           slow);
    printf("in processes   %ld pages, %ld words in %.2f s, %.1f times as fast\n",
           second.pages, second.total, fast, slow / fast);
    free(first.slots);
    free(second.slots);
    return first.total == second.total ? 0 : 1;
}
