/* SPDX-License-Identifier: MIT */
/* From the target of a request to a path below the served folder. */
#ifndef SERVE_PATH_H
#define SERVE_PATH_H

#include <stddef.h>

/*
 * Writes the path that `target` ("/a%20b/?query") means, relative to the served folder
 * ("a b/"; "" is the folder itself), percent signs decoded, to `out`. Returns 0, or the
 * status to answer: 400 (malformed), 403 (it climbs: a segment is ".."), 414 (longer
 * than `size`).
 */
int path_decode(const char *target, char *out, size_t size);

#endif
