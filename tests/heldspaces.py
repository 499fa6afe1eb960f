"""Network namespaces that a test holds: as long as it does, nobody else's next one gets their numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def held(paths: Iterable[str]) -> Iterator[set[int]]:
    """These, as `/proc/PID/ns/net`, until the end of the block; their numbers."""
    with ExitStack() as stack:
        found = set()
        for path in paths:
            space = os.open(path, os.O_RDONLY)
            stack.callback(os.close, space)
            found.add(os.fstat(space).st_ino)
        yield found


def processes_in(spaces: set[int]) -> set[int]:
    """The ids of all processes in these namespaces."""
    found = set()
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.stat(f"/proc/{entry}/ns/net").st_ino in spaces:
                found.add(int(entry))
        except OSError:
            continue
    return found
