/* SPDX-License-Identifier: MIT */
/*
 * The list of choices that a run of a model follows: as far as it was given each is
 * repeated; beyond that the first option is taken, and noted. As text, for a replay, it
 * holds those that are not the first: "12=1,40=2".
 */
#ifndef HKI_TESTING_MODEL_CHOICES_H
#define HKI_TESTING_MODEL_CHOICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hki_model_choice {
    uint32_t chosen;
    uint32_t options; /* 0: not known yet, the list was read from a text */
};

/* Valid when zeroed: empty. */
struct hki_model_choices {
    struct hki_model_choice *list;
    uint32_t made;   /* in this run */
    uint32_t length; /* of the list: given, and noted */
    uint32_t given;
    uint32_t room;
};

void hki_model_choices_fini(struct hki_model_choices *choices);

/* A run begins. */
void hki_model_choices_begin(struct hki_model_choices *choices);

/* The next choice, one of 0 .. options-1. -ENOMEM; -EILSEQ: the run that the list is
 * from had other options here. */
int hki_model_choices_make(struct hki_model_choices *choices, uint32_t options);

/* After a run. False: it had fewer choices than it was given. */
bool hki_model_choices_have_all_been_made(const struct hki_model_choices *choices);

/* To the next list: the last choice that has another option takes it, and what follows
 * is cut off. False: that was the last list. */
bool hki_model_choices_advance(struct hki_model_choices *choices);

/* What has been made in this run, cut off at `size`. */
void hki_model_choices_write(const struct hki_model_choices *choices, char *text,
                             size_t size);
/* 0, -EINVAL, -ENOMEM. */
int hki_model_choices_read(struct hki_model_choices *choices, const char *text);

#endif
