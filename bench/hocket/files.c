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

static int read_all(void *arg)
{
    double start = bench_cpu_now_ns();
    hk_scope s;

    hk_scope_open(&s);
    for (int i = 0; i < FILES_AT_ONCE; i++)
        hk_spawn(&s, reader, arg);
    must(hk_scope_join(&s), "join");
    bench_report_cpu(start, FILES_COUNT);
    return 0;
}

void hocket_files(int argc, char **args)
{
    struct work work = {.paths = bench_file_paths(argc, args)};

    must(hk_run(read_all, &work, NULL), "hk_run");
}
