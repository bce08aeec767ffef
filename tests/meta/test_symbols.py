#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the linker sees what the headers declare and nothing else: libhocket.so exports
exactly the names marked HK_API, and every global name in libhocket.a carries our prefix, so
that a program linked with it cannot collide."""

import re

from tap import BUILD, check, finish, output_of, public_headers, relative, skip

SHARED = BUILD / "src/libhocket.so"
STATIC = BUILD / "src/libhocket.a"

# Interposed on purpose: worker processes take over in place of main.
FOREIGN_ON_PURPOSE = {"__libc_start_main"}


def without_comments_and_macros(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = re.sub(r"//[^\n]*", " ", text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", " ", text, flags=re.MULTILINE)


def declared_in(header):
    """The name in each declaration that begins with HK_API: the first one before an opening
    bracket (a function), else the last one (a variable)."""
    text = without_comments_and_macros(header.read_text())
    for declaration in re.findall(r"\bHK_API\b([^;{]*)", text):
        function = re.search(r"\b(hk_\w+)\s*\(", declaration)
        names = re.findall(r"\bhk_\w+", declaration.split("=")[0])
        if function:
            yield function.group(1)
        elif names:
            yield names[-1]
        else:
            yield f"(unreadable in {relative(header)}:{' '.join(declaration.split())})"


def defined_in(library, *options):
    status, text = output_of(["nm", "--defined-only", "--format=posix", *options, library])
    if status != 0:
        return None
    return {line.split()[0].split("@")[0] for line in text.splitlines()
            if len(line.split()) >= 2 and not line.endswith(":") and not line.startswith("nm:")}


declared = {name for header in public_headers() for name in declared_in(header)}
if not declared or not SHARED.exists():
    reason = "nothing declared HK_API yet" if not declared else "libhocket.so is not built"
    skip("libhocket.so exports what the headers declare", reason)
    skip("libhocket.so exports nothing else", reason)
else:
    exported = defined_in(SHARED, "--dynamic") - FOREIGN_ON_PURPOSE
    check("libhocket.so exports what the headers declare",
          [f"declared, not defined: {name}" for name in sorted(declared - exported)])
    check("libhocket.so exports nothing else",
          [f"exported, not declared: {name}" for name in sorted(exported - declared)])

names = defined_in(STATIC, "--extern-only") if STATIC.exists() else None
if not names:
    skip("every global name in libhocket.a is ours", "libhocket.a is not built")
else:
    check("every global name in libhocket.a is ours",
          [f"neither hk_ nor hki_: {name}" for name in sorted(names - FOREIGN_ON_PURPOSE)
           if not re.match(r"hki?_", name)])
finish()
