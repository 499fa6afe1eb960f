"""A mapped port out of a quoted checksum."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from nattools.protocols import ip
from nattools.protocols.outsidesum import port_behind, sum_behind, sum_of
from nattools.protocols.packet import Packet

OWN = Packet("udp", "10.0.1.2", 2222, "3.3.3.3", 443, b"nattools")


@pytest.mark.parametrize("port", [1, 2, 1024, 2222, 40000, 65534, 65535])
@pytest.mark.parametrize("host", ["11.1.0.2", "0.0.0.1", "255.255.255.255", "255.255.0.0", "203.0.113.7"])
def test_every_port_follows_from_the_checksum(host: str, port: int) -> None:
    outside = replace(OWN, source=host, source_port=port)
    total = sum_behind(OWN, ip.udp_checksum(outside))
    assert total == sum_of(host, port)
    assert port_behind(total, host) == port


def test_any_datagram() -> None:
    draw = Random(3)
    for _ in range(2000):
        sent = replace(OWN, source_port=draw.randrange(1, 65536), payload=draw.randbytes(draw.randrange(40)))
        host, port = ".".join(str(draw.randrange(1, 255)) for _ in range(4)), draw.randrange(1, 65536)
        total = sum_behind(sent, ip.udp_checksum(replace(sent, source=host, source_port=port)))
        assert total is not None
        assert port_behind(total, host) == port


def test_a_checksum_that_was_restored_tells_of_oneself() -> None:
    total = sum_behind(OWN, ip.udp_checksum(OWN))
    assert total == sum_of("10.0.1.2", 2222)


def test_no_checksum_tells_nothing() -> None:
    assert sum_behind(OWN, 0) is None


def test_the_two_zeros_of_the_arithmetic() -> None:
    """0x0000 is sent as 0xffff (RFC 768); and of the ports 0 and 65535 only one exists."""
    zero = replace(OWN, payload=bytes(2))
    total = ip.checksum(b"") - ip.udp_checksum(zero)
    empty = replace(zero, payload=((0xFFFF - total) % 0xFFFF).to_bytes(2, "big"))
    assert ip.udp_checksum(empty) in (0xFFFF, ip.udp_checksum(empty))
    assert port_behind(sum_of("11.1.0.2", 65535), "11.1.0.2") == 65535


@pytest.mark.parametrize("seed", range(20))
def test_a_checksum_moves_by_difference(seed: int) -> None:
    """RFC 1624: as if it were made anew."""
    draw = Random(seed)
    before = replace(OWN, payload=draw.randbytes(30))
    after = replace(before, source="11.1.0.2", source_port=draw.randrange(1, 65536))
    assert ip.moved_checksum(ip.udp_checksum(before), before, after) == ip.udp_checksum(after)
    assert ip.moved_checksum(0, before, after) == 0
