#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that no stack of ours is executable. One object file without a .note.GNU-stack
section is enough to make every stack of the program executable; assembly has it only when
written by hand."""

import re

from tap import BUILD, check, finish, output_of, skip

STATIC = BUILD / "src/libhocket.a"
LINKED = [BUILD / "src/libhocket.so", BUILD / "cli/hocket"]


def objects_of(archive):
    """(member, its section headers) of each object file in an archive."""
    _, text = output_of(["readelf", "-SW", archive])
    for part in re.split(r"^File: ", text, flags=re.MULTILINE)[1:]:
        name, _, sections = part.partition("\n")
        yield re.sub(r".*\((.*)\)$", r"\1", name.strip()), sections


def problems_in(sections):
    note = re.search(r"\.note\.GNU-stack\s+PROGBITS\s+(\w+\s+){4}(.*)", sections)
    if not note:
        yield "has no .note.GNU-stack section"
    elif "X" in note.group(2).split()[0]:
        yield "asks for an executable stack"


if STATIC.exists():
    objects = list(objects_of(STATIC))
    check(f"no object in libhocket.a wants an executable stack ({len(objects)} objects)",
          [f"{name}: {problem}" for name, sections in objects
           for problem in problems_in(sections)] or
          ([] if objects else ["readelf shows no object"]))
else:
    skip("no object in libhocket.a wants an executable stack", "it is not built")

for linked in LINKED:
    title = f"{linked.name} has no executable stack"
    if not linked.exists():
        skip(title, "it is not built")
        continue
    _, text = output_of(["readelf", "-lW", linked])
    header = re.search(r"^\s*GNU_STACK\s+.*$", text, re.MULTILINE)
    flags = header.group(0).split()[6:-1] if header else ["no GNU_STACK header"]
    check(title, [] if flags == ["RW"] else [" ".join(flags)])
finish()
