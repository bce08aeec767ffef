/* SPDX-License-Identifier: MIT */
/*
 * An intrusive, circular, doubly linked list. A node that is in no list points at
 * itself or is zero, so that removing twice is harmless and "am I queued" is a test.
 */
#ifndef HKI_BASE_LIST_H
#define HKI_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct hki_list {
    struct hki_list *next, *prev;
};

#define hki_container_of(pointer, type, member)                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void hki_list_init(struct hki_list *list)
{
    list->next = list->prev = list;
}

static inline bool hki_list_is_empty(const struct hki_list *list)
{
    return list->next == list || !list->next;
}

static inline void hki_list_push(struct hki_list *list, struct hki_list *node)
{
    node->next = list;
    node->prev = list->prev;
    list->prev->next = node;
    list->prev = node;
}

static inline void hki_list_remove(struct hki_list *node)
{
    if (!node->next)
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

static inline struct hki_list *hki_list_pop(struct hki_list *list)
{
    struct hki_list *node = list->next;

    if (node == list)
        return NULL;
    hki_list_remove(node);
    return node;
}

#endif
