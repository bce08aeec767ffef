/* SPDX-License-Identifier: MIT */
/*
 * Subprocesses.
 *
 *     const char *args[] = {"sort", "-n", NULL};
 *     hk_command c = {.args = args, .in = HK_STDIO_PIPE, .out = HK_STDIO_PIPE};
 *     hk_process *p;
 *     int rc = hk_command_start(&c, &p);
 *     ... hk_write_all(hk_process_stdin(p), ...), hk_process_close_stdin(p) ...
 *     int status;
 *     rc = hk_process_wait(p, &status);
 *     hk_process_free(p);
 *
 * A child gets only the descriptors named here, the caller's signal mask, the
 * dispositions that the program had before hocket (but see <hocket/signal.h>), and
 * never a copy of this process's memory.
 *
 * A program that ignores SIGCHLD, or reaps children that it does not know, takes their
 * status away from hocket.
 */
#ifndef HOCKET_COMMAND_H
#define HOCKET_COMMAND_H

#include <hocket/fd.h>

HK_BEGIN_DECLS

typedef enum hk_stdio {
    HK_STDIO_INHERIT, /* the same as ours */
    HK_STDIO_NULL,    /* /dev/null */
    HK_STDIO_PIPE,    /* a pipe; see hk_process_stdin, _stdout, _stderr */
    HK_STDIO_HANDLE, /* the handle in in_fd, out_fd, err_fd, which stays the caller's */
    HK_STDIO_STDOUT, /* for err only: the same as out */
} hk_stdio;

/* Valid when zeroed but for args. Everything is borrowed until the start returned. */
typedef struct hk_command {
    const char *const *args; /* argv, NULL-terminated; args[0] is what to run: without a
                              * slash it is looked up in our PATH, with one it is meant
                              * from `dir` */
    const char *program;     /* what to run instead of args[0]; may be NULL */
    const char *const *env;  /* "NAME=value", NULL-terminated; NULL: ours */
    const char *dir;         /* working directory; NULL: ours */
    hk_stdio in, out, err;
    hk_fd in_fd, out_fd, err_fd; /* for HK_STDIO_HANDLE; the child's end blocks */
    bool new_group;              /* its own process group, signalled as a whole */
    uint64_t reserved[4];
} hk_command;

typedef struct hk_process hk_process;

/*
 * Starts it.
 *
 * Blocks:  for 0.1 to 2 ms, until the child runs the program.
 * Cancel:  -ECANCELED: not started. A cancel that comes later is for the next call.
 * Returns: 0; -ENOENT (no such program or directory), -EACCES, -ENOEXEC (no format that
 *          the kernel knows: a script needs its #! line), -ENOTDIR, -E2BIG, -EMFILE,
 *          -ENFILE, -ENOMEM, -EAGAIN (too many processes), -EBADF (a closed handle),
 *          -EINVAL (no args, or HK_STDIO_STDOUT for in or out), -ENOSYS (a kernel
 *          without pidfd: before Linux 5.4).
 * Threads: any task or thread.
 * Owns:    the caller frees it with hk_process_free. On failure nothing is left.
 */
HK_API int hk_command_start(const hk_command *command, hk_process **out);

/* Our ends of the pipes (HK_FD_NONE without HK_STDIO_PIPE), which hk_process_free
 * closes. */
HK_API hk_fd hk_process_stdin(const hk_process *process);
HK_API hk_fd hk_process_stdout(const hk_process *process);
HK_API hk_fd hk_process_stderr(const hk_process *process);
/* Closes our end of its standard input: the child reads the end. -EBADF when there is
 * none (any more). */
HK_API int hk_process_close_stdin(hk_process *process);

HK_API pid_t hk_process_pid(const hk_process *process);

/* Sends a signal, with new_group to its whole group; -ESRCH when it has been reaped,
 * -EINVAL (no such signal), -EPERM. Never blocks. Any task or thread. */
HK_API int hk_process_kill(hk_process *process, int signo);

/*
 * Waits for its end and reaps it; `*out_status` (may be NULL) is as from waitpid(2).
 * Again after the end: the same status at once. Pipes stay open: what is left in them
 * can still be read.
 *
 * Cancel:  kills the child (its group with new_group) with SIGKILL, reaps it, and
 *          returns -ECANCELED: no zombie.
 * Returns: 0; -ECANCELED; -ECHILD (someone else has reaped it); -ENOMEM.
 * Threads: any task or thread, several at once.
 */
HK_API HK_WARN_UNUSED int hk_process_wait(hk_process *process, int *out_status);

/* Kills (as hk_process_wait when cancelled) and reaps it if it still runs, closes the
 * pipes, frees. Runs shielded. NULL is fine. No other call may be in progress. */
HK_API void hk_process_free(hk_process *process);

typedef struct hk_output {
    char *out, *err; /* NUL-terminated; free() both; err NULL unless captured */
    size_t out_len, err_len;
    int status; /* as from waitpid(2) */
} hk_output;

/*
 * Runs a command to its end: feeds `input` (NULL or empty: /dev/null, unless
 * command->in is HK_STDIO_HANDLE), and collects standard output, and standard error
 * when command->err is HK_STDIO_PIPE, each at most `limit_bytes`. What the command does
 * not read of its input is dropped. It has ended when it has exited and everyone to
 * whom it gave its outputs has closed them.
 *
 * Cancel:  kills and reaps it.
 * Returns: 0, whatever its status; -EFBIG (more than `limit_bytes`: it was killed); an
 *          error of hk_command_start or hk_process_wait; -ENOMEM.
 * Threads: any task or thread. On a plain thread, input and standard error are moved by
 *          tasks of the background runtime.
 * Owns:    on success the caller frees out->out and out->err; on failure `*out` is
 *          untouched.
 */
HK_API int hk_command_run(const hk_command *command, const void *input,
                          size_t input_len, size_t limit_bytes, hk_output *out);

HK_END_DECLS

#endif
