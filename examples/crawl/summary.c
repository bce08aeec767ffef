/* SPDX-License-Identifier: MIT */
#include "summary.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void print_kind(void *out, const char *kind, int64_t count)
{
    fprintf(out, "            %lld %s\n", (long long)count, kind);
}

static void print_slowest(FILE *out, const struct tally *tally)
{
    if (tally->slowest[0].took_ns > 0)
        fprintf(out, "slowest\n");
    for (int i = 0; i < SLOWEST_MAX && tally->slowest[i].took_ns > 0; i++)
        fprintf(out, "            %.3f s  %s\n",
                (double)tally->slowest[i].took_ns / 1e9, tally->slowest[i].url);
}

/* The last line is for programs to read. */
int summary_print(FILE *out, struct store *store, const struct tally *tally,
                  bool complete)
{
    double seconds = tally_seconds(tally);
    struct store_totals totals;

    if (store_count(store, &totals) < 0)
        return -1;
    fprintf(out, "pages       %lld", (long long)totals.pages);
    if (totals.pages != tally->pages)
        fprintf(out, ", %lld in this run", (long long)tally->pages);
    fprintf(out, ", %.1f per second\n", (double)tally->pages / seconds);
    fprintf(out, "bytes       %lld, %.1f MB per second\n", (long long)totals.bytes,
            (double)tally->bytes / 1e6 / seconds);
    fprintf(out, "links       %lld\n", (long long)totals.links);
    if (totals.redirects > 0)
        fprintf(out, "redirects   %lld\n", (long long)totals.redirects);
    if (totals.skipped > 0)
        fprintf(out, "skipped     %lld, as robots.txt asks\n",
                (long long)totals.skipped);
    fprintf(out, "errors      %lld\n", (long long)totals.errors);
    if (store_each_kind(store, print_kind, out) < 0)
        return -1;
    print_slowest(out, tally);
    if (!complete)
        fprintf(out, "unfinished: run it again to go on\n");
    fprintf(out, "pages=%lld bytes=%lld errors=%lld seconds=%.3f\n",
            (long long)totals.pages, (long long)totals.bytes, (long long)totals.errors,
            seconds);
    return 0;
}

static void print_error(void *out, const char *url, const char *message)
{
    fprintf(out, "%s: %s\n", url, message);
}

static int complain(const char *path)
{
    fprintf(stderr, "hocket-crawl: %s: %s\n", path, strerror(errno));
    return -1;
}

int summary_report(struct store *store, const struct options *options,
                   const struct tally *tally, bool complete)
{
    FILE *out = fopen(options->report, "we");
    int rc, failed;

    if (!out)
        return complain(options->report);
    fprintf(out, "hocket-crawl into %s\n\n", options->database);
    rc = summary_print(out, store, tally, complete);
    if (rc == 0) {
        fprintf(out, "\n");
        rc = store_each_error(store, print_error, out);
    }
    if (rc < 0)
        fprintf(stderr, "hocket-crawl: %s\n", store_error(store));
    failed = ferror(out);
    if (fclose(out) != 0 || failed)
        return complain(options->report);
    return rc;
}
