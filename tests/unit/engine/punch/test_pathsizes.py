"""The path MTU of a punched path, both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from punching import MATRIX_KINDS, pair, punching

from nattools.engine.punch import pathsizes
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.punch import punch_both
from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.punch import Punch
from nattools.model.punchmtu import OneWayMtu, PunchMtu
from nattools.model.report import Report
from nattools.protocols.packet import Packet

HOME = MATRIX_KINDS["port-restricted"]
Before = Callable[[SimLab], None]


def nothing(_: SimLab) -> None:
    """The path is as it is."""


def vanishing(host: str, most: int) -> Before:
    """UDP packets over IPv4 of more than so many bytes do not get to this host, and nobody says so."""

    def before(lab: SimLab) -> None:
        node = lab.net.node(host)
        whole = node.stack.input

        def arrived(packet: Packet) -> None:
            if packet.protocol != "udp" or packet.size <= most:
                whole(packet)

        node.input = arrived

    return before


def punched(
    first: NatSpec = HOME, before: Before = nothing, *, seed: int = 1, **impairment: float
) -> tuple[Punch, Punch, float]:
    """Both sides' view, and the simulated seconds that it took."""
    with SimLab(pair(first, HOME, **{"delay_ms": 20, **impairment}), seed=seed) as lab:
        before(lab)

        async def main() -> tuple[Report, Report, float]:
            side = (PunchOptions(measuring=punching(lab), echoes=2), Watcher())
            both = await punch_both((lab.network("alice"), *side), (lab.network("bob"), *side))
            return *both, asyncio.get_running_loop().time()

        one, other, took_s = lab.run(main)
    assert one.punch is not None
    assert other.punch is not None
    return one.punch, other.punch, took_s


def way(size: int, hole: bool = False, by: str | None = None) -> OneWayMtu:
    return OneWayMtu(bytes=size, black_hole=hole, too_big_from=by)


def test_an_ordinary_path_carries_1500_bytes_both_ways() -> None:
    one, other, took_s = punched()
    assert one.mtu == other.mtu == PunchMtu(up=way(1500), down=way(1500))
    assert took_s < 2.0


@pytest.mark.parametrize("size", [1280, 1400, 1492])
def test_who_says_packet_too_big_is_named_by_the_side_that_was_told(size: int) -> None:
    one, other, _ = punched(replace(HOME, mtu=size))
    assert one.mtu is not None
    assert other.mtu is not None
    assert one.mtu == PunchMtu(up=way(size, by="10.0.1.1"), down=way(size))
    assert other.mtu.down == way(size)
    assert other.mtu.up is not None
    assert (other.mtu.up.bytes, other.mtu.up.black_hole) == (size, False)
    assert other.mtu.up.too_big_from is not None


@pytest.mark.parametrize("size", [1280, 1340, 1496])
def test_a_black_hole_is_named_in_the_direction_that_it_is_in(size: int) -> None:
    one, other, took_s = punched(before=vanishing("bob", size))
    assert one.mtu == PunchMtu(up=way(size, hole=True), down=way(1500))
    assert other.mtu == PunchMtu(up=way(1500), down=way(size, hole=True))
    assert took_s < 6.0


def test_loss_is_not_taken_for_a_limit() -> None:
    for seed in range(5):
        for found in punched(seed=seed, loss=0.1)[:2]:
            assert found.mtu == PunchMtu(up=way(1500), down=way(1500))


def test_a_peer_that_does_not_search_leaves_its_direction_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(self: pathsizes.PathSizes) -> None:
        self._settled.set()
        await asyncio.Event().wait()

    watch, began = pathsizes.PathSizes.watch, []

    async def only_first(self: pathsizes.PathSizes) -> None:
        began.append(self)
        await (watch(self) if len(began) == 1 else never(self))

    monkeypatch.setattr(pathsizes.PathSizes, "watch", only_first)
    one, other, _ = punched()
    measured = [each.mtu for each in (one, other) if each.mtu is not None]
    assert measured == [PunchMtu(up=way(1500), down=None)]


def test_over_tcp_nothing_is_measured() -> None:
    one, other, _ = punched(MATRIX_KINDS["udp-blocked"])
    assert (one.transport, one.mtu, other.mtu) == ("tcp", None, None)
