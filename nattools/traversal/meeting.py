"""What a strategy is told of the meeting, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import UdpSocket


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two machines that know of each other and begin at an agreed moment.

    `secret`: known to these two alone; it authenticates every packet. `leads`: exactly one of them decides
    which of several working paths is used. `socket`: ours, whose outside port the peer was told; a strategy
    that does not need it leaves it open. `peer`: where the peer was seen, by a socket of its own that a
    strategy may use; a NAT that gives ports in sequence gave that port last, one that keeps inside ports is
    going to give that socket's port.
    """

    secret: bytes
    leads: bool
    socket: UdpSocket
    peer: Endpoint

    @property
    def family(self) -> Family:
        """Of all addresses in it."""
        return self.peer.family


@dataclass(slots=True)
class Counts:
    """Packets: `sent` by the strategy's own plan, `answers` and repeats to packets of the peer that were
    authentic, `seen` authentic ones, `refused` other ones."""

    sent: int = 0
    answers: int = 0
    seen: int = 0
    refused: int = 0
    unsent: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`socket` is connected to `remote`, and goes on answering the peer's last checks until its handler is
    replaced; or both are None and `reason` says at which point it ended. `elapsed_s` since the start."""

    socket: UdpSocket | None
    remote: Endpoint | None
    reason: str
    elapsed_s: float
    counts: Counts = field(default_factory=Counts)

    @property
    def connected(self) -> bool:
        """Is there a path that works both ways?"""
        return self.socket is not None
