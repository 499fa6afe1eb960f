"""A bounded load of Binding requests, and what a server's process pays for it."""

from __future__ import annotations

import os
import selectors
import socket
import time
from pathlib import Path
from typing import NamedTuple

_SOCKETS = 4
_WINDOW = 32  # requests under way per socket: no kernel buffer overflows
_PATIENCE_S = 0.5
_REQUEST = bytes.fromhex("0001 0000 2112a442") + b"nattoolsload"


class Load(NamedTuple):
    """`answered` of `sent` requests in `wall_s` seconds, `cpu_s` of them spent by the server's process."""

    sent: int
    answered: int
    wall_s: float
    cpu_s: float

    @property
    def per_cpu_second(self) -> float:
        """Answers a second of one core."""
        return self.answered / self.cpu_s

    @property
    def per_second(self) -> float:
        """Answers a second of the clock, the asking process's share of the machine included."""
        return self.answered / self.wall_s


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process so far (proc(5), stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def put(server: tuple[str, int], pid: int, total: int) -> Load:
    """Ask `total` times, a window after the other; what is not answered in time is not asked again."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(_SOCKETS)]
    try:
        for each in sockets:
            each.connect(server)
            each.setblocking(False)
        began, cpu = time.perf_counter(), cpu_seconds(pid)
        sent = answered = 0
        while sent < total:
            for each in sockets:
                for _ in range(_WINDOW):
                    each.send(_REQUEST)
            sent += _SOCKETS * _WINDOW
            answered += sum(_collect(each) for each in sockets)
        return Load(sent, answered, time.perf_counter() - began, cpu_seconds(pid) - cpu)
    finally:
        for each in sockets:
            each.close()


def _collect(asker: socket.socket) -> int:
    """How many of a window's answers come."""
    count = 0
    with selectors.DefaultSelector() as selector:
        selector.register(asker, selectors.EVENT_READ)
        while count < _WINDOW and selector.select(_PATIENCE_S):
            try:
                while count < _WINDOW:
                    asker.recv(2048)
                    count += 1
            except BlockingIOError:
                pass
    return count
