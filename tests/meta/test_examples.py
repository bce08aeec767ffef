#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that every example is built, runs, and prints what its comment says it prints.

The comment at the top of an example, say examples/hello.c, holds

  Needs: /usr/share/doc/x      a file; where it is missing the example is not run
  Wrong: -3                    arguments that it refuses: a line "usage: ...", and status 2
  Args: 3 words                the arguments; may be left out, and so may. Several lines are
                               as many runs
  Stdin:                       what it reads, and
    one line                   (each line indented by two more)
  Exits: 1                     its exit status, if not 0
  Prints:
    hello, ...                 "..." in a line: any text here
    ...                        alone on a line: any number of lines
    bye

An example in a folder of its own says so in its main file; if it says nothing it is only
built here, and tested in other ways.
"""

import re
import shlex
import subprocess
import tempfile
from pathlib import Path

from tap import BUILD, ROOT, check, finish, in_parallel, relative, skip

LIMIT_S = 20
EXAMPLES = ROOT / "examples"
FIELDS = ("Needs", "Wrong", "Args", "Stdin", "Exits", "Prints")


def top_comments(text):
    """The text of the comments above the first line of code, without the stars."""
    comments = re.match(r"(?:\s|/\*.*?\*/)*", text, re.DOTALL).group(0)
    for body in re.findall(r"/\*(.*?)\*/", comments, re.DOTALL):
        lines = body.split("\n")
        margin = r"^ \*( |$)" if all(re.match(r"^ \*|^\s*$", s) for s in lines[1:]) else r"^   "
        yield from [lines[0].strip(), *(re.sub(margin, "", s).rstrip() for s in lines[1:])]
        yield ""


def fields_of(source):
    """{"Args": [line, ...], ...}; a field's text is beside its name, or indented below."""
    fields = {}
    lines = list(top_comments(source.read_text()))
    for number, line in enumerate(lines):
        found = re.match(r"(\w+):(?: (.*))?$", line)
        if not found or found.group(1) not in FIELDS:
            continue
        block = [found.group(2)] if found.group(2) else []
        for following in lines[number + 1:]:
            if following and not following.startswith("  "):
                break
            block.append(following[2:])
        while block and not block[-1]:
            block.pop()
        fields[found.group(1)] = block
    return fields


def pattern_of(expected):
    parts = []
    for line in expected:
        if line == "...":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            parts.append("[^\n]*".join(map(re.escape, line.split("..."))) + "\n")
    return re.compile("".join(parts))


def run(program, args, given=""):
    """The finished process, or None and what it had printed when it was too late."""
    with tempfile.TemporaryDirectory(prefix="hocket-example-") as folder:
        try:
            return subprocess.run([str(program), *shlex.split(args)], input=given.encode(),
                                  cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=LIMIT_S), b""
        except subprocess.TimeoutExpired as late:
            return None, late.stdout or b""


def problems_of(program, fields, args):
    given = "".join(line + "\n" for line in fields.get("Stdin", []))
    status = int((fields.get("Exits") or ["0"])[0])
    done, printed = run(program, args, given)
    if not done:
        return [f"still running after {LIMIT_S} s; it had printed:",
                printed.decode(errors="replace")]
    printed = done.stdout.decode(errors="replace")
    problems = []
    if done.returncode != status:
        problems.append(f"exit status {done.returncode}, expected {status}")
    if not pattern_of(fields["Prints"]).fullmatch(printed):
        problems += ["its comment says that it prints:", *fields["Prints"],
                     "but it printed:", *printed.splitlines()]
    if problems and args:
        problems.insert(0, f"with the arguments {args}:")
    if problems and done.stderr:
        problems += ["and on standard error:", *done.stderr.decode(errors="replace").splitlines()]
    return problems


def problems_of_wrong(program, args):
    done, _ = run(program, args)
    if done and (done.returncode, done.stdout) == (2, b"") and \
            re.fullmatch(rb"usage: [^\n]*\n", done.stderr):
        return []
    return [f"with the wrong arguments {args}: {done}"]


def examples():
    """(name, program, file with the comment)"""
    for source in sorted(EXAMPLES.glob("*.c")):
        yield source.stem, BUILD / "examples" / source.stem, source
    for folder in sorted(path for path in EXAMPLES.glob("*") if path.is_dir()):
        mains = [path for path in sorted(folder.glob("*.c"))
                 if re.search(r"^int main\b", path.read_text(), re.MULTILINE)]
        if mains:
            program = BUILD / "examples" / folder.name / f"hocket-{folder.name}"
            yield folder.name, program, mains[0]


def try_out(example):
    name, program, source = example
    title = f"example {name} prints what it says"
    fields = fields_of(source)
    if not program.exists():
        return lambda: check(title, [f"{program} is not built"])
    if "Prints" not in fields:
        if source.parent == EXAMPLES:
            return lambda: check(title, [f"{relative(source)}: no 'Prints:' in its comment"])
        return lambda: skip(title, "built; its comment says nothing about its output")
    needed = Path((fields.get("Needs") or ["/"])[0])
    if not needed.exists():
        return lambda: skip(title, f"there is no {needed}")
    problems = [problem for args in fields.get("Args") or [""]
                for problem in problems_of(program, fields, args)]
    problems += [problem for args in fields.get("Wrong", [])
                 for problem in problems_of_wrong(program, args)]
    return lambda: check(title, problems)


found = list(examples())
for report in in_parallel(try_out, found):
    report()
if not found:
    skip("every example prints what it says", "no examples yet")
finish()
