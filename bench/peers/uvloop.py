#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The peer uvloop: echo with an asyncio.Protocol, its fastest interface."""

import asyncio
import resource
import sys

import uvloop


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.write = transport.write

    def data_received(self, data):
        self.write(data)


async def echo_server():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    end = loop.create_future()
    # Waits for the end of standard input, which the harness closes.
    loop.add_reader(0, lambda: end.done() or end.set_result(None))
    await end
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print("cpu_ns", int((usage.ru_utime + usage.ru_stime) * 1e9), flush=True)


def main():
    if sys.argv[1:2] != ["echo-server"]:
        return 77
    uvloop.install()
    asyncio.run(echo_server())
    return 0


if __name__ == "__main__":
    sys.exit(main())
