"""Many datagrams at once through the system's sockets."""

from __future__ import annotations

import asyncio

import pytest

from nattools.model.endpoint import Endpoint
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.system.hostudp import HostUdpSocket, _runs


def test_runs_are_of_one_size_but_the_last() -> None:
    datagrams = [b"a" * 3, b"b" * 3, b"c" * 2, b"d" * 2, b"e" * 4]
    assert list(_runs(datagrams)) == [datagrams[:3], datagrams[3:4], datagrams[4:]]
    assert [len(run) for run in _runs([bytes(1400)] * 100)] == [46, 46, 8]


SIZES = [[1200] * 50 + [300] + [1400] * 20 + [1, 2, 3], [60], [30, 30], [60], [20, 20, 20], [40, 40, 7], [40]]


@pytest.mark.parametrize("segments", [True, False])
def test_what_is_sent_at_once_arrives_in_order(segments: bool) -> None:
    groups = [[bytes([number]) * size for number, size in enumerate(sizes)] for sizes in SIZES]
    sent = [data for group in groups for data in group]

    async def main() -> list[bytes]:
        network, got = HostNetwork(), []
        one = await network.open_udp(family=4, host="127.0.0.1")
        other = await network.open_udp(family=4, host="127.0.0.1")
        assert isinstance(one, HostUdpSocket)
        one._segments = one._segments and segments
        done = asyncio.Event()

        def arrived(data: bytes, size: int, source: Endpoint) -> None:
            assert source == one.local
            got.extend(data[at : at + size] for at in range(0, len(data), size))
            if len(got) >= len(sent):
                done.set()

        other.on_batch = arrived
        other.on_datagram = lambda data, source: arrived(data, len(data), source)
        for group in groups:
            assert one.send_many(group, other.local) is None
        async with asyncio.timeout(30):
            await done.wait()
        one.close()
        other.close()
        return got

    assert asyncio.run(main()) == sent
