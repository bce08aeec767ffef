#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that programs in the shape of the examples can be written in C++17: one that has each
public macro in it compiles without a warning by g++ and clang++, and does what it must."""

import re
import shutil
import tempfile

from tap import BUILD, ROOT, check, finish, output_of, public_headers, relative, skip

SHAPES = ROOT / "tests/meta/cpp/shapes.cpp"
LIBRARY = BUILD / "src/libhocket.a"
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Wshadow", "-Werror"]
NOT_FOR_PROGRAMS = {"model_atomics.h"}  # is put before files of C, see there
# What takes arguments, and what initialises: the rest are numbers and words of headers.
MACRO = re.compile(r"^ *# *define (HK_\w+(?=\()|HK_\w+_INIT\b)", re.MULTILINE)
PARTS_OF_OTHERS = {"HK_ZERO_INIT"}


def unused_macros():
    text = SHAPES.read_text()
    for header in public_headers():
        if header.name in NOT_FOR_PROGRAMS:
            continue
        for name in sorted(set(MACRO.findall(header.read_text())) - PARTS_OF_OTHERS):
            if not re.search(rf"\b{name}\b", text):
                yield f"{relative(header)}: {name}"


def steps(*commands):
    for command in commands:
        status, text = output_of(command)
        if status:
            return text.splitlines() or [f"{command[0]}: status {status}"]
    return [] if text == "all shapes are good\n" else [f"it printed: {text}"]


check(f"{relative(SHAPES)} has every public macro in it", unused_macros())
for compiler in "g++", "clang++":
    title = f"the examples' shapes in C++17 by {compiler}"
    if not shutil.which(compiler):
        skip(title, "it is not installed")
    elif not LIBRARY.exists():
        skip(title, "the library is not built")
    else:
        with tempfile.TemporaryDirectory() as folder:
            program = f"{folder}/shapes"
            check(title, steps(
                [compiler, "-std=c++17", *WARNINGS, "-I", ROOT / "include", SHAPES, LIBRARY,
                 "-luring", "-lcares", "-pthread", "-ldl", "-o", program],
                [program]))
finish()
