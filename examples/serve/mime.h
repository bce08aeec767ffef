/* SPDX-License-Identifier: MIT */
/* What a file is, by the end of its name. */
#ifndef SERVE_MIME_H
#define SERVE_MIME_H

/* The Content-Type for `path`; application/octet-stream when the name tells nothing. */
const char *mime_of(const char *path);

#endif
