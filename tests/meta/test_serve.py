#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that hocket-serve speaks HTTP/1.1 as a file server must, gives nothing away that lies
outside of its folder, waits for no slow client, and loses no response when it is stopped. All
of it on each poller.

Run: limit=200
"""

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tap import BUILD, check, finish, skip

SERVE = BUILD / "examples/serve/hocket-serve"
AT_ONCE = 4
BIG = bytes(range(256)) * 40000  # 10 MB: more than a socket buffers
SECRET = "the secret"

tests = []


def test(*options):
    def add(function):
        tests.append((function, options))
        return function

    return add


def fill(folder):
    """root/ is served; beside it lies what must not be."""
    root = folder / "root"
    (root / "sub dir").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "index.html").write_text("<title>home</title>")
    (root / "sub dir/index.html").write_text("<title>sub</title>")
    (root / "a.txt").write_text("0123456789")
    (root / "none").write_text("")
    (root / "ä.css").write_text("b {}")
    (root / "big.bin").write_bytes(BIG)
    (root / "old.html.gz").write_bytes(gzip.compress(b"<title>packed</title>" * 50))
    (root / "bad.html.gz").write_bytes(b"this is not gzip")
    (folder / "secret").write_text(SECRET)
    (folder / "root-too").mkdir()
    (folder / "root-too/secret").write_text(SECRET)
    (root / "inside").symlink_to("a.txt")
    (root / "outside").symlink_to("../secret")
    (root / "absolute").symlink_to(folder / "secret")
    (root / "up").symlink_to("..")
    (root / "out.html.gz").symlink_to("../secret")
    (root / "dangling").symlink_to("nothing")
    os.mkfifo(root / "fifo")
    (root / "closed").write_text("x")
    (root / "closed").chmod(0)
    return root


class Server:
    def __init__(self, folder, poller, options):
        self.problems = []
        self.folder = folder
        port_file = folder / "port"
        self.process = subprocess.Popen(
            [SERVE, "--port", "0", "--port-file", port_file, *options, fill(folder)],
            env=dict(os.environ, HOCKET_POLLER=poller), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        end = time.monotonic() + 20
        while not port_file.exists() and time.monotonic() < end:
            time.sleep(0.005)
        self.port = int(port_file.read_text())

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=20)
        return self.process.returncode, out

    def expect(self, what, is_so):
        if not is_so:
            self.problems.append(what)

    def same(self, what, seen, expected):
        if seen != expected:
            self.problems.append(f"{what}: {seen!r:.300}, expected {expected!r:.300}")

    def connect(self, buffer=0):
        connection = socket.socket()
        connection.settimeout(15)
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def raw(self, request):
        """All that comes back for these bytes until the server closes."""
        with self.connect() as connection:
            connection.sendall(request.encode("latin-1") if isinstance(request, str) else request)
            return connection.makefile("rb").read()

    def get(self, path, *headers, method="GET", version="HTTP/1.1"):
        head = "".join(f"{h}\r\n" for h in ("Host: x", "Connection: close", *headers))
        return Answer(self.raw(f"{method} {path} {version}\r\n{head}\r\n"))


class Answer:
    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1]) if first else 0
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}

    def __getitem__(self, name):
        return self.headers.get(name.lower())


# --- files -----------------------------------------------------------------------------------


@test()
def files_come_whole_with_their_type(s):
    for path, body, kind in (("/", "<title>home</title>", "text/html; charset=utf-8"),
                             ("/a.txt?x=1", "0123456789", "text/plain; charset=utf-8"),
                             ("/sub%20dir/", "<title>sub</title>", "text/html; charset=utf-8"),
                             ("/%C3%A4.css", "b {}", "text/css; charset=utf-8"),
                             ("/none", "", "application/octet-stream"),
                             ("//a.txt", "0123456789", "text/plain; charset=utf-8"),
                             ("http://x/a.txt", "0123456789", "text/plain; charset=utf-8")):
        answer = s.get(path)
        s.same(path, (answer.status, answer.body.decode(), answer["Content-Type"],
                      answer["Content-Length"]), (200, body, kind, str(len(body))))
    s.same("a big file", s.get("/big.bin").body, BIG)


@test()
def head_is_get_without_the_body(s):
    for path in ("/a.txt", "/nowhere", "/sub%20dir", "/old.html"):
        get, head = s.get(path), s.get(path, method="HEAD")
        s.same(path, {k: v for k, v in head.headers.items() if k != "date"},
               {k: v for k, v in get.headers.items() if k != "date"})
        s.same(f"status and body of {path}", (head.status, head.body), (get.status, b""))


@test()
def an_etag_saves_the_body(s):
    first = s.get("/a.txt")
    for value in (first["ETag"], f'"x", W/{first["ETag"]}', "*"):
        again = s.get("/a.txt", f"If-None-Match: {value}")
        s.same(f"If-None-Match: {value}", (again.status, again.body, again["ETag"]),
               (304, b"", first["ETag"]))
    s.same("another tag", s.get("/a.txt", 'If-None-Match: "x"').status, 200)
    (s.folder / "root/a.txt").write_text("changed")
    s.same("after a change", s.get("/a.txt", f"If-None-Match: {first['ETag']}").body, b"changed")


@test()
def ranges_give_a_part(s):
    def ask(value, *more):
        answer = s.get("/a.txt", f"Range: {value}", *more)
        return answer.status, answer.body.decode(), answer["Content-Range"]

    whole = (200, "0123456789", None)
    s.same("first", ask("bytes=0-3"), (206, "0123", "bytes 0-3/10"))
    s.same("open", ask("bytes=7-"), (206, "789", "bytes 7-9/10"))
    s.same("past the end", ask("bytes=8-99"), (206, "89", "bytes 8-9/10"))
    s.same("last", ask("bytes=-3"), (206, "789", "bytes 7-9/10"))
    s.same("more than all", ask("bytes=-99"), (206, "0123456789", "bytes 0-9/10"))
    s.same("outside", ask("bytes=10-"), (416, "", "bytes */10"))
    s.same("none of it", ask("bytes=-0"), (416, "", "bytes */10"))
    for value in ("bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=-",
                  "bytes=1"):
        s.same(value, ask(value), whole)
    s.same("a huge number", ask("bytes=99999999999999999999999-"), (416, "", "bytes */10"))
    tag = s.get("/a.txt")["ETag"]
    s.same("If-Range, the same", ask("bytes=0-0", f"If-Range: {tag}")[0], 206)
    s.same("If-Range, another", ask("bytes=0-0", 'If-Range: "x"'), whole)
    part = s.get("/big.bin", "Range: bytes=1000000-8999999")
    s.same("a big part", part.body, BIG[1000000:9000000])


@test()
def a_packed_file_stands_in_for_one_that_is_missing(s):
    plain = b"<title>packed</title>" * 50
    answer = s.get("/old.html")
    s.same("unpacked", (answer.status, answer.body, answer["Content-Type"]),
           (200, plain, "text/html; charset=utf-8"))
    packed = s.get("/old.html", "Accept-Encoding: br, gzip")
    s.same("packed", (packed["Content-Encoding"], gzip.decompress(packed.body)), ("gzip", plain))
    s.expect("two forms, two tags", packed["ETag"] != answer["ETag"])
    s.same("gzip refused", s.get("/old.html", "Accept-Encoding: gzip;q=0").body, plain)
    s.same("not gzip at all", s.get("/bad.html").status, 500)
    s.same("leads outside", s.get("/out.html").status, 403)


@test()
def folders_lead_to_their_index(s):
    answer = s.get("/sub%20dir?q")
    s.same("without slash", (answer.status, answer["Location"]), (301, "/sub%20dir/"))
    s.same("with two slashes", s.get("//sub%20dir")["Location"], "/sub%20dir/")
    s.same("no index", s.get("/empty/").status, 403)
    s.same("a file as a folder", s.get("/a.txt/").status, 404)
    s.same("below a file", s.get("/a.txt/x").status, 404)


@test()
def nothing_outside_is_given_away(s):
    for path in ("/../secret", "/sub%20dir/../../secret", "/%2e%2e/secret", "/%2E%2e/secret",
                 "/..%2fsecret", "/..%5csecret", "/....//secret", "/outside", "/absolute",
                 "/up/secret", "/up/root-too/secret", "/sub%20dir/../../root-too/secret",
                 "/.%00./secret", "/%2e%2e%2fsecret", "//../secret", "/../root-too/secret",
                 f"/{s.folder}/secret", f"//{s.folder}/secret", "/dangling", "/fifo",
                 "/a.txt%00.html"):
        answer = s.get(path)
        s.expect(f"{path}: status {answer.status}", answer.status in (400, 403, 404))
        s.expect(f"{path} gave it away", SECRET.encode() not in answer.body)
    s.same("a link that stays inside", s.get("/inside").body, b"0123456789")
    if os.getuid() != 0:
        s.same("a file that is closed to us", s.get("/closed").status, 403)


# --- requests --------------------------------------------------------------------------------


@test()
def wrong_requests_are_answered_clearly(s):
    host, close = "Host: x\r\n", "Connection: close\r\n"
    for request, status in (
        ("nonsense\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{host}{host}\r\n", 400),
        (f"GET a.txt HTTP/1.1\r\n{host}{close}\r\n", 400),
        (f"GET /%zz HTTP/1.1\r\n{host}{close}\r\n", 400),
        (f"GET /a\rb HTTP/1.1\r\n{host}\r\n", 400),
        (f"GET / HTTP/1.1\r\n{host}A : b\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{host} folded\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{host}Content-Length: x\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{host}A: \0\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{host}Content-Length: 4\r\n\r\nbody", 405),
        (f"DELETE / HTTP/1.1\r\n{host}{close}\r\n", 405),
        (f"BREW / HTTP/1.1\r\n{host}{close}\r\n", 501),
        (f"GET / HTTP/2.0\r\n{host}\r\n", 505),
        (f"GET /{'x' * 5000} HTTP/1.1\r\n{host}\r\n", 414),
        (f"GET /{'x' * 50000} HTTP/1.1\r\n{host}\r\n", 414),
        (f"GET / HTTP/1.1\r\n{host}A: {'x' * 50000}\r\n\r\n", 431),
        (f"GET / HTTP/1.1\r\n{host}" + "A: b\r\n" * 200 + "\r\n", 431),
        ("\r\n\r\n", 400),
    ):
        answer = Answer(s.raw(request))
        s.same(f"{request[:60]!r}", answer.status, status)
        s.expect(f"{request[:60]!r} has a body", answer.body)
    s.same("Allow", Answer(s.raw(f"PUT / HTTP/1.1\r\n{host}{close}\r\n"))["Allow"],
           "GET, HEAD")


@test()
def a_connection_serves_many_requests(s):
    with s.connect() as connection:
        stream = connection.makefile("rb")
        for _ in range(50):
            connection.sendall(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n")
            while stream.readline() != b"\r\n":
                pass
            s.same("body", stream.read(10), b"0123456789")
    old = Answer(s.raw("GET /a.txt HTTP/1.0\r\n\r\n"))
    s.same("HTTP/1.0 closes", (old.status, old["Connection"]), (200, "close"))


@test("--latency-ms", "20")
def requests_sent_ahead_are_answered_in_order(s):
    ask = "".join(f"GET /{p} HTTP/1.1\r\nHost: x\r\n\r\n" for p in ("a.txt", "nowhere", "", "none"))
    got = s.raw(ask + "GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    s.same("statuses", re.findall(rb"HTTP/1.1 (\d+)", got), [b"200", b"404", b"200", b"200", b"200"])
    s.expect("the order of bodies", re.search(
        rb"0123456789.*404 Not Found\n.*<title>home</title>.*Length: 0\r\n\r\n.*0123456789$", got,
        re.S))


@test("--latency-ms", "300")
def many_wait_at_the_same_time(s):
    start = time.monotonic()
    with ThreadPoolExecutor(50) as pool:
        bodies = set(pool.map(lambda _: s.get("/a.txt").body, range(50)))
    took = time.monotonic() - start
    s.same("bodies", bodies, {b"0123456789"})
    s.expect(f"50 at once took {took:.2f} s", 0.3 <= took < 2)


# --- slow clients, and the end ---------------------------------------------------------------


@test("--patience-ms", "500")
def slow_clients_are_not_waited_for(s):
    with s.connect() as slow, s.connect() as idle, s.connect(buffer=4096) as lazy:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        lazy.sendall(b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        s.same("a quick one meanwhile", s.get("/a.txt").status, 200)
        s.same("half a request", Answer(slow.makefile("rb").read()).status, 408)
        s.same("no request", idle.makefile("rb").read(), b"")
        time.sleep(1)  # it takes nothing for longer than the server has patience
        try:
            got = len(lazy.makefile("rb").read())
        except ConnectionError:
            got = 0
        s.expect("one that takes nothing got all", got < len(BIG))
    with s.connect() as connection:
        for byte in b"GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            connection.sendall(bytes([byte]))
        s.same("byte by byte", Answer(connection.makefile("rb").read()).body, b"0123456789")


@test("--latency-ms", "400")
def stopping_finishes_what_is_in_flight(s):
    with s.connect() as idle, ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(s.get, "/big.bin") for _ in range(10)]
        time.sleep(0.2)  # all have been read, which nothing tells us, and none answered
        start = time.monotonic()
        status, out = s.stop(signal.SIGINT)
        took = time.monotonic() - start
        s.same("bodies", [a.result().body == BIG for a in answers], [True] * 10)
        s.same("an idle connection is closed", idle.makefile("rb").read(), b"")
    s.same("status", status, 0)
    s.expect(f"it took {took:.1f} s", took < 3)
    s.expect(f"a line for each request: {out}", out.count("GET /big.bin 200 10240000\n") == 10)


@test()
def a_response_that_nobody_takes_ends_with_the_grace(s):
    with s.connect(buffer=4096) as lazy:
        lazy.sendall(b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        lazy.recv(1, socket.MSG_PEEK)  # the response has begun
        start = time.monotonic()
        status, _ = s.stop()
        s.expect("it took too long", time.monotonic() - start < 8)
        s.same("status", status, 0)


@test()
def wrong_usage_is_one_line(s):
    for args, status, part in (([], 2, "DIR"), (["--what", "."], 2, "--what"), (["-Z"], 2, "-Z"),
                               (["--port", "x", "."], 2, "x"), (["a", "b"], 2, "b"),
                               (["--port", str(s.port), "."], 1, "127.0.0.1"),
                               (["--bind", "somewhere", "."], 1, "somewhere"),
                               (["/no/such/folder"], 1, "/no/such/folder"),
                               (["--port", "0", "--port-file", "/no/such/file", "."], 1,
                                "/no/such/file")):
        done = subprocess.run([SERVE, *args], text=True, capture_output=True, timeout=20)
        s.same(f"status of {args}", done.returncode, status)
        s.expect(f"{args}: {done.stderr}", re.fullmatch(
            f"hocket-serve: .*{re.escape(part)}.*\n", done.stderr))


def run(function, options, poller):
    with tempfile.TemporaryDirectory(prefix="hocket-serve-") as folder:
        server = Server(Path(folder), poller, options)
        try:
            function(server)
            status, out = server.stop()
            server.expect(f"its end: {status}, {out[-500:]}", status == 0)
        except Exception as error:  # one test's trouble is not the others'
            server.problems.append(f"{type(error).__name__}: {error}")
            server.process.kill()
        return server.problems


def has_uring():
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([SERVE, "--bind", "nowhere", folder], capture_output=True,
                              env=dict(os.environ, HOCKET_POLLER="uring"), text=True)
        return "nowhere" in done.stderr


def main():
    if not SERVE.exists():
        skip("hocket-serve", "not built")
        finish()
    wanted = [t for t in tests if len(sys.argv) < 2 or t[0].__name__ in sys.argv[1:]]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [(function, poller, pool.submit(run, function, options, poller))
                   for poller in (["uring"] if has_uring() else []) + ["epoll"]
                   for function, options in wanted]
        for function, poller, result in running:
            check(f"{function.__name__} ({poller})", result.result())
    finish()


if __name__ == "__main__":
    main()
