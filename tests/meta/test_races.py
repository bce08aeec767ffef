#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that docs/races.md is true: against a hocket built with -Db_sanitize=thread, a
program of somebody else, built with -fsanitize=thread, is told of a race between two tasks
of one worker, and of none when they lock; with the shared library and with the static one.

Run: full, limit=300
"""

import shutil
import tempfile
from pathlib import Path

from tap import ROOT, check, finish, output_of, skip

PROGRAM = """\
#include <hocket.h>

static hk_mutex mutex;
static long total;
static int with_lock;

static int add(void *arg)
{
    for (int i = 0; i < 3; i++) {
        if (with_lock && hk_mutex_lock(&mutex) < 0)
            return -1;
        total++;
        if (with_lock)
            hk_mutex_unlock(&mutex);
        (void)hk_yield();
    }
    return arg != NULL;
}

static int app(void *arg)
{
    hk_scope scope;

    hk_scope_open(&scope);
    hk_spawn(&scope, add, arg);
    hk_spawn(&scope, add, arg);
    return hk_scope_join(&scope);
}

int main(int argc, char **argv)
{
    (void)argv;
    with_lock = argc > 1;
    return hk_run(app, NULL, NULL) < 0;
}
"""


def install(place):
    """Problems of building hocket for users of ThreadSanitizer, below `place`."""
    build = place / "build"
    for command in (
            ["meson", "setup", build, ROOT, "-Db_sanitize=thread", "-Dtests=disabled",
             "-Dexamples=disabled", "-Dbench=disabled", f"--prefix={place}/installed"],
            ["ninja", "-C", build, "install"]):
        status, text = output_of(command, cwd=ROOT)
        if status != 0:
            return [f"{' '.join(map(str, command))}: exit status {status}", text]
    return []


def compile_and_run(place, name, *link):
    libraries = place / "installed/lib"
    source, program = place / "race.c", place / name
    source.write_text(PROGRAM)
    status, text = output_of(
        ["cc", "-g", "-fsanitize=thread", f"-I{place}/installed/include", source, "-o",
         program, *link, f"-Wl,-rpath,{libraries}"])
    if status != 0:
        return ["it does not compile:", text]
    problems = []
    status, text = output_of([program])
    if status == 0 or "data race" not in text or "in add" not in text:
        problems += [f"no race is reported; status {status}:", text]
    status, text = output_of([program, "with-lock"])
    if status != 0 or text:
        problems += [f"with a lock: status {status}:", text]
    return problems


if not shutil.which("meson"):
    skip("races between tasks are reported to users", "no meson")
    finish()
with tempfile.TemporaryDirectory() as folder:
    place = Path(folder)
    problems = install(place)
    check("hocket builds and installs with -Db_sanitize=thread", problems)
    if not problems:
        libraries = place / "installed/lib"
        check("a race of two tasks is reported, with the shared library",
              compile_and_run(place, "shared", f"-L{libraries}", "-lhocket"))
        check("a race of two tasks is reported, with the static library",
              compile_and_run(place, "static", libraries / "libhocket.a", "-luring",
                              "-lcares"))
finish()
