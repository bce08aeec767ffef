#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that `make install` honours DESTDIR and PREFIX: everything lies below both, and
nothing in the package files points at DESTDIR.

Run: full
"""

import os
import tempfile
from pathlib import Path

from tap import ROOT, check, finish, output_of, skip

PREFIX = "/opt/music"

if not (ROOT / "include/hocket.h").exists():
    skip("make install honours DESTDIR and PREFIX", "no library yet")
    finish()

with tempfile.TemporaryDirectory(prefix="hocket-install-") as folder:
    env = dict(os.environ, HOCKET_DEPS="skip")
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        env.pop(name, None)
    status, text = output_of(["make", "-C", ROOT, "install", f"DESTDIR={folder}",
                              f"PREFIX={PREFIX}"], env=env)
    check("make install succeeds", [text] if status else [])

    root = Path(folder)
    files = [path for path in root.rglob("*") if not path.is_dir()]
    check("all is installed below DESTDIR and PREFIX",
          [str(path) for path in files if not str(path).startswith(folder + PREFIX + "/")] or
          ([] if files else ["nothing was installed"]))

    package = root / PREFIX[1:] / "lib/pkgconfig/hocket.pc"
    text = package.read_text() if package.exists() else "no hocket.pc"
    check("hocket.pc names PREFIX and not DESTDIR",
          [] if f"prefix={PREFIX}\n" in text and folder not in text else [text])
finish()
