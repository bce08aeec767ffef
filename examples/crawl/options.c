/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "status.h"

#include <getopt.h>
#include <hocket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: hocket-crawl [options] URL...\n"
    "Fetches pages from the URLs on, following links, and keeps what it finds in a\n"
    "database. Run again, it goes on where it stopped.\n"
    "\n"
    "What to fetch (kept in the database for the next run):\n"
    "  -d, --depth N          follow N links from a start page at most (default: any)\n"
    "  -n, --max-pages N      stop after N pages (default: never)\n"
    "      --max-bytes SIZE   give up pages larger than this; 8M, 500k (default 16M)\n"
    "      --all-sites        follow links to other sites, too\n"
    "      --no-robots        do not ask for robots.txt\n"
    "How:\n"
    "  -c, --concurrency N    pages at once (default 16)\n"
    "  -r, --rate N           pages per second from one host, 0.5 is one in two "
    "seconds\n"
    "                         (default: as fast as it answers)\n"
    "  -t, --timeout SECONDS  give a page up after this time (default 30)\n"
    "      --parse WHERE      processes: in a sandbox, where a page that crashes the\n"
    "                         parser costs only itself (default); here: in threads\n"
    "      --user-agent TEXT  what to call ourselves (default hocket-crawl/0.1)\n"
    "Where to:\n"
    "  -o, --database FILE    the database (default crawl.sqlite)\n"
    "      --report FILE      write a report when done\n"
    "      --resume           only go on: fail if there is nothing to go on from\n"
    "      --fresh            forget what the database has, begin anew\n"
    "      --retry            fetch pages again that failed before\n"
    "  -q, --quiet            print errors only\n"
    "  -h, --help             print this\n"
    "      --version          print the version\n"
    "\n"
    "Exit status: 0 all is well, 1 some pages failed (table `errors`), 2 wrong usage,\n"
    "3 trouble with the database or the report, 4 stopped by a signal: run it again.\n";

enum {
    OPT_MAX_BYTES = 256,
    OPT_ALL_SITES,
    OPT_NO_ROBOTS,
    OPT_PARSE,
    OPT_USER_AGENT,
    OPT_REPORT,
    OPT_RESUME,
    OPT_FRESH,
    OPT_RETRY,
    OPT_VERSION,
};

static const struct option table[] = {
    {"depth", required_argument, NULL, 'd'},
    {"max-pages", required_argument, NULL, 'n'},
    {"max-bytes", required_argument, NULL, OPT_MAX_BYTES},
    {"all-sites", no_argument, NULL, OPT_ALL_SITES},
    {"no-robots", no_argument, NULL, OPT_NO_ROBOTS},
    {"concurrency", required_argument, NULL, 'c'},
    {"rate", required_argument, NULL, 'r'},
    {"timeout", required_argument, NULL, 't'},
    {"parse", required_argument, NULL, OPT_PARSE},
    {"user-agent", required_argument, NULL, OPT_USER_AGENT},
    {"database", required_argument, NULL, 'o'},
    {"report", required_argument, NULL, OPT_REPORT},
    {"resume", no_argument, NULL, OPT_RESUME},
    {"fresh", no_argument, NULL, OPT_FRESH},
    {"retry", no_argument, NULL, OPT_RETRY},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static int complain(const char *what, const char *which)
{
    fprintf(stderr, "hocket-crawl: %s%s (see --help)\n", what, which);
    return STATUS_USAGE;
}

/* ---- values ---- */

static bool read_count(const char *text, int64_t min, int64_t max, int64_t *out)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (*text < '0' || *text > '9' || errno || *end || value < min || value > max)
        return false;
    *out = value;
    return true;
}

/* "500", "64k", "8M", "1g" */
static bool read_size(const char *text, int64_t *out)
{
    char digits[16];
    size_t len = strspn(text, "0123456789");
    int shift = 0;

    if (len == 0 || len >= sizeof digits || (text[len] && text[len + 1]))
        return false;
    if (text[len]) {
        const char *unit = strchr("kKmMgG", text[len]);

        if (!unit)
            return false;
        shift = 10 * (int)((unit - "kKmMgG") / 2 + 1);
    }
    memcpy(digits, text, len);
    digits[len] = '\0';
    if (!read_count(digits, 1, INT64_C(1) << (30 - shift), out))
        return false;
    *out <<= shift;
    return true;
}

static bool read_real(const char *text, double min, double max, double *out)
{
    char *end;
    double value = strtod(text, &end);

    if (*text < '.' || *text > '9' || *end || !(value >= min && value <= max))
        return false;
    *out = value;
    return true;
}

static int take_count(const char *what, int64_t min, int64_t max, int64_t *out)
{
    return read_count(optarg, min, max, out) ? -1 : complain(what, optarg);
}

static int take_rate(struct options *out)
{
    double rate;

    if (!read_real(optarg, 0, 1e6, &rate))
        return complain("not a number of pages per second (0.5, 10): ", optarg);
    out->interval_ns = rate > 0 ? (int64_t)((double)HK_SECOND / rate) : 0;
    return -1;
}

static int take_timeout(struct options *out)
{
    double seconds;

    if (!read_real(optarg, 0.001, 86400, &seconds))
        return complain("not a number of seconds (0.5, 30; up to 86400): ", optarg);
    out->timeout_ns = (int64_t)(seconds * (double)HK_SECOND);
    return -1;
}

