# SPDX-License-Identifier: MIT
"""What the meta tests share: where things are, and results in the Test Anything Protocol."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("HOCKET_BUILD_DIR") or ROOT / "build/plain")

_count = 0
_failed = 0


def check(name, problems, notes=()):
    """One test: passed when there are no problems, each of which is a line of text."""
    global _count, _failed
    problems = list(problems)
    _count += 1
    _failed += bool(problems)
    print(f"{'not ok' if problems else 'ok'} {_count} - {name}")
    for line in "\n".join([*problems, *notes]).splitlines():
        print(f"# {line}")
    sys.stdout.flush()


def skip(name, reason):
    global _count
    _count += 1
    print(f"ok {_count} - {name} # SKIP {reason}", flush=True)


def finish():
    print(f"1..{_count}", flush=True)
    sys.exit(1 if _failed else 0)


def relative(path):
    return str(Path(path).relative_to(ROOT))


def c_files(*folders, endings=(".c", ".h", ".cpp", ".S")):
    """The C files below these folders of the project, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*")
                  if path.suffix in endings and path.is_file())


def public_headers():
    return c_files("include", endings=(".h",))


def output_of(command, **more):
    """Runs a command; its exit status, and all that it printed."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", **more)
    return done.returncode, done.stdout


def in_parallel(function, items):
    """[function(item), ...], on all cores: for functions that run a command."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))
