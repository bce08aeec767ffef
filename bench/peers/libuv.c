/* SPDX-License-Identifier: MIT */
/* The peer libuv: timers, echo, files and jobs on its thread pool, wake by uv_async. */
#include "parallel.h"

#include <fcntl.h>
#include <stdbool.h>
#include <uv.h>

static void check(int rc, const char *what)
{
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", what, uv_strerror(rc));
        exit(1);
    }
}

/* Timers: each of a million running ones is stopped and started anew in its turn. */

static void never(uv_timer_t *t)
{
    (void)t;
}

static void timers(int argc, char **args)
{
    const long operations = 4000000;
    uv_loop_t *loop = uv_default_loop();
    uv_timer_t *live = calloc(TIMERS_LIVE, sizeof *live);
    uint64_t seed = BENCH_SEED;

    (void)argc;
    (void)args;
    for (int i = 0; i < TIMERS_LIVE; i++) {
        uv_timer_init(loop, &live[i]);
        uv_timer_start(&live[i], never, bench_timer_ms(&seed), 0);
    }
    double start = bench_cpu_now_ns();
    for (long i = 0; i < operations; i++) {
        uv_timer_t *t = &live[i % TIMERS_LIVE];

        uv_timer_stop(t);
        uv_timer_start(t, never, bench_timer_ms(&seed), 0);
    }
    bench_report_cpu(start, (double)operations);
}

/* Files: 50 chains of open, read, close. */

struct slot {
    uv_fs_t request;
    uv_file fd;
    char buffer[FILE_BYTES];
};

static char **paths;
static int next_file;

static void file_opened(uv_fs_t *request);

static void start_file(struct slot *s)
{
    if (next_file == FILES_COUNT)
        return;
    check(uv_fs_open(uv_default_loop(), &s->request, paths[next_file++], O_RDONLY, 0,
                     file_opened),
          "uv_fs_open");
}

static void file_closed(uv_fs_t *request)
{
    uv_fs_req_cleanup(request);
    start_file((struct slot *)request);
}

static void file_read(uv_fs_t *request)
{
    struct slot *s = (struct slot *)request;

    check((int)request->result - FILE_BYTES, "short read");
    uv_fs_req_cleanup(request);
    check(uv_fs_close(uv_default_loop(), request, s->fd, file_closed), "uv_fs_close");
}

static void file_opened(uv_fs_t *request)
{
    struct slot *s = (struct slot *)request;
    uv_buf_t buf = uv_buf_init(s->buffer, FILE_BYTES);

    check((int)request->result, "open");
    s->fd = (uv_file)request->result;
    uv_fs_req_cleanup(request);
    check(uv_fs_read(uv_default_loop(), request, s->fd, &buf, 1, 0, file_read),
          "uv_fs_read");
}

static void files(int argc, char **args)
{
    struct slot *slots = calloc(FILES_AT_ONCE, sizeof *slots);
    const int rounds = 4;

    paths = bench_file_paths(argc, args);
    double start = bench_cpu_now_ns();
    for (int round = 0; round < rounds; round++) {
        next_file = 0;
        for (int i = 0; i < FILES_AT_ONCE; i++)
            start_file(&slots[i]);
        uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    }
    bench_report_cpu(start, (double)rounds * FILES_COUNT);
}

/* Pool: all jobs are queued, then the loop runs until their answers have come. */

static uv_work_t *jobs;

static void job_run(uv_work_t *job)
{
    bench_empty_job(job);
}

static void job_done(uv_work_t *job, int status)
{
    (void)job;
    check(status, "a job");
}

