/* SPDX-License-Identifier: MIT */
/* What a crawl came to, in words. */
#ifndef CRAWL_SUMMARY_H
#define CRAWL_SUMMARY_H

#include "options.h"
#include "store.h"
#include "tally.h"

#include <stdio.h>

/* Prints the summary. Returns 0, or -1: the database could not be read. */
int summary_print(FILE *out, struct store *store, const struct tally *tally,
                  bool complete);
/* Writes it, with all errors, to options->report. Returns 0, or -1: it was said why. */
int summary_report(struct store *store, const struct options *options,
                   const struct tally *tally, bool complete);

#endif
