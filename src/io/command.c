/* SPDX-License-Identifier: MIT */
/*
 * Starting a child. The caller's side makes pipes and duplicates; the spawn itself,
 * which takes 0.1 to 2 ms, runs on the blocking pool. What the child will get are
 * private duplicates, so that closing a lent handle meanwhile hurts nobody.
 *
 * posix_spawn, not fork: a copy of a process with 100,000 stacks costs 100 ms.
 */
#include "io/process.h"

#include "base/alloc.h"
#include "io/handle.h"
#include "sys/os.h"
#include "sys/os_net.h"
#include "sys/os_proc.h"

#include <hocket/file.h>
#include <hocket/scope.h>
#include <hocket/task.h>
#include <hocket/testing.h>

#include <stdlib.h>

/* A start under way. */
struct start {
    struct hki_os_spawn spawn;
    hk_process *process;
};

static bool is_valid(const hk_command *command)
{
    return command->args && command->args[0] && command->in != HK_STDIO_STDOUT &&
           command->out != HK_STDIO_STDOUT;
}

/* One end becomes ours, a handle; the other, which must block, the child's. */
static int open_pipe(struct start *start, int target)
{
    bool child_reads = target == 0;
    int fds[2];
    int rc = hki_os_pipe(fds);

    if (rc < 0)
        return rc;
    rc = hki_handle_adopt(fds[child_reads], HK_FD_STREAM,
                          &start->process->stdio[target]);
    if (rc < 0) {
        (void)hki_os_close(fds[!child_reads]); /* nothing was written to it */
        return rc;
    }
    return hki_os_stdio_move(fds[!child_reads]);
}

static int duplicate(hk_fd fd)
{
    int number = hk_fd_pin(fd);
    int rc = number;

    if (number >= 0) {
        rc = hki_os_stdio_duplicate(number);
        hk_fd_unpin(fd);
    }
    return rc;
}

static int open_stdio(struct start *start, int target, hk_stdio kind, hk_fd fd)
{
    int rc;

    switch (kind) {
    case HK_STDIO_INHERIT: return 0; /* as it was initialised */
    case HK_STDIO_NULL: start->spawn.stdio[target] = HKI_OS_STDIO_NULL; return 0;
    case HK_STDIO_STDOUT: start->spawn.stdio[target] = HKI_OS_STDIO_PREVIOUS; return 0;
    case HK_STDIO_PIPE: rc = open_pipe(start, target); break;
    case HK_STDIO_HANDLE: rc = duplicate(fd); break;
    default: return -EINVAL;
    }
    if (rc < 0)
        return rc;
    start->spawn.stdio[target] = rc;
    return 0;
}

static int open_all(struct start *start, const hk_command *command)
{
    int rc = open_stdio(start, 0, command->in, command->in_fd);

    if (rc == 0)
        rc = open_stdio(start, 1, command->out, command->out_fd);
    if (rc == 0)
        rc = open_stdio(start, 2, command->err, command->err_fd);
    return rc;
}

static void close_all(struct start *start)
{
    for (int i = 0; i < HKI_STDIO_COUNT; i++)
        if (start->spawn.stdio[i] >= 0)
            (void)hki_os_close(start->spawn.stdio[i]); /* only duplicates */
}

/* On the blocking pool. The pidfd of ourselves shows that there are such things, and
 * holds a descriptor number for the child's, before there is a child to regret. */
static int spawn_job(void *arg)
{
    struct start *start = arg;
    int placeholder = hki_os_pidfd_open(hki_os_process_id());
    pid_t pid = 0;
    int rc;

    if (placeholder < 0)
        return placeholder;
    rc = hki_os_spawn(&start->spawn, &pid);
    (void)hki_os_close(placeholder); /* nothing is written to a pidfd */
    return rc < 0 ? rc : hki_process_adopt(start->process, pid);
}

static int start_process(struct start *start, const hk_command *command)
{
    int rc = open_all(start, command);

    if (rc == 0)
        rc = hk_blocking(spawn_job, start);
    close_all(start);
    return rc;
}

