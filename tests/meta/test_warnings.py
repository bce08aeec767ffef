#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that every C file compiles without a warning, by gcc and by clang, with the project's
own flags. The builds themselves only print warnings: a newer compiler may find new ones.

Run: full
"""

import json
import os
import re
import shlex
import shutil

from tap import BUILD, check, finish, in_parallel, output_of, skip

COMPILERS = ("gcc", "clang")
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", "-fsyntax-only",
            "-fdiagnostics-color=never"]


def flags_by_file():
    """{file: flags}: once each, though several libraries may use it."""
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    return {os.path.normpath(os.path.join(one["directory"], one["file"])):
            [word for word in shlex.split(one["command"])
             if re.match(r"-[DIfWOstp]|-pthread", word)]
            for one in commands if one["file"].endswith(".c")}


def complaints(case):
    compiler, file, flags = case
    status, text = output_of([compiler, *flags, *WARNINGS, file], cwd=BUILD)
    return text.splitlines() if status else []


if not (BUILD / "compile_commands.json").exists():
    skip("no warnings", "nothing is configured")
    finish()
flags = flags_by_file()
for compiler in COMPILERS:
    title = f"no warning by {compiler}"
    if not flags:
        skip(title, "no C files yet")
    elif not shutil.which(compiler):
        skip(title, "it is not installed")
    else:
        cases = [(compiler, file, flags[file]) for file in sorted(flags)]
        check(f"{title} in {len(cases)} files", sum(in_parallel(complaints, cases), []))
finish()
