#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that a worker process takes over in place of main, however a program is built: with
the shared and the static library, by either linker, with sections collected, position
dependent, from several objects, with C++ constructors, with a plugin that is loaded at run
time, under valgrind, and wholly static with a call of hk_worker_main. That one which is
forked finds functions as well. And that a program in
which it cannot take over is told so, and does not start itself for ever."""

import re
import shutil
import tempfile
from pathlib import Path

from tap import BUILD, ROOT, check, finish, output_of, skip

PROGRAM = """\
#include <hocket.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

HK_FN_DECL(int, from_other_object, (int, n));
int constructed(void);

HK_FN(int, from_program, (int, n))
{
    return n + constructed();
}

typedef hk_future *starter(hk_executor *on, int n);

static hk_executor *pool;

static int result_of(hk_future *f)
{
    hk_bytes bytes;
    int value = 0, rc = hk_future_await(f, &bytes);

    if (rc >= 0)
        memcpy(&value, bytes.data, sizeof(value));
    hk_future_free(f);
    return rc < 0 ? rc : value;
}

static int from_plugin(const char *path)
{
    void *plugin = dlopen(path, RTLD_NOW);
    void *symbol = plugin ? dlsym(plugin, "from_plugin_on") : NULL;
    starter *start;

    if (!symbol)
        return -1;
    memcpy(&start, &symbol, sizeof(start));
    return result_of(start(pool, 3));
}

int main(int argc, char **argv)
{
#ifdef CALLS
    hk_worker_main();
#endif
    puts("main");
    fflush(stdout);
#ifdef FORKS
    if (hk_process_pool_new(&(hk_process_options){.start = HK_START_FORK}, &pool) < 0)
        return 1;
#else
    pool = hk_processes();
#endif
    printf("%d\\n", result_of(from_program_on(pool, 1)));
    printf("%d\\n", result_of(from_other_object_on(pool, 2)));
    printf("%d\\n", argc > 1 ? from_plugin(argv[1]) : 300);
    return 0;
}
"""
OTHER = """\
#include <hocket.h>

HK_FN(int, from_other_object, (int, n))
{
    return n * 100;
}
"""
CONSTRUCTOR = """\
struct made {
    int value;
    made() : value(99) {}
};
static made one;
extern "C" int constructed(void) { return one.value; }
"""
PLUGIN = """\
#include <hocket.h>

HK_FN(int, from_plugin, (int, n))
{
    return n * 100;
}
"""
# Loads hocket, and has no start-up code that hocket could take over from.
HOST = """\
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef int make(const void *options, void **out);

int main(int argc, char **argv)
{
    void *hocket = dlopen(argv[argc - 1], RTLD_NOW), *pool;
    void *symbol = hocket ? dlsym(hocket, "hk_process_pool_new") : NULL;
    make *pool_new;

    if (!symbol)
        return 1;
    memcpy(&pool_new, &symbol, sizeof(pool_new));
    printf("%d\\n", pool_new(NULL, &pool));
    return 0;
}
"""
PRINTS = "main\n100\n200\n300\n"
DEPENDS = ["-luring", "-lcares", "-lpthread", "-ldl"]
STATIC_LIBRARY = BUILD / "src/libhocket.a"

SHARED = [f"-L{BUILD}/src", "-lhocket", f"-Wl,-rpath,{BUILD}/src"]
STATIC = [STATIC_LIBRARY, *DEPENDS]
WAYS = {
    "the shared library, by bfd": ["-fuse-ld=bfd", *SHARED],
    "the shared library, by lld": ["-fuse-ld=lld", *SHARED],
    "the static library, by bfd, sections collected":
        ["-fuse-ld=bfd", "-rdynamic", "-Wl,--gc-sections", *STATIC],
    "the static library, by lld, sections collected":
        ["-fuse-ld=lld", "-rdynamic", "-Wl,--gc-sections", *STATIC],
    "the static library, at a fixed place": ["-no-pie", "-rdynamic", *STATIC],
}


def build(work):
    """The objects of the program, and the plugin."""
    flags = ["-O2", "-g", "-ffunction-sections", "-fdata-sections", "-fPIC",
             f"-I{ROOT}/include"]
    for name, text in (("program.c", PROGRAM), ("other.c", OTHER), ("plugin.c", PLUGIN),
                       ("constructor.cpp", CONSTRUCTOR), ("host.c", HOST)):
        (work / name).write_text(text)
    for command in (["gcc", *flags, "-c", "program.c", "other.c", "plugin.c"],
                    ["gcc", *flags, "-DCALLS", "-c", "program.c", "-o", "calls.o"],
                    ["gcc", *flags, "-DFORKS", "-c", "program.c", "-o", "forks.o"],
                    ["g++", *flags, "-c", "constructor.cpp"],
                    ["gcc", "-shared", "plugin.o", "-o", "plugin.so"],
                    ["gcc", *flags, "host.c", "-o", "host", "-ldl"]):
        status, text = output_of(command, cwd=work)
        if status != 0:
            return [" ".join(map(str, command)), text]
    return []


def outcome(command, work, expected=PRINTS):
    status, text = output_of(["timeout", "60", *command], cwd=work)
    text = re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)  # valgrind of old kernels
    if status == 0 and text == expected:
        return []
    return [f"{' '.join(map(str, command))}: exit status {status}", text]


def links(work, objects, flags, output):
    status, text = output_of(["g++", *objects, *flags, "-o", output], cwd=work)
    return [] if status == 0 else [text]


def check_ways(work):
    objects = ["program.o", "other.o", "constructor.o"]
    for number, (way, flags) in enumerate(WAYS.items()):
        if "lld" in way and not shutil.which("ld.lld"):
            skip(way, "lld is not installed")
            continue
        problems = links(work, objects, flags, f"program{number}")
        check(way, problems or outcome([f"./program{number}", "./plugin.so"], work))


def check_forked(work):
    """A worker that was forked loads a plugin that the program has loaded later."""
    problems = links(work, ["forks.o", "other.o", "constructor.o"],
                     ["-rdynamic", *STATIC], "forks")
    check("workers that are forked",
          problems or outcome(["./forks", "./plugin.so"], work))


def check_valgrind(work):
    for program, children in (("program2", "no"), ("program2", "yes"), ("forks", "no")):
        title = f"{program} under valgrind, workers too: {children}"
        if not shutil.which("valgrind"):
            skip(title, "valgrind is not installed")
        else:
            check(title, outcome(["valgrind", "-q", f"--trace-children={children}",
                                  "--error-exitcode=9", f"./{program}", "./plugin.so"],
                                 work))


def check_wholly_static(work):
    """Where -lc comes before -lhocket the linker takes the C library's start."""
    title = "wholly static, calling hk_worker_main"
    problems = links(work, ["calls.o", "other.o", "constructor.o"],
                     ["-static", "-lc", *STATIC], "static")
    missing = re.search(r"cannot find -l(\w+)", "\n".join(problems))
    if missing:
        skip(title, f"there is no static lib{missing.group(1)}")
        return
    check(title, problems or outcome(["./static"], work))


with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    if not STATIC_LIBRARY.exists():
        skip("workers take over", "libhocket.a is not built")
    else:
        problems = build(work)
        check("the program compiles", problems)
        if not problems:
            check_ways(work)
            check_forked(work)
            check_valgrind(work)
            check_wholly_static(work)
            check("a host that hocket cannot take over from is told so",
                  outcome(["./host", BUILD / "src/libhocket.so"], work, "-38\n"))
finish()
