"""What passed through a network, in memory: the evidence behind a report, and its packet capture."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.endpoint import Endpoint
from nattools.net.base import (
    IcmpError,
)

EventKind = Literal[
    "datagram",
    "icmp",
    "connect",  # a TCP connection attempt; `note` says how it failed
    "established",  # `outgoing`: we opened it
    "data",
    "end",  # no more bytes from this side
    "abort",
]

LIMIT_BYTES = 32 << 20
_EVENT_BYTES = 200  # roughly what an event takes beside its data


class Event(msgspec.Struct, frozen=True):
    """Something sent (`outgoing`) or received. `at_s` is the event loop's time.

    `connection` numbers TCP connections and attempts from 1; it is 0 for UDP. `ttl` is None where the
    system's own was used, or what came is not known. `note` says why something failed: a datagram with a
    note did not leave."""

    at_s: float
    kind: EventKind
    outgoing: bool
    local: Endpoint
    remote: Endpoint
    data: bytes = b""
    ttl: int | None = None
    connection: int = 0
    error: IcmpError | None = None
    note: str = ""

    def __str__(self) -> str:
        way = "->" if self.outgoing else "<-"
        what = f"{self.kind}, {len(self.data)} bytes" if self.data else self.kind
        if self.error is not None:
            what = f"{self.error.kind} from {self.error.offender or 'unknown'}"
        ttl = "" if self.ttl is None else f", TTL {self.ttl}"
        note = f" ({self.note})" if self.note else ""
        return f"{self.local} {way} {self.remote}  {what}{ttl}{note}"


class Trace:
    """What was recorded, in memory and bounded: past `limit_bytes` nothing more is kept, `dropped` counts it.

    `began_s` is the event loop's time when the run began; `names` holds the addresses that names gave."""

    def __init__(self, began_s: float, limit_bytes: int = LIMIT_BYTES) -> None:
        self.began_s = began_s
        self.events: list[Event] = []
        self.names: dict[str, tuple[str, ...]] = {}
        self.dropped = 0
        self._room = limit_bytes
        self._connections = 0

    def add(self, event: Event) -> None:
        """Keep an event if there is room."""
        size = _EVENT_BYTES + len(event.data)
        if size > self._room:
            self._room = 0  # a smaller later event would make a trace with holes
            self.dropped += 1
            return
        self._room -= size
        self.events.append(event)

    def new_connection(self) -> int:
        """A number for a TCP connection or attempt."""
        self._connections += 1
        return self._connections
