"""What every probe is given: the network, the record, the servers, and what is known of the path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.observation import AnyObservation
from nattools.net.base import Network
from nattools.probes.pace import Pace


class Recorder:
    """The observations of one measurement, in the order in which they were made."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.observations: list[AnyObservation] = []

    def stamp(self, at: float | None = None) -> tuple[int, float]:
        """The next id, and `at` (loop time; now if None) as seconds since the start."""
        moment = asyncio.get_running_loop().time() if at is None else at
        return len(self.observations) + 1, round(moment - self.started, 6)

    def add(self, observation: AnyObservation) -> None:
        """Keep it. Its id must be the one that `stamp` gave, with nothing added in between."""
        self.observations.append(observation)


@dataclass(slots=True)
class Target:
    """A server address that answered. `other` is its OTHER-ADDRESS if that truly is another address or port;
    `rtt_s` the first round trip; `local_host` the own address that the question left from."""

    uri: str
    endpoint: Endpoint
    transport: Transport
    mapped: Endpoint | None
    rtt_s: float
    other: Endpoint | None = None
    nattools: bool = False
    dial_back_tcp: bool = False
    local_host: str | None = None

    @property
    def family(self) -> Family:
        """Of the server's address."""
        return self.endpoint.family

    @property
    def two_addresses(self) -> bool:
        """Can it answer from another IP address (RFC 5780 6)?"""
        return self.other is not None and self.other.host != self.endpoint.host

    def corners(self) -> list[Endpoint]:
        """Its endpoints: both addresses with both ports where it has them (RFC 5780 4.3's order)."""
        if self.other is None:
            return [self.endpoint]
        both = [
            self.endpoint,
            Endpoint(self.other.host, self.endpoint.port),
            self.other,
            Endpoint(self.endpoint.host, self.other.port),
        ]
        return list(dict.fromkeys(both))


Progress = Callable[[str, float | None], None]


def _quiet(_text: str, _fraction: float | None) -> None:
    return None


@dataclass(slots=True)
class ProbeContext:
    """Handed to every probe of one address family.

    `progress(text, fraction)` tells a waiting person what is going on."""

    network: Network
    recorder: Recorder
    pace: Pace
    family: Family
    interface: str | None = None
    progress: Progress = field(default=_quiet)
