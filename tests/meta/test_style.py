#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the C files keep the rules of STYLE.md that a program can see: a licence line
first, at most 88 columns, no tabs, no file that should be two, no source including a source."""

import re
import unicodedata

from tap import c_files, check, finish, relative, skip

FOLDERS = ("src", "include", "examples", "tests", "cli")
COLUMNS_MAX = 88
LINES_WARN = 500
LINES_MAX = 700


def columns(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in line if not unicodedata.combining(c))


def places(files, is_bad):
    for path in files:
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if is_bad(line):
                yield f"{relative(path)}:{number}: {line.strip()[:60]}"


def line_count(path):
    return path.read_text().count("\n")


files = c_files(*FOLDERS)
if not files:
    skip("style", "no C files yet")
    finish()

check("the first line of each C file names the licence",
      [relative(path) for path in files
       if not re.match(r"/\* SPDX-License-Identifier: MIT \*/\n", path.read_text())])
check(f"no line is wider than {COLUMNS_MAX} columns",
      places(files, lambda line: columns(line) > COLUMNS_MAX))
check("no tabs in C files",
      places([path for path in files if path.suffix != ".S"], lambda line: "\t" in line))
check("no blanks at the end of a line", places(files, lambda line: line != line.rstrip()))
check("every file ends with one newline",
      [relative(path) for path in files if not re.search(r"[^\n]\n\Z", path.read_text())])
check("no source includes a source",
      places(files, lambda line: re.match(r'\s*#\s*include\s*[<"][^>"]*\.c(pp)?[>"]', line)))
check(f"no file has more than {LINES_MAX} lines",
      [f"{relative(path)}: {line_count(path)} lines" for path in files
       if line_count(path) > LINES_MAX],
      notes=[f"long, over {LINES_WARN}: {relative(path)}: {line_count(path)} lines"
             for path in files if LINES_WARN < line_count(path) <= LINES_MAX])
finish()
