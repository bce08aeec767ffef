#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that each public header stands alone: included by itself, and twice, it compiles
without a warning as strict C11 and as C++17, with gcc and with clang."""

import shutil
import subprocess

from tap import ROOT, check, finish, in_parallel, public_headers, skip

LANGUAGES = [
    ("C11 by gcc", ["gcc", "-x", "c", "-std=c11"]),
    ("C11 by clang", ["clang", "-x", "c", "-std=c11"]),
    ("C++17 by g++", ["g++", "-x", "c++", "-std=c++17"]),
    ("C++17 by clang++", ["clang++", "-x", "c++", "-std=c++17"]),
]
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]


def complaints(case):
    command, header = case
    name = header.relative_to(ROOT / "include")
    done = subprocess.run([*command, *WARNINGS, "-I", str(ROOT / "include"), "-"],
                          input=f"#include <{name}>\n#include <{name}>\n", text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.splitlines() if done.returncode else []


headers = public_headers()
for language, command in LANGUAGES:
    title = f"each public header compiles alone as {language}"
    if not headers:
        skip(title, "no public header yet")
    elif not shutil.which(command[0]):
        skip(title, f"{command[0]} is not installed")
    else:
        found = in_parallel(complaints, [(command, header) for header in headers])
        for header, problems in zip(headers, found):
            check(f"{header.relative_to(ROOT / 'include')} alone as {language}", problems)
finish()