static int take_parse(struct options *out)
{
    out->parse_here = strcmp(optarg, "here") == 0;
    if (!out->parse_here && strcmp(optarg, "processes") != 0)
        return complain("not a place to parse, which is processes or here: ", optarg);
    return -1;
}

static int take_user_agent(struct options *out)
{
    for (const char *c = optarg; *c; c++)
        if (*c < ' ' || *c > '~')
            return complain("a user agent is printable ASCII, not: ", optarg);
    if (!*optarg || strlen(optarg) > 200)
        return complain("a user agent has 1 to 200 characters, not: ", optarg);
    out->user_agent = optarg;
    return -1;
}

/* ---- options ---- */

/* What shapes the crawl. -1: fine; -2: none of these. */
static int apply_shape(int option, struct options *out)
{
    switch (option) {
    case 'd':
        out->given |= OPTION_GIVEN_DEPTH;
        return take_count("not a depth, 0 to 1000000: ", 0, 1000000, &out->depth);
    case 'n':
        out->given |= OPTION_GIVEN_PAGES_MAX;
        return take_count("not a number of pages, 1 or more: ", 1, INT32_MAX,
                          &out->pages_max);
    case OPT_MAX_BYTES:
        out->given |= OPTION_GIVEN_BYTES_MAX;
        return read_size(optarg, &out->bytes_max)
                   ? -1
                   : complain("not a size (500, 64k, 8M, up to 1G): ", optarg);
    case OPT_ALL_SITES:
        out->given |= OPTION_GIVEN_ALL_SITES;
        out->all_sites = true;
        return -1;
    case OPT_NO_ROBOTS:
        out->given |= OPTION_GIVEN_NO_ROBOTS;
        out->no_robots = true;
        return -1;
    default: return -2;
    }
}

static int apply(int option, struct options *out)
{
    int64_t count;
    int status = apply_shape(option, out);

    if (status != -2)
        return status;
    switch (option) {
    case 'c':
        status =
            take_count("not a number of pages at once, 1 to 10000: ", 1, 10000, &count);
        if (status == -1)
            out->concurrency = (uint32_t)count;
        return status;
    case 'r': return take_rate(out);
    case 't': return take_timeout(out);
    case OPT_PARSE: return take_parse(out);
    case OPT_USER_AGENT: return take_user_agent(out);
    case 'o': out->database = optarg; return -1;
    case OPT_REPORT: out->report = optarg; return -1;
    case OPT_RESUME: out->resume = true; return -1;
    case OPT_FRESH: out->fresh = true; return -1;
    case OPT_RETRY: out->retry = true; return -1;
    case 'q': out->quiet = true; return -1;
    case 'h': fputs(usage, stdout); return STATUS_FINE;
    default: printf("hocket-crawl %s\n", hk_version()); return STATUS_FINE;
    }
}

/* How many letters must be added, dropped or changed (Levenshtein) to make `a` of `b`;
 * what `b` has beyond the length of `a` counts nothing, so that a beginning fits. */
static size_t distance_to(const char *a, const char *b)
{
    enum { LONG = 32 };
    size_t row[LONG + 1], len = strlen(b), best;

    if (len > LONG)
        return LONG;
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (; *a && *a != '='; a++) {
        size_t diagonal = row[0]++;

        for (size_t j = 1; j <= len; j++) {
            size_t changed = diagonal + (*a != b[j - 1]);
            size_t other = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);

            diagonal = row[j];
            row[j] = changed < other ? changed : other;
        }
    }
    best = row[0];
    for (size_t j = 1; j <= len; j++)
        if (row[j] < best)
            best = row[j];
    return best;
}

/* The first option that is nearest to what was written, if any comes near. */
static const char *nearest_option(const char *written)
{
    const char *nearest = NULL;
    size_t least = strcspn(written, "=") / 3 + 1; /* from here on it is another word */

    for (const struct option *o = table; o->name; o++) {
        size_t distance = distance_to(written, o->name);

        if (distance < least) {
            least = distance;
            nearest = o->name;
        }
    }
    return nearest;
}

/* getopt is at `word`, or, of several letters in one word, at the letter optopt. */
static int complain_unknown(const char *word)
{
    const char letter[] = {'-', (char)optopt, '\0'};
    const char *nearest;

    if (strncmp(word, "--", 2) != 0)
        return complain("unknown option ", letter);
    nearest = nearest_option(word + 2);
    if (!nearest)
        return complain("unknown option ", word);
    fprintf(stderr, "hocket-crawl: unknown option %s: is it --%s? (see --help)\n", word,
            nearest);
    return STATUS_USAGE;
}

int options_read(int argc, char **argv, struct options *out)
{
    int option, status;

    *out = (struct options){
        .depth = -1,
        .pages_max = -1,
        .bytes_max = 16 << 20,
        .database = "crawl.sqlite",
        .user_agent = "hocket-crawl/0.1",
        .concurrency = 16,
        .timeout_ns = 30 * HK_SECOND,
    };
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":d:n:c:r:t:o:qh", table, NULL)) != -1) {
        if (option == '?')
            return complain_unknown(argv[optind - 1]);
        if (option == ':')
            return complain("a value is missing after ", argv[optind - 1]);
        status = apply(option, out);
        if (status >= 0)
            return status;
    }
    out->urls = argv + optind;
    out->url_count = argc - optind;
    if (out->resume && out->fresh)
        return complain("--resume and --fresh exclude each other", "");
    return -1;
}
