"""Descriptors that another program may have made non-blocking: some do so to what they share with those that
they start, and a terminal's or a pipe's mark is the same for all who have it open. They are waited for, and
left as they are."""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False  # as typing's, which takes 2 ms that `--version` does not need
if TYPE_CHECKING:
    from typing import Any

_CHUNK = 65_536


def read_some(descriptor: int, most: int) -> bytes:
    """As os.read, when something is there; b"" at the end."""
    while True:
        try:
            return os.read(descriptor, most)
        except BlockingIOError:
            _await(descriptor, writing=False)


def write_some(descriptor: int, data: bytes | memoryview) -> int:
    """As os.write, when there is room; how much of it was written."""
    while True:
        try:
            return os.write(descriptor, data)
        except BlockingIOError:
            _await(descriptor, writing=True)


def standard_input_bytes(most: int) -> bytes:
    """All of standard input, or so many bytes of it; b"" where it is closed."""
    if sys.stdin is None:
        return b""
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # it is no file of the system's
        return sys.stdin.buffer.read(most)
    data = bytearray()
    while len(data) < most and (more := read_some(descriptor, min(_CHUNK, most - len(data)))):
        data += more
    return bytes(data)


class PatientFile(io.FileIO):
    """For writing; a write is over when all is written."""

    def write(self, data: Any, /) -> int:
        """As FileIO's."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            written = super().write(view[done:])
            if written is None:  # it would have blocked
                _await(self.fileno(), writing=True)
            else:
                done += written
        return done


def _await(descriptor: int, *, writing: bool) -> None:
    import select

    ready = select.poll()  # select(2) knows no descriptor beyond 1,023
    ready.register(descriptor, select.POLLOUT if writing else select.POLLIN)
    ready.poll()
