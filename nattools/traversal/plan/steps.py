"""What a plan is made of: steps, and what each side sends in them."""

from __future__ import annotations

import random
from typing import Final, Literal

import msgspec

from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.punch import Strategy
from nattools.model.statement import Statement

PortChoice = Literal["seen", "next", "pool"]
LOWEST_PORT: Final = 1024


class SendSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """What one side sends in a step, and when. Both sides begin at the same agreed moment.

    `sockets` send to `count` ports of the peer each: "seen": the one that it was seen with; "next": those
    that its NAT gives next, `ahead` allocations after the last one seen and on, `step` apart; "pool":
    drawn without replacement from `pool`, with `mask` (mask, value) of ports with `port & mask == value`.
    `fresh`: from new sockets, else from the one whose external port the peer was told. `sources`: the
    local ports to bind, None for any. `ttl`: the first pass goes out with this TTL, so that it opens the
    own NAT and never reaches the peer's; None: with the ordinary one. A pass follows `hold_s` after the
    start, of the first one if `ttl` is None, then one every `gap_s`; `passes` in all. At most
    `rate_per_s` packets a second.
    """

    sockets: int = 1
    ports: PortChoice = "seen"
    count: int = 1
    ahead: int = 1
    step: int = 1
    pool: tuple[int, int] | None = None
    mask: tuple[int, int] | None = None
    fresh: bool = False
    sources: tuple[int, int] | None = None
    ttl: int | None = None
    hold_s: float = 0.0
    gap_s: float = 0.25
    passes: int = 6
    rate_per_s: float = 400.0

    @property
    def packets(self) -> int:
        """The most that it sends by itself; answers to the peer's authentic packets come on top."""
        return self.sockets * self.count * self.passes

    @property
    def seconds(self) -> float:
        """How long it sends."""
        each = self.sockets * self.count / self.rate_per_s
        waits = max(0, self.passes - 1) * self.gap_s if self.passes > 1 else 0.0
        return self.hold_s + each * self.passes + waits

    def target_ports(self, peer: Endpoint, draw: random.Random) -> list[int]:
        """The ports of the peer to send to, in this order."""
        if self.ports == "seen":
            return [peer.port]
        if self.ports == "pool":
            low, high = self.pool or (LOWEST_PORT, 65535)
            mask, value = self.mask or (0, 0)
            ports = [port for port in range(low, high + 1) if port & mask == value]
            return draw.sample(ports, min(self.count, len(ports)))
        return [_ahead(peer.port, self.step * (self.ahead + index)) for index in range(self.count)]


def _ahead(port: int, distance: int) -> int:
    """So much further; counters begin again at 1024, as most do."""
    return LOWEST_PORT + (port - LOWEST_PORT + distance) % (65536 - LOWEST_PORT)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy, with the send schedule of each side.

    `odds` in 0..1 that it connects if the measured behaviour holds (None: it is for when something else was
    missed); `packets`: the most that each side sends; `seconds`: the longest that it takes. `reason`: why
    it should work. The relay has no schedules."""

    strategy: Strategy
    transport: Transport
    reason: Statement
    odds: float | None
    family: Family = 4
    schedules: tuple[SendSchedule, SendSchedule] | None = None
    packets: tuple[int, int] | None = None
    seconds: float | None = None

    @property
    def relayed(self) -> bool:
        """Does somebody else pass everything on?"""
        return self.strategy == "relay"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`steps` in the order in which to try them; the last is the relay unless the first is certain.

    `path` is what the steps lead to. `unknown`: what was not measured and would be needed. `privilege`: what
    would change if a process could bind ports below 1024."""

    path: Literal["direct", "relay", "unknown"]
    steps: tuple[Step, ...] = ()
    family: Family | None = None
    unknown: Statement | None = None
    privilege: Statement | None = None

    @property
    def direct_steps(self) -> tuple[Step, ...]:
        """Without the relay."""
        return tuple(step for step in self.steps if not step.relayed)

    @property
    def odds(self) -> float | None:
        """The probability that one of the direct steps connects; None: of none is it known."""
        if self.direct_steps and all(step.odds is None for step in self.direct_steps):
            return None
        missed = 1.0
        for step in self.direct_steps:
            if step.odds is not None:
                missed *= 1.0 - step.odds
        return 1.0 - missed
