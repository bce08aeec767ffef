/* SPDX-License-Identifier: MIT */
/*
 * What a careful C program does without a library: worker processes by fork, a stream
 * socket to each. A job is written by itself, as soon as it is there; the worker reads
 * what has come and answers all of it with one write.
 */
#include "bench.h"

#include <sys/socket.h>

#define JOBS 100000
#define ROUND_TRIPS 20000
#define PIECE_BYTES ((size_t)1 << 20)
#define PIECES 1024
#define WORKERS_MAX 8
#define AT_ONCE 512   /* jobs that a worker reads with one call */
#define IN_FLIGHT 400 /* jobs on their way to one worker: both buffers take them */

static size_t read_some(int fd, void *to, size_t size)
{
    ssize_t n = read(fd, to, size);

    if (n < 0)
        bench_die("read");
    return (size_t)n;
}

static void read_all(int fd, void *to, size_t size)
{
    for (size_t n, done = 0; done < size; done += n)
        if ((n = read_some(fd, (char *)to + done, size - done)) == 0)
            exit(1);
}

static void write_all(int fd, const void *from, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)from + done, size - done);

        if (n < 0)
            bench_die("write");
        done += (size_t)n;
    }
}

static void answer_numbers(int fd)
{
    long numbers[AT_ONCE];
    size_t have = 0, n;

    while ((n = read_some(fd, (char *)numbers + have, sizeof(numbers) - have)) > 0) {
        size_t whole = (have + n) / sizeof(long);
        size_t rest = (have + n) % sizeof(long);

        for (size_t i = 0; i < whole; i++)
            numbers[i]++;
        write_all(fd, numbers, whole * sizeof(long));
        memmove(numbers, numbers + whole, rest);
        have = rest;
    }
}

static void send_back(int fd)
{
    char *piece = malloc(PIECE_BYTES);

    for (int i = 0; i < PIECES; i++) {
        read_all(fd, piece, PIECE_BYTES);
        write_all(fd, piece, PIECE_BYTES);
    }
    free(piece);
}

/* A worker that does `work` on its end of a socket; the other end is returned. */
static int start_worker(void (*work)(int fd))
{
    int ends[2], bytes = 1 << 22;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
        bench_die("socketpair");
    for (int i = 0; i < 2; i++)
        setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    switch (fork()) {
    case -1: bench_die("fork"); break;
    case 0:
        close(ends[0]);
        work(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    return ends[0];
}

/* Takes what a worker has answered, at least one; returns how many. */
static long take_answers(int fd, long *results)
{
    size_t n = read_some(fd, results, AT_ONCE * sizeof(long));
    size_t rest = n % sizeof(long);
    if (rest)
        read_all(fd, (char *)results + n, sizeof(long) - rest);
    return (long)((n + sizeof(long) - 1) / sizeof(long));
}

/* proc [WORKERS] */
static void proc(int argc, char **args)
{
    int workers = argc > 0 ? atoi(args[0]) : 1;
    int fds[WORKERS_MAX];
    long flying[WORKERS_MAX] = {0}, results[AT_ONCE + 1], answered = 0;

    if (workers < 1 || workers > WORKERS_MAX)
        exit(2);
    for (int w = 0; w < workers; w++)
        fds[w] = start_worker(answer_numbers);
    double start = bench_wall_now_ns();
    for (long i = 0; i < JOBS; i++) {
        int w = (int)(i % workers);

        if (flying[w] == IN_FLIGHT) {
            long n = take_answers(fds[w], results);
            flying[w] -= n;
            answered += n;
        }
        write_all(fds[w], &i, sizeof i);
        flying[w]++;
    }
    for (int w = 0; w < workers; w++)
        while (flying[w] > 0) {
            long n = take_answers(fds[w], results);
            flying[w] -= n;
            answered += n;
        }
    if (answered != JOBS)
        exit(1);
    bench_report_wall(start, JOBS);
}

static void procrtt(int argc, char **args)
{
    int fd = start_worker(answer_numbers);
    long number = 0;

    (void)args;
    if (argc > 0)
        exit(BENCH_MISSING); /* no spinning here */
    double start = bench_wall_now_ns();
    for (long i = 0; i < ROUND_TRIPS; i++) {
        write_all(fd, &number, sizeof number);
        read_all(fd, &number, sizeof number);
    }
    bench_report_wall(start, ROUND_TRIPS);
    if (number != ROUND_TRIPS)
        exit(1);
}

/* A thread of its own reads, so that pieces fly both ways. */
static void *receive(void *arg)
{
    char *piece = malloc(PIECE_BYTES);

    for (int i = 0; i < PIECES; i++)
        read_all(*(int *)arg, piece, PIECE_BYTES);
    free(piece);
    return NULL;
}

static void procbig(int argc, char **args)
{
    int fd = start_worker(send_back);
    char *piece = malloc(PIECE_BYTES);
    pthread_t thread;

    (void)argc;
    (void)args;
    memset(piece, 1, PIECE_BYTES);
    double start = bench_wall_now_ns();
    if (pthread_create(&thread, NULL, receive, &fd))
        bench_die("pthread_create");
    for (int i = 0; i < PIECES; i++)
        write_all(fd, piece, PIECE_BYTES);
    pthread_join(thread, NULL);
    printf("%.2f\n", 1e9 / (bench_wall_now_ns() - start));
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        {"proc", proc}, {"procrtt", procrtt}, {"procbig", procbig}, {0}};

    return bench_main(benches, argc, argv);
}
