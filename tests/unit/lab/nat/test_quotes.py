"""What a NAT leaves in the datagram that an ICMP error quotes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nattools.lab.nat.engine import NatEngine
from nattools.lab.scenario import NatSpec
from nattools.protocols import ip
from nattools.protocols.outsidesum import port_behind, sum_behind, sum_of
from nattools.protocols.packet import Packet

WAN, ALICE, SOMEBODY = "11.1.0.2", "10.0.1.2", "3.3.3.3"
APD = "address-and-port-dependent"


def engine(**axes: Any) -> NatEngine:
    spec = NatSpec(mapping=APD, allocation="random", **axes)
    return NatEngine(
        spec,
        inside="10.0.1.0/24",
        outside_address=WAN,
        inside_address="10.0.1.1",
        rng=random.Random(1),
    )


def sent(payload: bytes = b"nattools") -> Packet:
    return Packet("udp", ALICE, 2222, SOMEBODY, 443, payload, ttl=1)


def quoted(nat: NatEngine, packet: Packet, *, as_bytes: bool = False) -> tuple[bytes, int]:
    """What the error about a packet quotes inside, and the packet's port outside. `as_bytes`: the error comes
    from a wire, as to the router that reads frames."""
    ((_, out),) = nat.from_inside(packet, 0.0)
    error = Packet("icmp", "11.9.9.9", 0, WAN, 0, about=out, icmp_type=11)
    if as_bytes:
        error = ip.parse(ip.build(error))
    ((_, entering),) = nat.from_outside(error, 0.1)
    assert entering.destination == ALICE
    return ip.build(entering)[28:], out.source_port


def checksum(quote: bytes) -> int:
    return int.from_bytes(quote[26:28], "big")


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("payload", [b"nattools", b"nattools, another one"])
def test_translated(payload: bytes, as_bytes: bool) -> None:
    quote, port = quoted(engine(quotes="translated"), sent(payload), as_bytes=as_bytes)
    assert ip.parse_quoted(quote).source_port == 2222
    total = sum_behind(sent(payload), checksum(quote))
    assert total == sum_of(WAN, port)
    assert port_behind(total, WAN) == port


@pytest.mark.parametrize("as_bytes", [False, True])
def test_restored_as_linux_does(as_bytes: bool) -> None:
    quote, _ = quoted(engine(), sent(), as_bytes=as_bytes)
    assert quote == ip.build(sent())


@pytest.mark.parametrize("as_bytes", [False, True])
def test_zero(as_bytes: bool) -> None:
    quote, _ = quoted(engine(quotes="zero"), sent(), as_bytes=as_bytes)
    assert checksum(quote) == 0


@pytest.mark.parametrize("as_bytes", [False, True])
def test_short(as_bytes: bool) -> None:
    """The header is whole, its length and checksum are those of the datagram that was sent."""
    quote, _ = quoted(engine(quotes="short"), sent(), as_bytes=as_bytes)
    assert quote == ip.build(sent())[:28]


@pytest.mark.parametrize(("inner", "outer"), [("restored", "translated"), ("translated", "restored")])
def test_two_layers(inner: str, outer: str) -> None:
    """Each does its part: what the outer one leaves, the inner one corrects by difference or leaves too."""
    first = engine(quotes=inner)
    second = NatEngine(
        NatSpec(mapping=APD, allocation="random", quotes=outer),  # type: ignore[arg-type]
        inside="11.1.0.0/24",
        outside_address="12.1.0.2",
        inside_address="11.1.0.1",
        rng=random.Random(2),
    )
    ((_, between),) = first.from_inside(sent(), 0.0)
    ((_, out),) = second.from_inside(between, 0.0)
    error = Packet("icmp", "11.9.9.9", 0, "12.1.0.2", 0, about=out, icmp_type=11)
    ((_, half),) = second.from_outside(error, 0.1)
    ((_, home),) = first.from_outside(half, 0.2)
    total = sum_behind(sent(), checksum(ip.build(home)[28:]))
    outside, middle = sum_of(out.source, out.source_port), sum_of(between.source, between.source_port)
    own = sum_of(ALICE, 2222)
    assert total == ((own + outside - middle) if inner == "restored" else middle) % 0xFFFF
