# SPDX-License-Identifier: MIT
"""A web server that misbehaves on purpose, for the tests of the crawler."""

import socket
import threading
import time


def page(*links, title="page", more=""):
    anchors = "".join(f'<a href="{link}">x</a>\n' for link in links)
    return f"<html><head><title>{title}</title></head><body>{anchors}{more}</body></html>"


def response(body, status="200 OK", kind="text/html; charset=utf-8", headers=()):
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    if kind:
        lines.append(f"Content-Type: {kind}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Site:
    """
    Serves `pages`: path -> what to answer, which is HTML as text, a whole response as bytes,
    or a function of a Talk. Unknown paths are 404. Each connection has a thread.
    """

    def __init__(self, pages, delay=0.0):
        self.pages = pages
        self.delay = delay
        self.requests = []  # paths, in the order in which they came
        self.agents = set()
        self.connections = 0
        self.lock = threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open = False
        try:
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        except OSError:
            pass
        self.socket.close()

    def _accept(self):
        while self.open:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                stream = connection.makefile("rb")
                while self.open and self._serve_one(connection, stream):
                    pass
            except OSError:
                pass

    def _serve_one(self, connection, stream):
        first = stream.readline().decode("latin-1").split()
        if len(first) < 2:
            return False
        for line in iter(stream.readline, b"\r\n"):
            if not line:
                return False
            name, _, value = line.decode("latin-1").partition(":")
            if name.lower() == "user-agent":
                self.agents.add(value.strip())
        path = first[1]
        with self.lock:
            self.requests.append(path)
        if self.delay:
            time.sleep(self.delay)
        answer = self.pages.get(path)
        if answer is None:
            answer = response("gone", "404 Not Found")
        if callable(answer):
            return answer(Talk(connection, self))
        connection.sendall(response(answer) if isinstance(answer, str) else answer)
        return True

    def count(self, path):
        with self.lock:
            return self.requests.count(path)


class Talk:
    """What a page that is a function gets. It returns true to keep the connection."""

    def __init__(self, connection, site):
        self.connection = connection
        self.site = site

    def send(self, *parts):
        for part in parts:
            self.connection.sendall(part.encode() if isinstance(part, str) else part)


# --- ways to misbehave ---------------------------------------------------------------------


def say(*parts, keep=False):
    """Sends the parts as they are, and closes."""

    def answer(talk):
        talk.send(*parts)
        return keep

    return answer


def endless(head, part):
    """Sends `part` again and again until the other side has had enough."""

    def answer(talk):
        talk.send(head)
        while talk.site.open:
            talk.send(part)
        return False

    return answer


def hang(talk):
    """Never answers."""
    talk.connection.settimeout(30)
    talk.connection.recv(1)
    return False


def redirect(target, status="302 Found"):
    return response("moved", status, headers=[f"Location: {target}"])


def chunked(*chunks):
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = "".join(f"{len(c):x};x=1\r\n{c}\r\n" for c in chunks)
    return (head + body + "0\r\nTrailer: yes\r\n\r\n").encode()
