"""One end of a plain TCP transfer: `send HOST PORT BYTES`, or `receive PORT BYTES [HOST PORT]`.

With HOST PORT the receiver opens its own NAT with a connection to there first. It says "ready", and at the
end the seconds since the first byte.
"""

from __future__ import annotations

import socket
import sys
from time import perf_counter

PIECE = bytes(1 << 18)


def send(host: str, port: int, size: int) -> None:
    """Send so many bytes, and wait until the other end has taken them."""
    with socket.create_connection((host, port)) as stream:
        left = size
        while left:
            left -= stream.send(PIECE[:left])
        stream.shutdown(socket.SHUT_WR)
        stream.recv(1)


def receive(port: int, size: int, opening: tuple[str, int] | None) -> None:
    """Take so many bytes of one connection."""
    if opening is not None:
        _bound(port).connect(opening)
    listener = _bound(port)
    listener.listen()
    print("ready", flush=True)
    stream, _ = listener.accept()
    got, began, buffer = 0, 0.0, bytearray(1 << 18)
    while count := stream.recv_into(buffer):
        began = began or perf_counter()
        got += count
    assert got == size, got
    print(perf_counter() - began, flush=True)
    stream.close()


def _bound(port: int) -> socket.socket:
    """Several may have the port: one calls, the other listens."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("0.0.0.0", port))
    return made


def main(arguments: list[str]) -> None:
    what, *rest = arguments
    if what == "send":
        send(rest[0], int(rest[1]), int(rest[2]))
    else:
        receive(int(rest[0]), int(rest[1]), (rest[2], int(rest[3])) if rest[2:] else None)


if __name__ == "__main__":
    main(sys.argv[1:])
