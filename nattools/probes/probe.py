"""What a probe is, and what it is given.

A probe puts one question to the network and records observations; it judges nothing. It is an object that
says what it needs, what it waits for and what it is called while it runs: `engine.plan` decides by that which
probes run with which servers, and `engine.run` runs them side by side.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar, Protocol, TypeVar

import msgspec

from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.nat import Nat
from nattools.model.observation import AnyObservation, Gap
from nattools.net.base import Capability, Network
from nattools.probes.estimate import PathEstimate
from nattools.probes.target import Lane, Target

logger = logging.getLogger(__name__)
SomeObservation = TypeVar("SomeObservation", bound=AnyObservation)


class Recorder:
    """The observations of one measurement, in the order in which they were made."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.observations: list[AnyObservation] = []
        self._logs = logger.isEnabledFor(logging.DEBUG)

    def add(self, observation: SomeObservation, at: float | None = None) -> SomeObservation:
        """Keep an observation made at `at` (loop time; now if None); returns it with its id and its time in
        seconds since the start."""
        moment = asyncio.get_running_loop().time() if at is None else at
        kept = msgspec.structs.replace(
            observation, id=len(self.observations) + 1, at_s=round(moment - self.started, 6)
        )
        self.observations.append(kept)
        if self._logs:
            logger.debug("%s", kept)
        return kept


class ProbeOptions(Protocol):
    """What a probe may look at of the measurement's options (`engine.measureoptions.MeasureOptions`)."""

    @property
    def command(self) -> str:
        """Which command measures: "diagnose", "nat" and so on."""

    @property
    def subject(self) -> tuple[Family, ...]:
        """The families that the command is about, beside which others may be measured."""

    @property
    def lifetime(self) -> bool:
        """Is the binding lifetime to be measured?"""

    @property
    def max_lifetime_s(self) -> float:
        """Up to how many seconds of idleness."""

    @property
    def mtu(self) -> bool:
        """Is the path MTU to be measured?"""

    @property
    def cross_check(self) -> bool:
        """Are other programs to be asked for a second opinion?"""


Progress = Callable[[str, float | None], None]
NatFindings = Mapping[tuple[Transport, Family], Nat]


def _quiet(_text: str, _fraction: float | None) -> None:
    return None


class ProbeContext(msgspec.Struct):
    """Handed to every probe of one address family.

    `source_host` is the own address that packets to the servers leave from (None: the socket knows it).
    `loss_known` is set once the other probes of the lane are done and the path's loss is as well known as it
    will be. `prediction_lock` is held by who predicts the NAT's next port, over UDP or TCP. `findings()` is
    what the observations mean so far. `progress(text, fraction)` tells a waiting person what is going on."""

    network: Network
    recorder: Recorder
    estimate: PathEstimate
    family: Family
    options: ProbeOptions
    interface: str | None = None
    source_host: str | None = None
    loss_known: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    prediction_lock: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)
    findings: Callable[[], NatFindings] = dict
    progress: Progress = _quiet


class MachineContext(msgspec.Struct):
    """Handed to every probe that needs no lane. `server_address(family)` waits until the servers' names are
    resolved; None: there is no server of that family."""

    network: Network
    recorder: Recorder
    families: tuple[Family, ...]
    options: ProbeOptions
    server_address: Callable[[Family], Awaitable[Endpoint | None]]
    progress: Progress = _quiet


EVERY_COMMAND = frozenset({"diagnose", "nat", "ipv6", "punch", "pwnat", "libp2p", "tailscale"})
"""All that measure with servers."""


class Probe(ABC):
    """`name` is unique, kebab-case; `text` what a waiting person reads. `commands`: which commands run it.

    `capability`: what the network must be able to do. Where it is missing, `record_missing` is called with
    the reason instead of `run`: it notes a gap with `question` and `settle` (what would answer it).
    """

    name: ClassVar[str]
    text: ClassVar[str]
    commands: ClassVar[frozenset[str]] = EVERY_COMMAND - {"ipv6"}
    capability: ClassVar[Capability | None] = None
    question: ClassVar[str] = ""
    settle: ClassVar[str] = ""

    def wanted(self, options: ProbeOptions) -> bool:
        """Is it to run, as far as the options go? Pure."""
        return options.command in self.commands


class MachineProbe(Probe):
    """A probe of this machine and its own network, without a server lane: it runs once, beside all others."""

    @abstractmethod
    async def run(self, context: MachineContext) -> None:
        """Ask, and record what happens. A network failure is an observation."""

    async def record_missing(self, context: MachineContext, reason: str) -> None:
        """The network cannot do what it takes."""
        context.recorder.add(Gap(probe=self.name, question=self.question, reason=reason, settle=self.settle))


class LaneProbe(Probe):
    """A probe that is put to servers over one transport; it runs in the lane of each address family.

    `after`: the probes of its lane that it builds on. `tells_loss`: the lane's loss counts as known once all
    such probes are done; leave it off for those that wait for that, or take long. `last`: it runs alone,
    when all else is over.
    """

    transport: ClassVar[Transport]
    after: ClassVar[tuple[str, ...]] = ()
    tells_loss: ClassVar[bool] = True
    last: ClassVar[bool] = False

    def over(self, options: ProbeOptions, family: Family) -> bool:
        """Is it to run over this family? Pure."""
        return family in options.subject

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """Which of these it is put to, most able first; none: it cannot be asked. Pure."""
        return ranked[:1]

    def gap(self, lane: Lane, targets: Sequence[Target]) -> Gap | None:
        """What is to be noted where these servers cannot answer it. Pure."""
        return None

    @abstractmethod
    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Ask, and record what happens. A network failure is an observation."""

    async def record_missing(self, context: ProbeContext, targets: Sequence[Target], reason: str) -> None:
        """The network cannot do what it takes."""
        context.recorder.add(Gap(probe=self.name, question=self.question, reason=reason, settle=self.settle))
