#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the documents say what is: every relative link in a .md file leads to a file,
every example is told of in the tutorial, and each piece of code there that names its source

    <!-- examples/hello_tasks.c -->
    ```c
    ...

stands in that file, line by line; a line "..." leaves some out. Indentation of the piece as a
whole may differ. docs/environment.md lists the environment variables that are read, and no
others."""

import re
import textwrap

from tap import ROOT, check, finish, relative

TUTORIAL = ROOT / "docs/tutorial.md"
ENVIRONMENT = ROOT / "docs/environment.md"
READS = re.compile(r"""(?:(?:getenv|hki_os_environment|environ\.get)\(|define\ HKI_\w+_VARIABLE\ )
                       "(HOCKET_\w+)"  |  \$\{(HOCKET_\w+)""", re.VERBOSE)
CODE = {".c", ".h", ".cpp", ".py", ""}  # tools have no ending
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
PIECE = re.compile(r"^<!-- (\S+) -->\n+```c\n(.*?)^```", re.MULTILINE | re.DOTALL)


def documents():
    folders = [ROOT, *(p for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith(".")
                       and p.name != "build")]
    found = set(ROOT.glob("*.md"))
    for folder in folders[1:]:
        found.update(folder.rglob("*.md"))
    return sorted(found)


def dead_links(document):
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        if not (document.parent / target).exists():
            yield f"{relative(document)}: no {target}"


def lines_of(text):
    return [line.rstrip() for line in textwrap.dedent(text).splitlines()]


def holds(source, piece):
    """Whether the parts of `piece` between its "..." follow one another in `source`."""
    at = 0
    for part in re.split(r"^[ \t]*\.\.\.[ \t]*\n", piece, flags=re.MULTILINE):
        wanted = lines_of(part.strip("\n"))
        if not wanted:
            continue
        at = position(source, wanted, at)
        if at is None:
            return False
        at += len(wanted)
    return True


def position(source, wanted, start):
    for at in range(start, len(source) - len(wanted) + 1):
        if lines_of("\n".join(source[at:at + len(wanted)])) == wanted:
            return at
    return None


def wrong_pieces(document):
    for name, piece in PIECE.findall(document.read_text()):
        path = ROOT / name
        if not path.is_file():
            yield f"{relative(document)}: a piece of {name}, which is not there"
        elif not holds(path.read_text().splitlines(), piece):
            yield f"{relative(document)}: not in {name}: {piece.strip().splitlines()[0]} ..."


def untold_examples():
    told = TUTORIAL.read_text()
    for source in sorted((ROOT / "examples").glob("*.c")):
        if source.name not in told:
            yield f"{relative(source)} is not told of in {relative(TUTORIAL)}"


def unlisted_variables():
    read = {}
    for folder in "src", "cli", "examples", "tests", "tools", "bench", ".ci":
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in CODE and path.is_file():
                for names in READS.findall(path.read_text(errors="replace")):
                    read.setdefault("".join(names), path)
    told = set(re.findall(r"HOCKET_\w+", ENVIRONMENT.read_text()))
    for name in sorted(read.keys() - told):
        yield f"{name}, which {relative(read[name])} reads, is not listed"
    for name in sorted(told - read.keys()):
        yield f"{name} is listed, and nobody reads it"


check("every relative link leads to a file", [p for d in documents() for p in dead_links(d)])
check("code in documents is that of the file it names",
      [p for d in documents() for p in wrong_pieces(d)])
check("the tutorial tells of every example", list(untold_examples()))
check("docs/environment.md lists what is read", list(unlisted_variables()))
finish()
