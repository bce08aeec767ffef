/* SPDX-License-Identifier: MIT */
#include "testing/model_choices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOM_FIRST = 1024, INDEX_MAX = 1 << 20 };

void hki_model_choices_fini(struct hki_model_choices *choices)
{
    free(choices->list);
    *choices = (struct hki_model_choices){.list = NULL};
}

void hki_model_choices_begin(struct hki_model_choices *choices)
{
    choices->given = choices->length;
    choices->made = 0;
}

static bool make_room(struct hki_model_choices *choices)
{
    uint32_t room = choices->room ? 2 * choices->room : ROOM_FIRST;
    struct hki_model_choice *list;

    if (choices->length < choices->room)
        return true;
    list = realloc(choices->list, room * sizeof(*list));
    if (!list)
        return false;
    choices->list = list;
    choices->room = room;
    return true;
}

int hki_model_choices_make(struct hki_model_choices *choices, uint32_t options)
{
    struct hki_model_choice *choice;

    if (choices->made == choices->length) {
        if (!make_room(choices))
            return -ENOMEM;
        choices->list[choices->length++] =
            (struct hki_model_choice){.options = options};
    }
    choice = &choices->list[choices->made++];
    if (choice->options == 0)
        choice->options = options;
    if (choice->options != options || choice->chosen >= options)
        return -EILSEQ;
    return (int)choice->chosen;
}

bool hki_model_choices_have_all_been_made(const struct hki_model_choices *choices)
{
    return choices->made >= choices->given;
}

bool hki_model_choices_advance(struct hki_model_choices *choices)
{
    choices->length = choices->made;
    while (choices->length > 0) {
        struct hki_model_choice *last = &choices->list[choices->length - 1];

        if (++last->chosen < last->options)
            return true;
        choices->length--;
    }
    return false;
}

void hki_model_choices_write(const struct hki_model_choices *choices, char *text,
                             size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < choices->made && used < size; i++)
        if (choices->list[i].chosen)
            used += (size_t)snprintf(text + used, size - used, "%s%u=%u",
                                     used ? "," : "", i, choices->list[i].chosen);
}

/* Makes the list long enough to hold the index-th. */
static int lengthen(struct hki_model_choices *choices, unsigned index)
{
    if (index > INDEX_MAX)
        return -EINVAL;
    while (choices->length <= index) {
        if (!make_room(choices))
            return -ENOMEM;
        choices->list[choices->length++] = (struct hki_model_choice){.chosen = 0};
    }
    return 0;
}

int hki_model_choices_read(struct hki_model_choices *choices, const char *text)
{
    while (*text) {
        unsigned index, chosen;
        int length = 0, rc;

        if (sscanf(text, "%u=%u%n", &index, &chosen, &length) != 2)
            return -EINVAL;
        rc = lengthen(choices, index);
        if (rc < 0)
            return rc;
        choices->list[index].chosen = chosen;
        text += length;
        text += *text == ',';
    }
    return 0;
}
