#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that hocket-crawl keeps its word, with a server of our own that misbehaves: every
trouble is one clear line that names the URL or the file, the crawl goes on where it can, the
exit status says what happened, and a crawl that was killed ends with the same database as
one that was left alone. All of it on each poller.

Run: limit=300
"""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hostile import Site, chunked, endless, hang, page, redirect, response, say
from tap import BUILD, ROOT, check, finish, skip

CRAWL = BUILD / "examples/crawl/hocket-crawl"
SERVE = BUILD / "examples/serve/hocket-serve"
HOSTILE_PARSER = Path(__file__).parent / "hostile_parser.c"
LIMIT_S = 60
# Said on kernels that have none; all else is the same there.
NO_SANDBOX = "hocket-crawl: pages are parsed without a sandbox: this kernel has none"
AT_ONCE = 6

tests = []


def test(function):
    tests.append(function)
    return function


class Place:
    """A folder of its own for one test on one poller, and the problems that it found."""

    def __init__(self, folder, poller):
        self.folder = Path(folder)
        self.database = self.folder / "crawl.sqlite"
        self.poller = poller
        self.problems = []
        self.skipped = None  # or the reason

    def command(self, *args, database=None):
        return [str(CRAWL), "--database", str(database or self.database), *map(str, args)]

    def environment(self):
        return dict(os.environ, HOCKET_POLLER=self.poller)

    def crawl(self, *args, database=None, **more):
        """(exit status, standard output, lines of standard error)"""
        done = subprocess.run(self.command(*args, database=database), text=True,
                              capture_output=True, timeout=LIMIT_S, errors="replace",
                              **{"cwd": self.folder, "env": self.environment(), **more})
        hidden = "" if "NO_SANDBOX" in more.get("env", {}) else NO_SANDBOX
        return done.returncode, done.stdout, [
            line for line in done.stderr.splitlines() if line != hidden]

    def crawl_with_hostile_parser(self, *args, **environment):
        """As crawl, with hostile_parser.c in front of libxml2 and libc."""
        library = self.folder / "hostile_parser.so"
        subprocess.run(["cc", "-shared", "-fPIC", HOSTILE_PARSER, "-o", library, "-ldl"],
                       check=True)
        return self.crawl(*args, env={**self.environment(), "LD_PRELOAD": str(library),
                                      **environment})

    def start(self, *args, database=None):
        return subprocess.Popen(self.command(*args, database=database), cwd=self.folder,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=self.environment())

    def expect(self, what, is_so):
        if not is_so:
            self.problems.append(what)

    def same(self, what, seen, expected):
        if seen != expected:
            self.problems.append(f"{what}: {seen!r}, expected {expected!r}")

    def line(self, lines, *parts):
        """Exactly one of the lines has all these parts."""
        fitting = [line for line in lines if all(str(part) in line for part in parts)]
        if len(fitting) != 1 or not fitting[0].startswith("hocket-crawl: "):
            self.problems.append(f"one line with {parts} expected, not {lines}")

    def rows(self, sql, database=None):
        connection = sqlite3.connect(database or self.database)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def column(self, sql, database=None):
        return [row[0] for row in self.rows(sql, database)]

    def dump(self, database=None):
        connection = sqlite3.connect(database or self.database)
        try:
            return "\n".join(connection.iterdump())
        finally:
            connection.close()

    def paths(self, site, table="pages"):
        return {url.removeprefix(site.url) for url in self.column(f"SELECT url FROM {table}")}


def wait_until(is_so, limit_s=20):
    end = time.monotonic() + limit_s
    while not is_so() and time.monotonic() < end:
        time.sleep(0.005)
    return is_so()


# --- the command line ------------------------------------------------------------------------


@test
def wrong_usage_is_status_2_and_one_line(p):
    for args, part in (
        (["--nonsense", "http://x/"], "--nonsense"),
        (["-Z"], "-Z"),
        (["--depth"], "--depth"),
        (["--depth", "deep", "http://x/"], "deep"),
        (["--concurrency", "0", "http://x/"], "0"),
        (["--max-bytes", "9T", "http://x/"], "9T"),
        (["--timeout", "soon", "http://x/"], "soon"),
        (["--rate", "-1", "http://x/"], "-1"),
        (["--parse", "nowhere", "http://x/"], "nowhere"),
        (["--user-agent", "a\nb", "http://x/"], "user agent"),
        ([], "URL is missing"),
        (["https://example.org/"], "https is not supported yet"),
        (["mailto:somebody"], "mailto:somebody"),
        (["no url"], "no url"),
        (["http://u:p@host/"], "http://u:p@host/"),
        (["http://host:99999/"], "http://host:99999/"),
    ):
        status, out, lines = p.crawl(*args)
        p.same(f"status of {args}", status, 2)
        p.same(f"output of {args}", out, "")
        p.expect(f"{args}: {lines}", len(lines) <= 2)  # the user agent has a newline
        p.expect(f"{args}: {part} in {lines}", part in "\n".join(lines))
        p.expect(f"{args}: made a database", not p.database.exists())


@test
def help_and_version_are_status_0(p):
    for option in ("--help", "--version"):
        status, out, lines = p.crawl(option)
        p.same(option, (status, lines), (0, []))
        p.expect(f"{option} says what it is: {out}", "hocket-crawl" in out)


# --- a site as it should be ------------------------------------------------------------------


@test
def pages_links_and_titles_are_stored(p):
    odd = ["a.html", "./a.html#top", "b/../a.html", "%61.html", "A%2fb", "q?x=1&y=%c3%a4#z",
           "ä ö", "//other.example:80/x/../y", "HTTP://Other.Example", "mailto:x@y", "pic.png",
           "https://secure.example/", "#here", "", "?page=2", "javascript:void(0)",
           "b/c/../../d/.", "http://u@host/", "  spaced.html\n", "%zz"]
    pages = {
        "/": page(*odd, title="  The \n  first &amp; only "),
        "/a.html": chunked("<title>a", "</title>", "<base href='/sub/'><a href=deep>"),
        "/sub/deep": page(title="deep"),
    }
    with Site(pages) as site:
        status, out, lines = p.crawl("--no-robots", site.url)
        u = site.url
        p.same("status", status, 1)  # most of the odd links lead nowhere
        p.same("title", p.column(f"SELECT title FROM pages WHERE url = '{u}/'"),
               ["The first & only"])
        p.same("links of /", set(p.column(f"SELECT target FROM links WHERE page = '{u}/'")), {
            f"{u}/a.html", f"{u}/A%2Fb", f"{u}/q?x=1&y=%C3%A4", f"{u}/%C3%A4%20%C3%B6",
            "http://other.example/y", "http://other.example/", f"{u}/pic.png",
            "https://secure.example/", f"{u}/", f"{u}/?page=2", f"{u}/d/",
            f"{u}/spaced.html", f"{u}/%25zz"})
        p.same("pages", p.paths(site), {"/", "/a.html", "/sub/deep"})
        p.same("depth of /sub/deep",
               p.column("SELECT depth FROM pages WHERE url LIKE '%deep'"), [2])
        p.expect("pictures are not fetched", "/pic.png" not in site.requests)
        p.expect(f"summary {out}",
                 re.search(r"^pages=3 bytes=\d+ errors=7 seconds=[\d.]+$", out, re.M))


@test
def connections_are_used_again(p):
    pages = {"/": page(*(f"{n}" for n in range(60)))} | {f"/{n}": page() for n in range(60)}
    with Site(pages, delay=0.005) as site:
        status, out, lines = p.crawl("--concurrency", 4, site.url)
        p.same("result", (status, lines), (0, []))
        p.same("pages", len(p.paths(site)), 61)
        p.expect(f"{site.connections} connections for 62 requests", site.connections <= 4)


@test
def a_connection_that_ended_while_idle_is_replaced(p):
    pages = {"/": page(*(f"{n}" for n in range(30)))}
    pages |= {f"/{n}": say(response(page())) for n in range(30)}  # closes without saying so
    with Site(pages) as site:
        status, out, lines = p.crawl("--concurrency", 3, site.url)
        p.same("result", (status, lines), (0, []))
        p.same("pages", len(p.paths(site)), 31)


@test
def redirects_lead_to_one_page_that_is_fetched_once(p):
    pages = {"/": page("old", "older", "/new"), "/older": redirect("old", "301 Moved"),
             "/old": redirect("/new"), "/new": page(title="new"),
             "/away": redirect("https://secure.example/x")}
    with Site(pages) as site:
        status, out, lines = p.crawl(site.url, site.url + "/away")
        p.same("status", status, 1)
        p.same("pages", p.paths(site), {"/", "/new"})
        p.same("redirects", p.paths(site, "redirects"), {"/old", "/older"})
        p.same("times that /new was fetched", site.count("/new"), 1)
        p.line(lines, f"{site.url}/away: ", "https", "not supported yet")


@test
def depth_is_the_shortest_way_even_if_it_is_found_late(p):
    # /far is three links away by way of quick pages, one by way of a slow one.
    def slow(talk):
        wait_until(lambda: site.count("/far"))
        time.sleep(0.1)  # in which it is parsed, which nothing tells us
        talk.send(response(page("/far")))
        return True

    pages = {"/": page("slow", "1"), "/1": page("2"), "/2": page("far"), "/far": page("beyond"),
             "/slow": slow, "/beyond": page("end"), "/end": page()}
    with Site(pages) as site:
        p.crawl("--depth", 3, site.url)
        p.same("depths", {u.removeprefix(site.url): d
                          for u, d in p.rows("SELECT url, depth FROM pages")},
               {"/": 0, "/1": 1, "/slow": 1, "/2": 2, "/far": 2, "/beyond": 3})


@test
def robots_txt_is_respected(p):
    robots = """# for all
        User-agent: *
        Disallow: /
        User-agent: other
        User-agent: Hocket-Crawl
        Disallow: /private
        Disallow: /*.cgi$
        Allow: /private/open
        """
    pages = {"/robots.txt": response(robots, kind="text/plain"),
             "/": page("private", "private/open", "x.cgi", "x.cgi?y", "free"),
             "/private/open": page(), "/x.cgi?y": page(), "/free": page(), "/private": page(),
             "/x.cgi": page()}
    with Site(pages) as site:
        status, out, lines = p.crawl(site.url)
        p.same("result", (status, lines), (0, []))
        p.same("pages", p.paths(site), {"/", "/private/open", "/x.cgi?y", "/free"})
        p.same("skipped", p.paths(site, "skipped"), {"/private", "/x.cgi"})
        p.same("times that robots.txt was fetched", site.count("/robots.txt"), 1)
        p.crawl("--no-robots")
        p.same("pages with --no-robots", p.paths(site),
               {"/", "/private/open", "/x.cgi?y", "/free", "/private", "/x.cgi"})


@test
def a_site_whose_robots_txt_fails_is_left_alone(p):
    with Site({"/robots.txt": response("", "503 Busy"), "/": page()}) as site:
        status, out, lines = p.crawl(site.url)
        p.same("status", status, 1)
        p.line(lines, f"{site.url}/: ", "robots.txt", "503")
        p.same("requests", site.requests, ["/robots.txt"])


@test
def rate_and_crawl_delay_space_the_requests(p):
    def run(robots, *options):
        pages = {"/": page("1", "2", "3", "4"), "/1": page(), "/2": page(), "/3": page(),
                 "/4": page(), "/robots.txt": response(robots, kind="text/plain")}
        with Site(pages) as site:
            start = time.monotonic()
            p.crawl("--fresh", *options, site.url)
            p.same("pages", len(p.paths(site)), 5)
            return time.monotonic() - start

    p.expect("--rate 10 is 0.1 s between pages", run("", "--rate", "10") >= 0.4)
    p.expect("Crawl-delay: 0.1", run("User-agent: *\nCrawl-delay: 0.1") >= 0.4)


@test
def other_sites_are_crawled_only_when_asked(p):
    with Site({"/": page(title="other")}) as other, Site({"/": page(other.url)}) as site:
        p.crawl(site.url)
        p.same("requests to the other", other.requests, [])
        status, out, lines = p.crawl("--all-sites", site.url)
        p.same("result", (status, lines), (0, []))
        p.same("times it was fetched", other.count("/"), 1)


@test
def max_pages_is_kept_and_can_be_raised(p):
    pages = {"/": page(*(f"{n}" for n in range(50)))} | {f"/{n}": page() for n in range(50)}
    with Site(pages) as site:
        p.crawl("--max-pages", 20, site.url)
        p.same("pages", len(p.paths(site)), 20)
        p.crawl("--max-pages", 35, "--resume")
        p.same("pages after the second run", len(p.paths(site)), 35)
        p.same("requests", len(site.requests), 37)  # and robots.txt in each run


# --- trouble with pages ----------------------------------------------------------------------


@test
def trouble_with_one_page_is_one_line_and_the_crawl_goes_on(p):
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))  # ours, but nobody listens
    refusing = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    html = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
    chunks = html + "Transfer-Encoding: chunked\r\n\r\n"
    troubles = {  # path: (answer, part of the line, kind)
        "/missing": (None, "404", "http 404"),
        "/broken": (response("", "500 Oops"), "500", "http 500"),
        "/circle": (redirect("/circle"), "redirects without end", "redirect"),
        "/ring1": (redirect("/ring2"), "redirects without end", "redirect"),
        "/ring2": (redirect("/ring1"), "redirects without end", "redirect"),
        "/nowhere": (redirect("http:///"), "no URL", "redirect"),
        "/flood": (endless(html, "X-Flood: " + "x" * 1000 + "\r\n"), "headers without end",
                   "headers"),
        "/longline": (endless(html, "x" * 1000), "headers without end", "headers"),
        "/big": (endless(html + "\r\n", "<p>more</p>" * 100), "--max-bytes", "size"),
        "/bigchunk": (endless(chunks, "100\r\n" + "x" * 256 + "\r\n"), "--max-bytes", "size"),
        "/biglength": (say(html + "Content-Length: 99999999999\r\n\r\n"), "--max-bytes", "size"),
        "/hang": (hang, "timed out", "timeout"),
        "/cut": (say(html + "Content-Length: 1000\r\n\r\n<title>cut"), "ended inside",
                 "truncated"),
        "/cutchunk": (say(chunks + "50\r\n<title>cut"), "ended inside", "truncated"),
        "/cuthead": (say("HTTP/1.1 200 OK\r\nContent-T"), "ended inside", "truncated"),
        "/badchunk": (say(chunks + "zz\r\n<title>"), "chunk is malformed", "truncated"),
        "/nothing": (say(), "without an answer", "truncated"),
        "/nohttp": (say("SSH-2.0-OpenSSH_9.2\r\n\r\n"), "not HTTP", "http"),
        "/negative": (say(html + "Content-Length: -5\r\n\r\n"), "not HTTP", "http"),
        "/picture": (response(b"\x89PNG\r\n", kind="image/png"), "not HTML but image/png",
                     "not-html"),
        "/binary": (response(b"\x7fELF\0\0\0\1", kind=None), "not HTML but binary", "not-html"),
        "/escape": (response("x", kind="evil\x1b[2J/x"), "not HTML but evil?[2j/x", "not-html"),
        "/zipped": (response("x", headers=["Content-Encoding: gzip"]), "compressed", "http"),
        "/klingon": (response(page(title="nuq"), kind="text/html; charset=klingon"),
                     "charset klingon is not known", "charset"),
        "/latin": (response(page(title="gr\xfcn").encode("latin-1")), "do not fit its charset",
                   "charset"),
    }
    pages = {path: answer for path, (answer, _, _) in troubles.items() if answer is not None}
    pages["/"] = page(*troubles, "/good", refusing)
    pages["/good"] = page(title="good")
    for n in range(12):
        pages[f"/chain{n}"] = redirect(f"/chain{n + 1}")
    pages["/"] += page("/chain0")
    with Site(pages) as site:
        status, out, lines = p.crawl("--timeout", 1.5, "--max-bytes", "100k", "--all-sites",
                                     "--report", "report.txt", site.url)
        p.same("status", status, 1)
        kinds = {url.removeprefix(site.url): kind
                 for url, kind in p.rows("SELECT url, kind FROM errors")}
        for path, (_, part, kind) in troubles.items():
            p.line(lines, f"{site.url}{path}: ", part)
            p.same(f"kind of {path}", kinds.get(path), kind)
        p.line(lines, refusing + ": ", "onnection refused")
        p.line(lines, f"{site.url}/chain0: ", "redirects without end")
        p.same("pages", p.paths(site), {"/", "/good", "/klingon", "/latin"})
        titles = dict(p.rows("SELECT url, title FROM pages"))
        p.same("title of /latin", titles[f"{site.url}/latin"], "gr?n")
        p.same("other lines", len(lines), len(kinds))
        p.expect("no line moves a cursor", "\x1b" not in "".join(lines))
        report = (p.folder / "report.txt").read_text()
        p.expect("the report lists the errors", f"{site.url}/missing: " in report)


@test
def a_name_that_does_not_resolve_is_one_line(p):
    status, out, lines = p.crawl("--timeout", 10, "http://no-such-host.invalid/")
    p.same("status", status, 1)
    p.line(lines, "http://no-such-host.invalid/: ")
    p.same("kind", set(p.column("SELECT kind FROM errors")) - {"timeout", "connect"}, {"name"})


@test
def a_bad_start_url_does_not_stop_the_good_ones(p):
    with Site({"/": page()}) as site:
        status, out, lines = p.crawl("https://secure.example/", site.url)
        p.same("status", status, 1)
        p.line(lines, "https://secure.example/: ", "https is not supported yet")
        p.same("pages", p.paths(site), {"/"})


@test
def a_start_page_that_moved_takes_the_crawl_along(p):
    with Site({"/": page("more"), "/more": page()}) as site, \
            Site({"/": redirect(site.url)}) as old:
        status, out, lines = p.crawl(old.url)
        p.same("result", (status, lines), (0, []))
        p.same("pages", p.paths(site), {"/", "/more"})


# --- trouble with the parser ------------------------------------------------------------------


def hostile_site():
    pages = {f"/{n}": page(f"{n + 1}", title=f"page {n}") for n in range(60)}
    pages["/"] = page("crash", "leave", "break", *(f"{n}" for n in range(0, 60, 3)))
    pages["/crash"] = page("0", more="please crash")
    pages["/leave"] = page("0", more="please leave")
    pages["/break"] = page("0", more="please break out")
    pages["/60"] = page(title="\xe4\xf6\xfc")
    return pages


@test
def a_page_that_crashes_the_parser_costs_only_itself(p):
    with Site(hostile_site()) as site:
        status, out, lines = p.crawl_with_hostile_parser("--report", "report.txt", site.url)
        p.same("status", status, 1)
        p.line(lines, f"{site.url}/crash: crashed the parser: signal 11, Segmentation fault")
        p.line(lines, f"{site.url}/leave: crashed the parser: it exited with status 7")
        p.same("other lines", len(lines), 3)
        p.same("pages", p.paths(site), {"/", *(f"/{n}" for n in range(61))})
        p.same("kinds", p.column("SELECT kind FROM errors"), ["parser"] * 3)
        report = (p.folder / "report.txt").read_text()
        p.expect(f"the report: {report}", "            3 parser\n" in report and
                 f"{site.url}/crash: crashed the parser: signal 11" in report)
        status, out, lines = p.crawl("--retry")  # by a parser without holes
        p.same("result of the next run", (status, lines), (0, []))
        p.same("pages of the next run", len(p.paths(site)), 65)


@test
def a_page_cannot_break_out_of_the_parser(p):
    with Site(hostile_site()) as site:
        status, out, lines = p.crawl_with_hostile_parser(site.url)
        if any(line.endswith("status 8") for line in lines):
            p.skipped = "this kernel has no sandbox"
            return
        p.line(lines, f"{site.url}/break: crashed the parser: it exited with status 9")
        p.expect("a file was made", not (p.folder / "broken-out").exists())


@test
def charsets_that_libraries_are_loaded_for_are_read_in_the_sandbox(p):
    titles = {"shift_jis": "\u65e5\u672c\u8a9e", "euc-kr": "\ud55c\uad6d\uc5b4", "koi8-r": "\u0440\u0443\u0441",
              "utf-16": "\u00fc\u4e2d", "windows-1252": "\u20ac"}
    pages = {f"/{charset}": response(page(title=title).encode(charset),
                                     kind=f"text/html; charset={charset}")
             for charset, title in titles.items()}
    pages["/"] = page(*titles)
    with Site(pages) as site:
        status, out, lines = p.crawl(site.url)
        p.same("result", (status, lines), (0, []))
        stored = dict(p.rows("SELECT url, title FROM pages WHERE depth = 1"))
        p.same("titles", {url.rpartition("/")[2]: title for url, title in stored.items()}, titles)


@test
def a_page_that_keeps_the_parser_busy_is_given_up(p):
    pages = {"/": page("a", "hang", "b"), "/a": page(), "/b": page(),
             "/hang": page(more="please hang")}
    with Site(pages) as site:
        status, out, lines = p.crawl_with_hostile_parser("--quiet", "--timeout", 5,
                                                         site.url)
        p.same("status", status, 1)
        p.line(lines, f"{site.url}/hang: kept the parser busy for longer than --timeout")
        p.same("other lines", len(lines), 1)
        p.same("pages", p.paths(site), {"/", "/a", "/b"})


@test
def without_a_sandbox_or_processes_it_says_so_and_goes_on(p):
    for lack, said in (("NO_SANDBOX", "parsed without a sandbox: this kernel has none"),
                       ("NO_SPAWN", "parsed in threads: no worker process: ")):
        with Site({"/": page("a"), "/a": page()}) as site:
            status, out, lines = p.crawl_with_hostile_parser("--fresh", site.url,
                                                             **{lack: "1"})
            p.same(f"status, {lack}", status, 0)
            p.line(lines, said)
            p.same(f"pages, {lack}", p.paths(site), {"/", "/a"})


@test
def pages_parsed_in_threads_give_the_same_database(p):
    with Site(winding_site()) as site:
        here = p.folder / "here.sqlite"
        p.same("status", p.crawl(site.url)[0], 1)
        p.same("status with --parse here", p.crawl("--parse", "here", site.url,
                                                   database=here)[0], 1)
        p.expect("the database is another", p.dump(here) == p.dump())


# --- trouble with the database ---------------------------------------------------------------


@test
def a_database_that_is_not_ours_is_left_alone(p):
    other = sqlite3.connect(p.folder / "other.sqlite")
    other.executescript("CREATE TABLE t(x); INSERT INTO t VALUES(1);")
    other.close()
    newer = sqlite3.connect(p.folder / "newer.sqlite")
    newer.executescript("PRAGMA application_id = 1751868279; PRAGMA user_version = 99;")
    newer.close()
    (p.folder / "text").write_text("dear diary, " * 100)
    (p.folder / "folder").mkdir()
    with Site({"/": page()}) as site:
        for name, part in (("other.sqlite", "another program"), ("text", "not a database"),
                           ("newer.sqlite", "schema 99"), ("folder", "directory"),
                           ("no/such/place", "No such file")):
            path = p.folder / name
            before = path.read_bytes() if path.is_file() else None
            status, out, lines = p.crawl(site.url, database=path)
            p.same(f"status for {name}", status, 3)
            p.same(f"lines for {name}", len(lines), 1)
            p.line(lines, str(path), part)
            p.expect(f"{name} was changed", before is None or path.read_bytes() == before)
        p.same("requests", site.requests, [])


@test
def a_read_only_database_is_one_line(p):
    # For root every file can be written: then somebody else tries, who must get there.
    other = {"user": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    with Site({"/": page("a"), "/a": page()}) as site, \
            tempfile.TemporaryDirectory(dir="/tmp") as folder:
        p.folder = Path(folder)
        p.database = p.folder / "crawl.sqlite"
        p.crawl("--max-pages", 1, site.url)
        p.database.chmod(0o444)
        p.folder.chmod(0o755)
        try:
            status, out, lines = p.crawl("--resume", **other)
        except PermissionError:
            p.skipped = "the build folder is closed to other users"
            return
        p.same("status", status, 3)
        p.line(lines, str(p.database), "read-only")
        p.same("pages", len(p.paths(site)), 1)
        p.folder.chmod(0o700)
        if other:
            status, out, lines = p.crawl("--resume", cwd="/", **other)
            p.same("status in a closed folder", status, 3)
            p.line(lines, str(p.database), "Permission denied")


@test
def a_full_disk_ends_the_crawl_and_loses_nothing(p):
    pages = {"/": page(*(f"{n}" for n in range(200)))}
    for n in range(200):
        pages[f"/{n}"] = page(*(f"http://far{n}.example/{m}{'x' * 50}" for m in range(60)))
    with Site(pages, delay=0.04) as site:
        script = """mount -t tmpfs -o size=600k none "$1" || exit 99
                    cd "$1"; "$2" -c 4 "$3"; echo "status $?"; cp crawl.sqlite* "$4"/"""
        small = p.folder / "small"
        small.mkdir()
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", small, CRAWL,
                               site.url, p.folder], text=True, capture_output=True,
                              env=p.environment(), timeout=LIMIT_S)
        if "status" not in done.stdout:
            p.skipped = "may not mount a file system here"
            return
        p.expect(f"status 3: {done.stdout}", "status 3" in done.stdout)
        p.line(done.stderr.splitlines(), "crawl.sqlite: ", "full")
        stored = len(p.paths(site))
        p.expect(f"{stored} pages were stored before", 1 < stored < 201)
        status, out, lines = p.crawl("--resume", "-c", 16)  # where there is room
        p.same("result of the next run", (status, lines), (0, []))
        p.same("pages in the end", len(p.paths(site)), 201)


@test
def two_crawls_into_one_database_are_one_too_many(p):
    with Site({"/": hang}) as site:
        first = p.start("--no-robots", site.url)
        wait_until(lambda: site.requests)
        status, out, lines = p.crawl(site.url)
        p.same("status of the second", status, 3)
        p.line(lines, str(p.database), "another hocket-crawl is at work on it")
        first.kill()
        first.communicate()


# --- stopping and going on -------------------------------------------------------------------


def winding_site():
    """Some 250 pages with every kind of ending, and ways of many lengths to most of them."""
    pages = {"/": page("/p0", "/p1", title="start")}
    for n in range(240):
        pages[f"/p{n}"] = page(f"/p{2 * n + 1}", f"/p{2 * n + 2}", f"/p{n - 7}", f"/r{n % 9}",
                               "/gone" if n % 50 == 3 else "/", f"http://far.example/{n}",
                               title=f"page {n}", more="<p>text</p>" * n)
    for n in range(9):
        pages[f"/r{n}"] = redirect(f"/p{n * 20}")
    pages["/r4"] = redirect("/r5")
    pages["/r7"] = redirect("/r7")
    pages["/p77"] = say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<html>")
    pages["/p88"] = response("x", kind="image/png")
    pages["/p99"] = response(page(title="99"), kind="text/html; charset=klingon")
    pages["/robots.txt"] = response("User-agent: *\nDisallow: /p66", kind="text/plain")
    return pages


@test
def killed_at_any_point_and_run_again_gives_the_same_database(p):
    with Site(winding_site(), delay=0.004) as site:
        alone = p.folder / "alone.sqlite"
        status, out, lines = p.crawl(site.url, database=alone)
        p.same("status of the undisturbed crawl", status, 1)
        expected = p.dump(alone)
        kills = 0
        for turn, after in enumerate((1, 5, 20, 60, 110, 170, 230)):
            database = p.folder / f"killed{turn}.sqlite"
            for _ in range(2):  # each is killed twice, the second time further on
                before = len(site.requests)
                process = p.start("--concurrency", 12, site.url, database=database)
                wait_until(lambda: len(site.requests) - before >= after or
                           process.poll() is not None)
                kills += process.poll() is None
                process.kill()
                process.communicate()
            status, out, lines = p.crawl("--concurrency", 12, site.url, database=database)
            p.same(f"status after kills at {after}", status, 1)
            p.expect(f"the database after kills at {after} requests is another",
                     p.dump(database) == expected)
        p.expect(f"{kills} kills hit a crawl", kills >= 7)


@test
def an_interrupted_crawl_saves_and_goes_on(p):
    with Site(winding_site(), delay=0.01) as site:
        p.crawl(site.url, database=p.folder / "alone.sqlite")
        alone = before = len(site.requests)
        process = p.start("--depth", 1000, site.url)
        wait_until(lambda: len(site.requests) - before > 60)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=LIMIT_S)
        p.expect("it took long to stop", time.monotonic() - start < 2)
        p.same("status", process.returncode, 4)
        p.line(errors.splitlines(), "stopping")
        p.expect(f"says so: {out}", "unfinished: run it again" in out)
        p.expect(f"pages were saved: {out}", len(p.paths(site)) > 10)
        p.same("state", p.rows("SELECT value FROM settings WHERE name = 'state'"),
               [("unfinished",)])
        stored = sum(len(p.paths(site, table))
                     for table in ("pages", "errors", "redirects", "skipped"))
        before = len(site.requests)
        status, out, lines = p.crawl("--resume")  # knows where it began
        p.same("status of the next run", status, 1)
        p.expect(f"of {alone} URLs {stored} were stored, {len(site.requests) - before} fetched",
                 len(site.requests) - before <= alone - stored + 1)
        differing = {"depth"}  # the setting
        for table in ("pages", "links", "redirects", "errors", "skipped", "seeds"):
            p.expect(f"table {table} is another", p.rows(f"SELECT * FROM {table}") ==
                     p.rows(f"SELECT * FROM {table}", p.folder / "alone.sqlite"))
        p.same("settings that differ", {a[0] for a, b in zip(
            p.rows("SELECT * FROM settings"),
            p.rows("SELECT * FROM settings", p.folder / "alone.sqlite")) if a != b}, differing)


@test
def the_second_signal_ends_it_at_once(p):
    with Site(winding_site()) as site:
        process = p.start("--quiet", site.url)
        wait_until(lambda: p.database.exists() and len(site.requests) > 5)
        lock = sqlite3.connect(p.database, isolation_level=None, timeout=10)
        lock.execute("BEGIN IMMEDIATE")  # now the crawl cannot save
        start = time.monotonic()

        def ends():  # two that come at once may be one: so again, until two were seen
            process.send_signal(signal.SIGINT)
            return process.poll() is not None

        wait_until(ends)
        process.communicate(timeout=LIMIT_S)
        p.expect("it took long to end", time.monotonic() - start < 2)
        p.expect(f"status {process.returncode}",
                 process.returncode in (4, 128 + signal.SIGINT, -signal.SIGINT))
        lock.close()
        p.crawl(site.url)
        p.expect("all pages in the end", len(p.paths(site)) > 200)


@test
def a_finished_crawl_has_nothing_left_to_do(p):
    with Site({"/": page("a", "missing"), "/a": page()}) as site:
        p.crawl(site.url)
        p.same("state", p.rows("SELECT value FROM settings WHERE name = 'state'"),
               [("finished",)])
        before = p.dump()
        for args in ((site.url,), ("--resume",), ()):
            requests = len(site.requests)
            status, out, lines = p.crawl(*args)
            p.same("status", status, 1)  # an error is in it
            p.same("requests of the next run", len(site.requests), requests)
            p.expect("the database changed", p.dump() == before)
        site.pages["/missing"] = page()
        status, out, lines = p.crawl("--retry")
        p.same("status of --retry", status, 0)
        p.same("pages after --retry", p.paths(site), {"/", "/a", "/missing"})
        site.pages["/"] = page()
        status, out, lines = p.crawl("--fresh", site.url)
        p.same("pages after --fresh", p.paths(site), {"/"})


@test
def resume_needs_something_to_go_on_from(p):
    status, out, lines = p.crawl("--resume", "http://127.0.0.1:1/")
    p.same("status", status, 3)
    p.line(lines, str(p.database), "resume")
    p.expect("it made a database", not p.database.exists())


@test
def a_report_that_cannot_be_written_is_status_3(p):
    with Site({"/": page()}) as site:
        status, out, lines = p.crawl("--report", "/no/such/place", site.url)
        p.same("status", status, 3)
        p.line(lines, "/no/such/place: ")
        p.same("pages", p.paths(site), {"/"})


# --- the main job ----------------------------------------------------------------------------


@test
def make_run_ends_with_its_three_lines(p):
    names = [f"{n}.html" for n in range(119)]
    for name in names:
        (p.folder / name).write_text(page(*names[::10]))
    (p.folder / "index.html").write_text(page(*names))
    out = p.folder / "out"
    done = subprocess.run([ROOT / "tools/run-crawl"], text=True, capture_output=True,
                          timeout=LIMIT_S, env=dict(
                              p.environment(), HOCKET_PAGES=str(p.folder),
                              HOCKET_PROGRAMS=str(BUILD / "examples"),
                              HOCKET_CRAWL_OUT=str(out)))
    # On a machine that is busy it lasts long enough for lines of progress, and a task may be
    # kept from its processor for so long that it seems to compute.
    said = re.sub(r"^(\d+ pages, \d+ queued, .* pages/s|hocket: +\S+\+0x\w+ \(\S+\)"
                  r"|hocket: .* has held worker .*)\n", "", done.stderr, flags=re.MULTILINE)
    p.same("result", (done.returncode, said.replace(NO_SANDBOX + "\n", "")), (0, ""))
    p.expect(f"the last lines of {done.stdout}", re.search(
        r"\npages=120 bytes=\d+ errors=0 seconds=\d+\.\d+ speedup=\d+\.\d+\n"
        rf"database: {out}/crawl.sqlite\nreport: {out}/report.txt\n\Z", done.stdout))
    p.same("pages in the database",
           p.rows("SELECT count(*) FROM pages", out / "crawl.sqlite"), [(120,)])
    p.expect("the report", (out / "report.txt").exists())


# --- running them ----------------------------------------------------------------------------


def has_uring():
    with tempfile.TemporaryDirectory() as folder:
        place = Place(folder, "uring")
        status, _, lines = place.crawl("http://127.0.0.1:1/")
        return not any("cannot run" in line for line in lines)


def run(function, poller):
    with tempfile.TemporaryDirectory(prefix="hocket-crawl-") as folder:
        place = Place(folder, poller)
        try:
            function(place)
        except Exception as error:  # one test's trouble is not the others'
            place.problems.append(f"{type(error).__name__}: {error}")
        return place


def main():
    if not CRAWL.exists() or not SERVE.exists():
        skip("hocket-crawl", "not built: libxml2 or sqlite3 is missing")
        finish()
    pollers = ["uring", "epoll"] if has_uring() else ["epoll"]
    wanted = [t for t in tests if len(sys.argv) < 2 or t.__name__ in sys.argv[1:]]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [(t, poller, pool.submit(run, t, poller)) for poller in pollers
                   for t in wanted]
        for function, poller, result in running:
            name, place = f"{function.__name__} ({poller})", result.result()
            if place.skipped and not place.problems:
                skip(name, place.skipped)
            else:
                check(name, place.problems)
    finish()


if __name__ == "__main__":
    main()
