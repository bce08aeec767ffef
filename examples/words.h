/* SPDX-License-Identifier: MIT */
/* For word_counts.c: words, and how often they were seen. */
#ifndef WORDS_H
#define WORDS_H

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_LETTERS_MAX = 27 };

struct word {
    char text[WORD_LETTERS_MAX + 1];
    uint32_t count; /* 0: an unused slot */
};

/* A hash table, valid when zeroed: a power of two slots, at most half of them used. */
struct words {
    struct word *slots;
    size_t size, used;
    long total, pages;
};

static struct word *word_slot(const struct words *w, const char *text)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */

    for (const char *c = text; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    for (;; hash++) {
        struct word *slot = &w->slots[hash & (w->size - 1)];

        if (slot->count == 0 || strcmp(slot->text, text) == 0)
            return slot;
    }
}

static void words_grow(struct words *w)
{
    struct words larger = *w;

    larger.size = w->size > 0 ? 2 * w->size : 1024;
    larger.slots = calloc(larger.size, sizeof(*larger.slots));
    if (!larger.slots)
        abort(); /* in a worker that costs one page */
    for (size_t i = 0; i < w->size; i++)
        if (w->slots[i].count > 0)
            *word_slot(&larger, w->slots[i].text) = w->slots[i];
    free(w->slots);
    *w = larger;
}

static void words_add(struct words *w, const char *text, uint32_t count)
{
    struct word *slot;

    if (2 * w->used >= w->size)
        words_grow(w);
    slot = word_slot(w, text);
    w->used += slot->count == 0;
    w->total += count;
    slot->count += count;
    memcpy(slot->text, text, strlen(text) + 1);
}

/* Behind the tag, or the name of a character, that `html` begins with. */
static const char *words_skip(const char *html)
{
    html += strcspn(html, *html == '<' ? ">" : "; <");
    return *html == '>' || *html == ';' ? html + 1 : html;
}

/* Words are letters; those with less than `min` do not count, longer ones are cut. */
static void words_of_html(struct words *w, const char *html, size_t min)
{
    while (*html) {
        char word[WORD_LETTERS_MAX + 1];
        size_t len = 0;

        for (; isalpha((unsigned char)*html); html++)
            if (len < WORD_LETTERS_MAX)
                word[len++] = (char)tolower((unsigned char)*html);
        word[len] = '\0';
        if (len >= min)
            words_add(w, word, 1);
        if (*html == '<' || *html == '&')
            html = words_skip(html);
        else if (*html && len == 0)
            html++;
    }
}

static int words_by_count(const void *a, const void *b)
{
    uint32_t x = ((const struct word *)a)->count, y = ((const struct word *)b)->count;

    return (x < y) - (x > y);
}

/* The used slots come first, from the most frequent word on; no more can be added. */
static void words_sort(struct words *w)
{
    size_t used = 0;

    for (size_t i = 0; i < w->size; i++)
        if (w->slots[i].count > 0)
            w->slots[used++] = w->slots[i];
    if (used > 0)
        qsort(w->slots, used, sizeof(*w->slots), words_by_count);
}

#endif
