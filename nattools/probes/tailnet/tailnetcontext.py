"""What the probes of tailnets are given."""

from __future__ import annotations

import msgspec

from nattools.model.endpoint import Family
from nattools.net.base import Network
from nattools.probes.probe import Recorder
from nattools.probes.relay.inflight import InFlightLimit


class TailnetContext(msgspec.Struct, frozen=True):
    """`families`: those with a route. `pinned`: the SHA-256 of a server's certificate, by its name, where no
    authority vouches for it. `relays`: those that are being tried, each with its region's name, for several
    tailnets may have the same."""

    network: Network
    recorder: Recorder
    flight: InFlightLimit
    families: tuple[Family, ...]
    interface: str | None = None
    pinned: dict[str, str] = {}
    relays: set[tuple[str, str]] = msgspec.field(default_factory=set)
