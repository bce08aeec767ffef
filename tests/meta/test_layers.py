#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the layers stay layers: every #include in the tree is one that the table below
allows, every source file belongs to a layer, and only src/sys asks which system this is."""

import re

from tap import ROOT, c_files, check, finish, relative, skip

# Besides its own headers, and those of base, a layer may include these. "hocket" stands for
# the public headers; a folder for all of its headers. ARCHITECTURE.md explains the table.
MAY_INCLUDE = {
    "src/base": [],
    "src/sys": [],
    "src/core": ["hocket", "sys"],
    "src/sync": ["hocket", "core/self_inline.h"],
    "src/io": ["hocket", "sys/os.h"],
    "src/exec": ["hocket", "sys/os.h", "core/workers.h", "core/self_inline.h"],
    "src/testing": ["hocket", "core", "sys"],
    "src/web": ["hocket"],
    "include": ["hocket"],
    "cli": ["hocket"],
    "examples": ["hocket"],
}
SEES_BASE = "src/"

# Libraries from outside, each known to one layer.
ONLY_IN = {"liburing.h": "src/sys", "ares.h": "src/io"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
SYSTEM_QUESTION = re.compile(
    r"^[ \t]*#[ \t]*(?:if|ifdef|ifndef|elif)\b.*\b"
    r"(__x86_64__|__i386__|__aarch64__|__arm__|__riscv|__linux__|__linux|__APPLE__"
    r"|__FreeBSD__|__NetBSD__|__OpenBSD__|_WIN32)\b", re.MULTILINE)


def layer_of(path):
    name = relative(path)
    return next((layer for layer in MAY_INCLUDE if name.startswith(layer + "/")), None)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def target_of(path, quote, name):
    """The project's file that an #include names, or None when it is not the project's."""
    if quote == '"':
        for folder in (path.parent, ROOT / "src", ROOT / "include"):
            if (folder / name).is_file():
                return (folder / name).resolve()
    if name == "hocket.h" or name.startswith("hocket/"):
        return ROOT / "include" / name
    return None


def allowed(layer, target):
    name = relative(target)
    if name.startswith(layer + "/"):
        return True
    if layer.startswith(SEES_BASE) and name.startswith("src/base/"):
        return True
    for entry in MAY_INCLUDE[layer]:
        if entry == "hocket" and name.startswith("include/"):
            return True
        if name == "src/" + entry or name.startswith(f"src/{entry}/"):
            return True
        if entry == "sys/os.h" and re.match(r"src/sys/os_\w+\.h$", name):
            return True  # os.h is several files: the wrapped system calls by subject
    return False


def problems_in(path, layer):
    text = path.read_text()
    for found in INCLUDE.finditer(text):
        quote, name = found.groups()
        where = f"{relative(path)}:{line_of(text, found.start())}"
        if ONLY_IN.get(name, layer) != layer:
            yield f"{where}: <{name}> is for {ONLY_IN[name]} alone"
        target = target_of(path, quote, name)
        if target is None:
            if quote == '"':
                yield f'{where}: "{name}" is not in this tree; other libraries take <>'
        elif not target.is_file():
            yield f"{where}: there is no {relative(target)}"
        elif target.suffix != ".h":
            yield f"{where}: includes {name}, which is not a header"
        elif not allowed(layer, target):
            yield f"{where}: {layer} may not include {relative(target)}"


def folders_with_files():
    for layer in MAY_INCLUDE:
        files = c_files(layer)
        if files:
            yield layer, files
        else:
            skip(f"{layer} includes only what it may", "no files yet")


for layer, files in folders_with_files():
    check(f"{layer} includes only what it may",
          [problem for path in files for problem in problems_in(path, layer)])

sources = c_files("src")
if sources:
    check("every file in src lies directly in the folder of a layer",
          [f"{relative(path)}: in no layer's folder" for path in sources
           if str(path.parent.relative_to(ROOT)) not in MAY_INCLUDE])
    check("only src/sys asks for the system or the CPU",
          [f"{relative(path)}:{line_of(text, found.start())}: {found.group(1)}"
           for path in sources if layer_of(path) != "src/sys"
           for text in [path.read_text()] for found in SYSTEM_QUESTION.finditer(text)])
else:
    skip("every file in src lies directly in the folder of a layer", "no files yet")
    skip("only src/sys asks for the system or the CPU", "no files yet")
finish()
