"""What happens in a scenario while it is looked at: the types of its `[[event]]` tables, and their order."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from typing import Any, Literal, NamedTuple

import msgspec

EventKind = Literal[
    "link-down", "link-up", "moved", "table-lost", "restarted", "behaves", "new-address", "server-gone",
    "server-back",
]  # fmt: skip
DAY_S = 86400.0


class EventSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happens `at_s` seconds after the scenario came up, and again every `every_s`.

    `node`: to which one. `what`: "link-down" and "link-up" (its cable is out; of a router, the one to the
    outside), "moved" (a host goes to the network of the router `to`, one of those that it is behind, and has
    no other way from then on), "table-lost" (a NAT or firewall forgets all mappings and flows), "restarted"
    (the same, and for `down_s` nothing passes), "behaves" (a NAT does otherwise from then on: `now` has the
    keys that change), "new-address" (a NAT with `pooling = "in-turn"` has the next of its outside addresses),
    "server-gone", "server-back".
    """

    at_s: float
    node: str
    what: EventKind
    every_s: float | None = None
    to: str | None = None
    down_s: float = 5.0
    now: dict[str, Any] = {}


class ScheduledEvent(NamedTuple):
    """An event and when it happens, in seconds since the scenario came up."""

    at_s: float
    number: int
    spec: EventSpec

    @property
    def text(self) -> str:
        """In a few words."""
        spec = self.spec
        more = f" to {spec.to}" if spec.what == "moved" else ""
        if spec.what == "behaves":
            more = f" as {', '.join(f'{key} {value}' for key, value in spec.now.items())}"
        return f"{spec.node}: {spec.what.replace('-', ' ')}{more}"


def moments(events: tuple[EventSpec, ...]) -> Iterator[ScheduledEvent]:
    """All events in their order, without end if one of them is repeated."""
    return merge(*(_repeated(number, spec) for number, spec in enumerate(events)))


def _repeated(number: int, spec: EventSpec) -> Iterator[ScheduledEvent]:
    at_s = spec.at_s
    yield ScheduledEvent(at_s, number, spec)
    while spec.every_s is not None:
        at_s += spec.every_s
        yield ScheduledEvent(at_s, number, spec)
