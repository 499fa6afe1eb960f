"""A path that loses large packets and says nothing of it."""

from __future__ import annotations

from collections.abc import Callable

from piped import pipe_through

from nattools.lab.sim.simlab import SimLab
from nattools.protocols.packet import Packet


def carrying(most: int) -> Callable[[SimLab], None]:
    """Nobody gets a UDP datagram of more than so many bytes."""

    def before(lab: SimLab) -> None:
        for name in ("alice", "bob"):
            _narrow(lab, name)

    def _narrow(lab: SimLab, name: str) -> None:
        node = lab.net.node(name)
        whole = node.stack.input

        def arrived(packet: Packet) -> None:
            if packet.protocol != "udp" or len(packet.payload) <= most:
                whole(packet)

        node.input = arrived

    return before


async def _nothing(_: SimLab) -> None:
    """No other trouble."""


def test_what_carries_no_quic_is_named_and_tcp_takes_its_place() -> None:
    sides = pipe_through(("full-cone", "full-cone"), _nothing, size=200_000, before=carrying(1000))
    for side, other in (sides, sides[::-1]):
        assert bytes(side.got) == other.data
        assert "Small packets pass, but nothing of 1,200 bytes" in " ".join(side.told("again"))
        assert "TLS 1.3" in side.told("secured")[0]
