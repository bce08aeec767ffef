/* SPDX-License-Identifier: MIT */
/*
 * The floor of reading files from the page cache: open, read, close, nothing else.
 *
 * Two ways: the three system calls one after the other, and io_uring with 50 chains of
 * three linked operations in flight. `files DIR` runs both and prints the better one;
 * `files DIR sync` and `files DIR uring` print one of them.
 */
#include "../peers/bench.h"
#include "floor.h"
#include <fcntl.h>
#include <liburing.h>

static char buffers[FILES_AT_ONCE][FILE_BYTES];

static double sync_once(char **paths)
{
    double start = bench_cpu_now_ns();

    for (int i = 0; i < FILES_COUNT; i++) {
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, buffers[0], FILE_BYTES) != FILE_BYTES)
            bench_die(paths[i]);
        close(fd);
    }
    return bench_cpu_now_ns() - start;
}

static struct io_uring ring;
static char **names;
static int next_file;

static bool start_chain(unsigned slot)
{
    struct io_uring_sqe *sqe;

    if (next_file == FILES_COUNT)
        return false;
    /* A registered descriptor slot: the file never gets a number in our table. */
    sqe = io_uring_get_sqe(&ring);
    io_uring_prep_openat_direct(sqe, AT_FDCWD, names[next_file++], O_RDONLY, 0, slot);
    sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = slot;
    sqe = io_uring_get_sqe(&ring);
    io_uring_prep_read(sqe, (int)slot, buffers[slot], FILE_BYTES, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = slot;
    sqe = io_uring_get_sqe(&ring);
    io_uring_prep_close_direct(sqe, slot);
    sqe->user_data = slot;
    return true;
}

static double uring_once(char **paths)
{
    double start = bench_cpu_now_ns();
    unsigned left = 0;

    names = paths;
    next_file = 0;
    for (unsigned slot = 0; slot < FILES_AT_ONCE; slot++)
        left += start_chain(slot);
    while (left) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;

        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            seen++;
            errno = -cqe->res;
            if (cqe->res < 0)
                bench_die("io_uring file chain");
            if (!start_chain((unsigned)cqe->user_data))
                left--;
        }
        io_uring_cq_advance(&ring, seen);
    }
    return bench_cpu_now_ns() - start;
}

static bool uring_works(void)
{
    struct io_uring_params p = {0};

    p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (io_uring_queue_init_params(256, &ring, &p))
        return false;
    io_uring_register_ring_fd(&ring);
    return !io_uring_register_files_sparse(&ring, FILES_AT_ONCE);
}

static double mean_ns(double (*once)(char **), char **paths)
{
    double total = 0;
    int rounds = 0;

    while (total < 3e8) {
        total += once(paths);
        rounds++;
    }
    return total / rounds / FILES_COUNT;
}

void floor_files(int argc, char **args)
{
    char **paths = bench_file_paths(argc, args);
    const char *way = argc > 1 ? args[1] : "";
    double best = 1e30;

    if (strcmp(way, "uring"))
        best = mean_ns(sync_once, paths);
    if (strcmp(way, "sync") && uring_works()) {
        double ns = mean_ns(uring_once, paths);
        if (ns < best)
            best = ns;
    }
    printf("%.2f\n", best);
}
