#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that what is installed can be used from outside the tree: installed below DESTDIR,
a program is built with `pkg-config --cflags --libs hocket` alone, linked with the static
library, and built with CMake's find_package; each is run."""

import os
import re
import shutil
import tempfile
from pathlib import Path

from tap import BUILD, ROOT, check, finish, output_of, skip

PROGRAM = """\
#include <hocket.h>
#include <stdio.h>

static int app(void *arg)
{
    puts(arg);
    return 0;
}

int main(void)
{
    return hk_run(app, "installed", NULL) < 0;
}
"""
CMAKE = """\
cmake_minimum_required(VERSION 3.16)
project(outside C)
find_package(hocket 0.1 REQUIRED)
add_executable(program program.c)
target_link_libraries(program PRIVATE hocket::hocket)
"""


def steps(*commands, cwd, env, prints):
    """Problems of a list of commands: each must succeed, the last must print this."""
    text = ""
    for command in commands:
        status, text = output_of(command, cwd=cwd, env=env)
        if status != 0:
            return [f"{' '.join(map(str, command))}: exit status {status}", text]
    return [] if text == prints else ["it printed:", text]


def installed_files(destination):
    problems = []
    for pattern in ("**/include/hocket.h", "**/include/hocket/*.h", "**/libhocket.so.0",
                    "**/libhocket.so", "**/libhocket.a", "**/pkgconfig/hocket.pc",
                    "**/cmake/hocket/hocketConfig.cmake",
                    "**/cmake/hocket/hocketConfigVersion.cmake"):
        if not any(destination.glob(pattern)):
            problems.append(f"not installed: {pattern}")
    if list((ROOT / "cli").glob("*.c")) and not any(destination.glob("**/bin/hocket")):
        problems.append("not installed: the command")
    return problems


def use(destination, work):
    """Builds and runs the program in three ways against one installation."""
    config = next(destination.glob("**/pkgconfig"))
    libdir = config.parent
    env = dict(os.environ, PKG_CONFIG_PATH=str(config), LD_LIBRARY_PATH=str(libdir),
               PKG_CONFIG_SYSROOT_DIR=str(destination))
    (work / "program.c").write_text(PROGRAM)
    (work / "CMakeLists.txt").write_text(CMAKE)

    status, text = output_of(["pkg-config", "--cflags", "--libs", "hocket"], env=env)
    flags = text.split()
    check("pkg-config tells the flags, stack-clash protection among them",
          [] if status == 0 and "-fstack-clash-protection" in flags else [text])
    check("a program is built with pkg-config alone, and runs",
          steps(["gcc", "program.c", *flags, "-o", "by-pkg-config"], ["./by-pkg-config"],
                cwd=work, env=env, prints="installed\n"))

    _, text = output_of(["pkg-config", "--static", "--cflags", "--libs", "hocket"], env=env)
    flags = re.sub(r"-lhocket\b", str(libdir / "libhocket.a"), text).split()
    check("a program is linked with libhocket.a, and runs",
          steps(["gcc", "program.c", *flags, "-o", "static"], ["./static"],
                cwd=work, env=env, prints="installed\n"))

    if not shutil.which("cmake"):
        skip("a program is built with find_package(hocket), and runs", "no cmake")
        return
    prefix = next(destination.glob("**/include/hocket.h")).parents[1]
    check("a program is built with find_package(hocket), and runs",
          steps(["cmake", "-S", ".", "-B", "cmake", f"-DCMAKE_PREFIX_PATH={prefix}"],
                ["cmake", "--build", "cmake"], ["cmake/program"],
                cwd=work, env=env, prints="installed\n"))


if not (ROOT / "include/hocket.h").exists() or not (BUILD / "src/libhocket.so").exists():
    skip("a program outside the tree uses what is installed", "no library yet")
    finish()

with tempfile.TemporaryDirectory(prefix="hocket-install-") as folder:
    work = Path(folder)
    destination = work / "root"
    status, text = output_of(["meson", "install", "--no-rebuild", "--quiet", "-C", BUILD,
                              "--destdir", destination])
    problems = [text] if status else installed_files(destination)
    check("headers, libraries, package files and the command are installed", problems)
    if not problems:
        use(destination, work)
finish()
