/* SPDX-License-Identifier: MIT */
/* Reading files of 16 KiB from the page cache, 50 at a time. */
#include "hocket.h"

#include <fcntl.h>

struct work {
    char **paths;
    int next; /* one worker: no lock */
};

static int reader(void *arg)
{
    struct work *work = arg;
    char buf[FILE_BYTES];

    while (work->next < FILES_COUNT) {
        hk_fd fd;

        must(hk_open(work->paths[work->next++], O_RDONLY, 0, &fd), "hk_open");
        if (hk_pread(fd, buf, sizeof(buf), 0) != FILE_BYTES)
            abort();
        must(hk_close(fd), "hk_close");
    }
    return 0;
}

static void read_all(struct work *work)
{
    hk_scope s;

    work->next = 0;
    hk_scope_open(&s);
    for (int i = 0; i < FILES_AT_ONCE; i++)
        hk_spawn(&s, reader, work);
    must(hk_scope_join(&s), "join");
}

/* As the floor: the mean of as many rounds as fit into 0.3 s. */
static int rounds(void *arg)
{
    double start = bench_cpu_now_ns();
    int done = 0;

    do {
        read_all(arg);
        done++;
    } while (bench_cpu_now_ns() - start < 3e8);
    bench_report_cpu(start, (double)done * FILES_COUNT);
    return 0;
}

void hocket_files(int argc, char **args)
{
    struct work work = {.paths = bench_file_paths(argc, args)};

    must(hk_run(rounds, &work, NULL), "hk_run");
}