int hk_command_start(const hk_command *command, hk_process **out)
{
    struct start start = {
        .spawn.args = command->args,
        .spawn.env = command->env,
        .spawn.dir = command->dir,
        .spawn.stdio = {HKI_OS_STDIO_INHERIT, HKI_OS_STDIO_INHERIT,
                        HKI_OS_STDIO_INHERIT},
        .spawn.new_group = command->new_group,
        .spawn.sigpipe_default = hki_sigpipe_was_default(),
    };
    int rc = hk_cancelled();

    if (rc < 0)
        return rc;
    if (!is_valid(command))
        return -EINVAL;
    start.spawn.program = command->program ? command->program : command->args[0];
    hki_os_signal_mask(&start.spawn.mask); /* here: pool threads block all signals */
    start.process = hki_alloc(sizeof(*start.process));
    if (!start.process)
        return -ENOMEM;
    start.process->group = command->new_group;
    rc = start_process(&start, command);
    if (rc < 0) {
        hk_process_free(start.process);
        return rc;
    }
    *out = start.process;
    return 0;
}

/* ---- running one to its end ---- */

/* An output that grows up to a limit; one byte more is asked for, to see it passed. */
struct output {
    hk_fd fd;
    size_t limit_bytes;
    char *data;
    size_t len;
    size_t room; /* allocated */
};

enum { OUTPUT_ROOM_FIRST = 4096 };

struct run {
    hk_process *process;
    const void *input;
    size_t input_len;
    struct output out, err;
};

/* Room for a byte and the NUL at least; from malloc itself, for the caller to free. */
static int grow(struct output *output)
{
    size_t most =
        output->limit_bytes < SIZE_MAX - 2 ? output->limit_bytes + 2 : SIZE_MAX;
    size_t room = output->room ? output->room * 2 : OUTPUT_ROOM_FIRST;
    char *data;

    if (output->room - output->len >= 2)
        return 0;
    if (room > most || room < output->room)
        room = most;
    data = hki_fault(HK_FAULT_ALLOC) ? NULL : realloc(output->data, room);
    if (!data)
        return -ENOMEM;
    output->data = data;
    output->room = room;
    return 0;
}

static int collect(void *arg)
{
    struct output *output = arg;

    for (;;) {
        int rc = grow(output);
        ssize_t len;

        if (rc < 0)
            return rc;
        len = hk_read(output->fd, output->data + output->len,
                      output->room - output->len - 1);
        if (len < 0)
            return (int)len;
        output->len += (size_t)len;
        if (output->len > output->limit_bytes)
            return -EFBIG;
        output->data[output->len] = '\0';
        if (len == 0)
            return 0;
    }
}

/* A command may end without having read all of its input: that is no error. */
static int feed(void *arg)
{
    struct run *run = arg;
    int rc =
        hk_write_all(hk_process_stdin(run->process), run->input, run->input_len, NULL);

    (void)hk_process_close_stdin(run->process); /* a pipe's close has no news */
    return rc == -EPIPE ? 0 : rc;
}

/* Input and outputs move at once, or a pipe that is full would stop the others. */
static int run_to_end(struct run *run, int *out_status)
{
    hk_scope scope = HK_SCOPE_INIT;
    int rc;

    hk_scope_open_with(&scope, 0, "running a command");
    if (run->input_len)
        (void)hk_spawn_named(&scope, "input of a command", feed, run, NULL);
    if (run->err.fd.value)
        (void)hk_spawn_named(&scope, "errors of a command", collect, &run->err, NULL);
    rc = collect(&run->out); /* a failed spawn has failed the scope, and this */
    if (rc < 0 && rc != -ECANCELED)
        hk_scope_fail(&scope, rc);
    rc = hk_scope_join(&scope);
    return rc < 0 ? rc : hk_process_wait(run->process, out_status);
}

static void output_init(struct output *output, hk_fd fd, size_t limit_bytes)
{
    *output = (struct output){.fd = fd, .limit_bytes = limit_bytes};
}

int hk_command_run(const hk_command *command, const void *input, size_t input_len,
                   size_t limit_bytes, hk_output *out)
{
    hk_command piped = *command;
    struct run run = {.input = input, .input_len = input ? input_len : 0};
    int status = 0, rc;

    piped.out = HK_STDIO_PIPE;
    if (run.input_len)
        piped.in = HK_STDIO_PIPE;
    else if (command->in != HK_STDIO_HANDLE)
        piped.in = HK_STDIO_NULL;
    rc = hk_command_start(&piped, &run.process);
    if (rc < 0)
        return rc;
    output_init(&run.out, hk_process_stdout(run.process), limit_bytes);
    output_init(&run.err, hk_process_stderr(run.process), limit_bytes);
    rc = run_to_end(&run, &status);
    hk_process_free(run.process);
    if (rc < 0) {
        free(run.out.data);
        free(run.err.data);
        return rc;
    }
    *out = (hk_output){
        .out = run.out.data,
        .out_len = run.out.len,
        .err = run.err.data,
        .err_len = run.err.len,
        .status = status,
    };
    return 0;
}
