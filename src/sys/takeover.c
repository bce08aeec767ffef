/* SPDX-License-Identifier: MIT */
/*
 * The takeover; sys/os_program.h says why and how. This file has nothing else in it, so
 * that a static library gives a program the interposed name and no more.
 */
#include "sys/os_program.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

typedef int main_fn(int argc, char **argv, char **envp);
typedef int start_fn(main_fn *main, int argc, char **argv, void (*init)(void),
                     void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

static main_fn *program_main;

static int main_or_worker(int argc, char **argv, char **envp)
{
    int status = hki_worker_main();

    return status >= 0 ? status : program_main(argc, argv, envp);
}

/* glibc gave its start another version with 2.34; other C libraries have none. */
static start_fn *real_start(void)
{
    void *found = dlvsym(RTLD_NEXT, "__libc_start_main", "GLIBC_2.34");

    return (start_fn *)(found ? found : dlsym(RTLD_NEXT, "__libc_start_main"));
}

__attribute__((visibility("default"), weak)) start_fn __libc_start_main;

int __libc_start_main(main_fn *main, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    static const char text[] = "hocket: in a static program link -lc before -lhocket\n";
    start_fn *start = real_start();

    if (!start) {
        (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
        _exit(127);
    }
    program_main = main;
    if (hki_worker_main) {
        hki_os_workers_will_call();
        main = main_or_worker;
    }
    return start(main, argc, argv, init, fini, rtld_fini, stack_end);
}
