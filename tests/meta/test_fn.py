#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows what HK_FN lets through and what it refuses: programs that must compile without a
warning, in strict C11 and C++17 by both compilers, and others that must be refused with a
sentence that says why."""

import shutil
import subprocess

from tap import ROOT, check, finish, in_parallel, skip

LANGUAGES = [
    ("C11 by gcc", ["gcc", "-x", "c", "-std=c11"]),
    ("C11 by clang", ["clang", "-x", "c", "-std=c11"]),
    ("C++17 by g++", ["g++", "-x", "c++", "-std=c++17"]),
    ("C++17 by clang++", ["clang++", "-x", "c++", "-std=c++17"]),
]
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Wshadow", "-Werror",
            "-fsyntax-only"]

BEGIN = """#include <hocket/fn.h>
struct point { int x, y; };
enum colour { RED, GREEN };
typedef int (*callback)(int);
"""

GOOD = {
    "no arguments, no result": "HK_FN(void, tick) {}",
    "no arguments": "HK_FN(int, seven) { return 7; }",
    "one argument": "HK_FN(unsigned long, same, (unsigned, a)) { return a; }",
    "eight arguments": """HK_FN(bool, eight, (bool, a), (char, b), (short, c), (int, d), (long, e),
                                    (float, f), (double, g), (int64_t, h))
        { return a && b && c && d && e && f > 0 && g > 0 && h; }""",
    "bytes": "HK_FN(hk_bytes, same, (hk_bytes, a), (const hk_bytes, b)) { (void)b; return a; }",
    "strings": """HK_FN(hk_str, same, (hk_str, a), (const char *, b))
        { (void)b; return a; }""",
    "structs and enums": """HK_FN(struct point, move, (struct point, p), (enum colour, c))
        { p.x += (int)c; return p; }""",
    "an rc": "HK_FN(hk_rc, save, (hk_str, path)) { return path ? 0 : -ENOENT; }",
    "declared before": """HK_FN_DECL(double, do_math, (long, start), (long, end));
        HK_FN_DECL(void, tick);
        HK_FN_DECL(double, do_math, (long, start), (long, end));
        HK_FN(double, do_math, (long, start), (long, end)) { return (double)(end - start); }
        HK_FN(void, tick) {}""",
    "used": """HK_FN_DECL(double, do_math, (long, start), (long, end));
        HK_FN_DECL(void, tick);
        HK_FN_DECL(hk_rc, save, (hk_str, path));
        int use(hk_executor *on);
        int use(hk_executor *on)
        {
            double out;
            hk_future *f = do_math_on(on, 0, 100), *g = tick_on(on), *h = save_on(on, "x");
            return do_math_await(f, &out) + tick_await(g) + save_await(h);
        }""",
    "mapped": """HK_FN(int, square, (int, n)) { return n * n; }
        int use(hk_executor *on);
        int use(hk_executor *on)
        {
            struct square_args args[] = {{1}, {2}};
            int results[2];
            return square_map(on, args, 2, results, 0);
        }""",
    "pointers that stay": """HK_FN_LOCAL_DECL(int *, next, (int *, p), (callback, c));
        HK_FN_LOCAL(int *, next, (int *, p), (callback, c)) { return p + c(1); }
        hk_future *use(hk_executor *on, int *p, callback c);
        hk_future *use(hk_executor *on, int *p, callback c)
        { return next_on(hk_in_process(on), p, c); }""",
    "a pointer to anything": "HK_FN_LOCAL(void *, same, (void *, p)) { return p; }",
    "the most aligned": "HK_FN(long double, same, (long double, a)) { return a; }",
}

POINTER = "means nothing in another process"
CPP_ONLY = {
    "a reference": ("HK_FN(int, first, (int &, p)) { return p; }", POINTER),
    "a local reference": ("HK_FN_LOCAL(int, first, (int &, p)) { return p; }", "byte by byte"),
    "an object": ("""#include <string>
        HK_FN_LOCAL(int, length, (std::string, text)) { return int(text.size()); }""",
                  "byte by byte"),
}
BAD = {
    "a pointer": ("HK_FN(int, first, (int *, p)) { return *p; }", POINTER),
    "a pointer named in the message": ("HK_FN(int, first, (int, a), (void *, p)) { return a; }",
                                       "argument p is"),
    "a string that may be changed": ("HK_FN(int, first, (char *, s)) { return *s; }", POINTER),
    "a function": ("HK_FN(int, call, (callback, c)) { return c(1); }", POINTER),
    "a result that is a pointer": ("HK_FN(int *, where) { return 0; }", "the result"),
    "a result that is a pointer to anything": ("HK_FN(void *, where) { return 0; }",
                                               "the result"),
    "what is aligned to more than a job": (
        """struct wide { __attribute__((aligned(32))) int n; };
           HK_FN(int, first, (struct wide, w)) { return w.n; }""",
        "argument w is aligned to more than 16 bytes"),
    "pointers without hk_in_process": (
        """HK_FN_LOCAL(int, first, (int *, p)) { return *p; }
           hk_future *use(hk_executor *on, int *p) { return first_on(on, p); }""",
        "hk_local_executor"),
    "another type of result": (
        """HK_FN(double, half, (int, n)) { return n / 2.0; }
           int use(hk_future *f) { int out; return half_await(f, &out); }""", "int *"),
}


def compile_it(case):
    command, text = case
    done = subprocess.run([*command, *WARNINGS, "-I", str(ROOT / "include"), "-"],
                          input=BEGIN + text + "\n", text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def said(output, sentence):
    """Compilers break lines, and write `int *` and `int*`."""
    return sentence.replace(" *", "*") in output.replace(" *", "*")


for language, command in LANGUAGES:
    if not shutil.which(command[0]):
        skip(f"HK_FN as {language}", "it is not installed")
        continue
    for name, (status, output) in zip(GOOD, in_parallel(
            compile_it, [(command, text) for text in GOOD.values()])):
        check(f"compiles as {language}: {name}", output.splitlines() if status else [])
    bad = BAD if "-std=c11" in command else {**BAD, **CPP_ONLY}
    for (name, (_, sentence)), (status, output) in zip(bad.items(), in_parallel(
            compile_it, [(command, text) for text, _ in bad.values()])):
        problems = [] if status else ["it compiles"]
        if status and not said(output, sentence):
            problems = [f"does not say '{sentence}'", *output.splitlines()[:5]]
        check(f"is refused as {language}: {name}", problems)
finish()