static void pool_round(void *arg)
{
    (void)arg;
    for (int i = 0; i < POOL_JOBS; i++)
        check(uv_queue_work(uv_default_loop(), &jobs[i], job_run, job_done),
              "uv_queue_work");
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

static void pool(int argc, char **args)
{
    (void)argc;
    (void)args;
    setenv("UV_THREADPOOL_SIZE", "2", 1);
    jobs = calloc(POOL_JOBS, sizeof *jobs);
    bench_rounds(pool_round, NULL, POOL_JOBS);
}

static void round_trips_of_jobs(void *arg)
{
    for (int i = 0; i < POOL_ROUND_TRIPS; i++) {
        check(uv_queue_work(uv_default_loop(), arg, job_run, job_done),
              "uv_queue_work");
        uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    }
}

static void poolrtt(int argc, char **args)
{
    uv_work_t job;

    (void)argc;
    (void)args;
    setenv("UV_THREADPOOL_SIZE", "2", 1);
    bench_rounds(round_trips_of_jobs, &job, POOL_ROUND_TRIPS);
}

/* Wake: two loops on two pinned threads, an async handle each. */

static const long round_trips = 30000;
static uv_loop_t far_loop;
static uv_async_t near_side, far_side;
static long near_count, far_count;

static void near_woken(uv_async_t *a)
{
    if (++near_count == round_trips)
        uv_close((uv_handle_t *)a, 0);
    else
        uv_async_send(&far_side);
}

static void far_woken(uv_async_t *a)
{
    bool last = ++far_count == round_trips;

    uv_async_send(&near_side);
    if (last)
        uv_close((uv_handle_t *)a, 0);
}

static void far_thread(void *arg)
{
    (void)arg;
    bench_pin(1);
    uv_run(&far_loop, UV_RUN_DEFAULT);
}

static void wake(int argc, char **args)
{
    uv_thread_t thread;

    (void)argc;
    (void)args;
    bench_pin(0);
    uv_loop_init(&far_loop);
    uv_async_init(uv_default_loop(), &near_side, near_woken);
    uv_async_init(&far_loop, &far_side, far_woken);
    check(uv_thread_create(&thread, far_thread, 0), "uv_thread_create");
    double start = bench_wall_now_ns();
    uv_async_send(&far_side);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    bench_report_wall(start, (double)round_trips);
    uv_thread_join(&thread);
}

/* Echo: uv_try_write first, which is libuv's fast path; what is left is queued. */

static char echo_buffer[65536];

struct pending {
    uv_write_t request;
    char bytes[];
};

static void echo_allocate(uv_handle_t *h, size_t size, uv_buf_t *out)
{
    (void)h;
    (void)size;
    *out = uv_buf_init(echo_buffer, sizeof echo_buffer);
}

static void echo_closed(uv_handle_t *h)
{
    free(h);
}

static void echo_written(uv_write_t *request, int status)
{
    (void)status; /* a broken connection is seen by its reader */
    free(request);
}

static void echo_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *in)
{
    uv_buf_t out;
    int done;

    if (n == 0)
        return;
    if (n < 0) {
        uv_close((uv_handle_t *)stream, echo_closed);
        return;
    }
    out = uv_buf_init(in->base, (unsigned)n);
    done = uv_try_write(stream, &out, 1);
    if (done < 0)
        done = 0;
    if (done < n) {
        size_t left = (size_t)n - (size_t)done;
        struct pending *p = malloc(sizeof *p + left);

        memcpy(p->bytes, in->base + done, left);
        out = uv_buf_init(p->bytes, (unsigned)left);
        uv_write(&p->request, stream, &out, 1, echo_written);
    }
}

static void echo_accept(uv_stream_t *listener, int status)
{
    uv_tcp_t *client = malloc(sizeof *client);

    check(status, "accept");
    uv_tcp_init(listener->loop, client);
    check(uv_accept(listener, (uv_stream_t *)client), "uv_accept");
    uv_read_start((uv_stream_t *)client, echo_allocate, echo_read);
}

static void echo_end(uv_poll_t *stdin_watch, int status, int events)
{
    (void)status;
    (void)events;
    uv_stop(stdin_watch->loop);
}

static void echo_server(int argc, char **args)
{
    uv_loop_t *loop = uv_default_loop();
    static uv_tcp_t listener;
    static uv_poll_t stdin_watch;
    struct sockaddr_in address;
    int len = sizeof address;

    (void)argc;
    (void)args;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(loop, &listener);
    check(uv_tcp_bind(&listener, (struct sockaddr *)&address, 0), "bind");
    check(uv_listen((uv_stream_t *)&listener, 4096, echo_accept), "listen");
    uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &len);
    check(uv_poll_init(loop, &stdin_watch, 0), "uv_poll_init");
    uv_poll_start(&stdin_watch, UV_READABLE | UV_DISCONNECT, echo_end);
    bench_print_port(ntohs(address.sin_port));
    uv_run(loop, UV_RUN_DEFAULT);
    bench_print_cpu();
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        {"timers", timers},
        {"files", files},
        {"wake", wake},
        {"pool", pool},
        {"poolrtt", poolrtt},
        {"echo-server", echo_server},
        {0},
    };

    return bench_main(benches, argc, argv);
}
