"""What a probe is given: the network, the record of observations, and what is known of the path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from nattools.model.endpoint import Family
from nattools.model.observation import AnyObservation
from nattools.net.base import Network
from nattools.probes.estimate import PathEstimate


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


Progress = Callable[[str, float | None], None]


def _quiet(_text: str, _fraction: float | None) -> None:
    return None


class ProbeContext(msgspec.Struct):
    """Handed to every probe of one address family.

    `source_host` is the own address that packets to the servers leave from (None: a socket's own word for
    it). `loss_known` is set once the other probes of the lane are done and the path's loss is as well
    known as it will be. `prediction_lock` is held by who predicts the NAT's next port, over UDP or TCP.
    `progress(text, fraction)` tells a waiting person what is going on."""

    network: Network
    recorder: Recorder
    estimate: PathEstimate
    family: Family
    interface: str | None = None
    source_host: str | None = None
    loss_known: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    prediction_lock: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)
    progress: Progress = _quiet
