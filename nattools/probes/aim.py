"""Where a hole is to be punched: with which TTL, and which outside port the other side is to write to."""

from __future__ import annotations

import msgspec

from nattools.model.endpoint import Endpoint, Transport
from nattools.model.observation import PunchTrial
from nattools.probes.context import ProbeContext
from nattools.probes.target import Target


class Aim(msgspec.Struct, frozen=True):
    """`ttls`: what may bring a packet through the own outermost NAT and not to the other side, the likeliest
    first; none: that is not known, or need not be. `sure`: the first is known to pass. `step`: a new
    destination's outside port is so far behind the last one that was given out (0: all have the same)."""

    ttls: tuple[int, ...] = ()
    sure: bool = False
    step: int = 0

    @property
    def foretells(self) -> bool:
        """Is the port a guess, which others may spoil by taking it?"""
        return self.step != 0

    def ports(self, told: int, count: int = 1) -> tuple[int, ...]:
        """The outside ports to write to, where `told` is the last that was given out: up to `count` if they
        are foretold."""
        if not self.foretells:
            return (told,)
        ahead = (told + self.step * (1 + more) for more in range(count))
        return tuple(port for port in ahead if 0 < port < 65536) or (told,)


class Scatter(msgspec.Struct, frozen=True):
    """How random ports are to be met: `sockets` own ports, and up to `probes` tries among the ports of `pool`
    (lowest and highest), after `first` of which the own ports are opened once more. `per_s`: packets a second
    at most. `ttl`: what may bring a packet through the own outermost NAT and not further (None: not known).
    """

    pool: tuple[int, int]
    sockets: int
    probes: int
    first: int
    per_s: float
    ttl: int | None = None


def record_untried(
    context: ProbeContext, target: Target, towards: Endpoint, transport: Transport, why: str
) -> None:
    """Put on record that no hole was punched, and why."""
    number, at_s = context.recorder.stamp()
    context.recorder.add(
        PunchTrial(
            id=number,
            probe="punch",
            at_s=at_s,
            transport=transport,
            family=context.family,
            asked=str(target.endpoint),
            towards=str(towards),
            outcome="not tried",
            detail=why,
        )
    )
