/* SPDX-License-Identifier: MIT */
/* The ready-made progress line. */
#include <hocket/map.h>

#include <inttypes.h>
#include <stdio.h>

#define SHOWN_EVERY_NS (HK_SECOND / 10)

static int64_t seconds_left(const hk_progress_line *line, int64_t now_ns, uint64_t done,
                            uint64_t total)
{
    double ns = (double)(now_ns - line->hki_begun_ns);

    return (int64_t)(ns / (double)done * (double)(total - done) / (double)HK_SECOND);
}

void hk_progress_show(void *ctx, uint64_t done, uint64_t total)
{
    hk_progress_line *line = ctx;
    const char *label = line->label ? line->label : "done";
    int64_t now_ns = hk_now();

    if (!line->hki_begun_ns)
        line->hki_begun_ns = now_ns;
    if (now_ns - line->hki_shown_ns < SHOWN_EVERY_NS && (!total || done < total))
        return;
    line->hki_shown_ns = now_ns;
    if (!total)
        fprintf(stderr, "\r%s %" PRIu64, label, done);
    else if (done < total)
        fprintf(stderr,
                "\r%s %" PRIu64 "/%" PRIu64 "  %3" PRIu64 " %%  %" PRId64 " s left  ",
                label, done, total, done * 100 / total,
                done ? seconds_left(line, now_ns, done, total) : 0);
    else
        fprintf(stderr, "\r%s %" PRIu64 "/%" PRIu64 "  100 %%  %" PRId64 " s       \n",
                label, done, total, (now_ns - line->hki_begun_ns) / HK_SECOND);
}
