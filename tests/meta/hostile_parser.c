/* SPDX-License-Identifier: MIT */
/*
 * What test_crawl.py loads into the crawler before all libraries (LD_PRELOAD): an HTML
 * parser with holes in it, which certain words of a page go through; and, asked for by
 * the environment, a system without sandbox (NO_SANDBOX) or new processes (NO_SPAWN).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

typedef void *read_memory_fn(void *parser, const char *bytes, int size, const char *url,
                             const char *charset, int options);

/* What a page that has taken over the parser would like to do. */
static bool can_break_out(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 ||
           open("broken-out", O_CREAT | O_WRONLY, 0600) >= 0;
}

read_memory_fn htmlCtxtReadMemory;

void *htmlCtxtReadMemory(void *parser, const char *bytes, int size, const char *url,
                         const char *charset, int options)
{
    volatile int *nowhere = NULL;
    read_memory_fn *real;

    if (strstr(bytes, "please crash"))
        *nowhere = 1;
    if (strstr(bytes, "please leave"))
        _exit(7);
    if (strstr(bytes, "please hang"))
        for (;;)
            (void)*(volatile const char *)bytes;
    if (strstr(bytes, "please break out"))
        _exit(can_break_out() ? 8 : 9);
    *(void **)&real = dlsym(RTLD_NEXT, "htmlCtxtReadMemory");
    return real(parser, bytes, size, url, charset, options);
}

int prctl(int option, ...)
{
    int (*real)(int, ...);
    unsigned long args[4];
    va_list list;

    va_start(list, option);
    for (int i = 0; i < 4; i++)
        args[i] = va_arg(list, unsigned long);
    va_end(list);
    if (option == PR_SET_NO_NEW_PRIVS && getenv("NO_SANDBOX")) {
        errno = EINVAL;
        return -1;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "prctl");
    return real(option, args[0], args[1], args[2], args[3]);
}

int posix_spawnp(pid_t *pid, const char *file,
                 const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const argv[],
                 char *const envp[])
{
    int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *,
                const posix_spawnattr_t *, char *const[], char *const[]);

    if (getenv("NO_SPAWN"))
        return EAGAIN;
    *(void **)&real = dlsym(RTLD_NEXT, "posix_spawnp");
    return real(pid, file, actions, attributes, argv, envp);
}
