"""A connection outlasts its path: whatever happens to the network, every byte arrives once and in order, and
the timeline says what happened."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from piped import Side, Trouble, pipe_through
from simulated import restart_server

from nattools.errors import CannotRun
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, TcpFailure, TcpStream, UdpSocket

UDP = ("port-restricted", "port-restricted")
TCP = ("udp-blocked", "port-restricted")
RANDOM = ("symmetric-random", "port-restricted")
SEQUENTIAL = ("symmetric-sequential", "symmetric-sequential")
BOTH_RANDOM = ("symmetric-random", "symmetric-random")
MINUTE_S = 60.0


def blackout(seconds: float, node: str = "a") -> Trouble:
    """Nothing passes that node for so long."""

    async def trouble(lab: SimLab) -> None:
        lab.cut(node)
        await asyncio.sleep(seconds)
        lab.mend(node)

    return trouble


def restart(*routers: str) -> Trouble:
    """These NATs forget all flows."""

    async def trouble(lab: SimLab) -> None:
        for router in routers:
            lab.restart(router)

    return trouble


def in_turn(*troubles: Trouble, pause_s: float = 0.5) -> Trouble:
    async def trouble(lab: SimLab) -> None:
        for each in troubles:
            await each(lab)
            await asyncio.sleep(pause_s)

    return trouble


async def mailbox_restart(lab: SimLab) -> None:
    await restart_server(lab, "stun", down_s=1.0)


def whole(sides: tuple[Side, Side], *, within_s: float = MINUTE_S) -> None:
    """Both got all that the other gave, and ended well."""
    alice, bob = sides
    for side, other in ((alice, bob), (bob, alice)):
        assert side.problem is None
        assert bytes(side.got) == other.data
        assert side.report is not None
        assert side.report.punch is not None
        assert side.report.punch.connected
        assert side.told("end") == ["Both sides are done."]
        assert side.ended_at <= within_s


def found_another_way(side: Side) -> bool:
    return bool(side.told("lost") and side.told("secured")[1:])


def found_a_spare(side: Side) -> bool:
    return any("is used now" in text for text in side.told("nomination"))


@pytest.mark.parametrize("kinds", [UDP, TCP, RANDOM, SEQUENTIAL], ids=" x ".join)
def test_thirty_seconds_without_any_packet(kinds: tuple[str, str]) -> None:
    sides = pipe_through(kinds, blackout(30.0))
    whole(sides, within_s=75.0)
    for side in sides:
        assert len(side.told("lost")) == 1
        assert side.told("secured")[1:] or "The old path works again." in side.told("again")


@pytest.mark.parametrize("kinds", [UDP, TCP, RANDOM], ids=" x ".join)
def test_a_short_loss_is_not_even_noticed(kinds: tuple[str, str]) -> None:
    sides = pipe_through(kinds, blackout(5.0))
    whole(sides)
    assert not any(side.told("lost") for side in sides)


@pytest.mark.parametrize("routers", [("a",), ("b",), ("a", "b")], ids=" and ".join)
@pytest.mark.parametrize("kinds", [UDP, TCP, RANDOM, SEQUENTIAL], ids=" x ".join)
def test_a_nat_forgets_everything(kinds: tuple[str, str], routers: tuple[str, ...]) -> None:
    sides = pipe_through(kinds, restart(*routers))
    whole(sides)
    if kinds == SEQUENTIAL or (kinds == RANDOM and "a" in routers):
        # its outside port is another now; of the ports that the other side had tried it may be one
        assert all(map(found_another_way, sides)) or any(map(found_a_spare, sides))


def test_both_random_nats_forget_everything() -> None:
    whole(pipe_through(BOTH_RANDOM, restart("a", "b"), low_ports=True))


def test_the_mailbox_is_not_needed_while_all_is_well() -> None:
    sides = pipe_through(UDP, mailbox_restart)
    whole(sides)
    assert not any(side.told("lost") for side in sides)


@pytest.mark.parametrize("kinds", [UDP, TCP, RANDOM], ids=" x ".join)
def test_the_mailbox_forgets_the_room_and_then_the_path_is_lost(kinds: tuple[str, str]) -> None:
    whole(pipe_through(kinds, in_turn(mailbox_restart, restart("a", "b"), blackout(12.0))))


def test_everything_at_once_and_again() -> None:
    whole(
        pipe_through(
            RANDOM,
            in_turn(mailbox_restart, blackout(30.0), restart("a"), blackout(15.0, "b"), pause_s=5.0),
            size=2_000_000,
        ),
        within_s=150.0,
    )


@pytest.mark.parametrize("seed", range(8))
def test_tcp_anew_whoever_leads(seed: int) -> None:
    """Each attempt draws anew who leads; who is TLS's client does not change."""
    sides = pipe_through(TCP, restart("a", "b"), size=200_000, seed=seed, after_s=0.3)
    whole(sides, within_s=40.0)
    assert not any("no answer" in text for side in sides for text in side.told("again"))


async def mailbox_away_for_long(lab: SimLab) -> None:
    await restart_server(lab, "stun", down_s=100.0)


def test_the_mailbox_is_away_for_long_when_the_path_is_lost() -> None:
    async def trouble(lab: SimLab) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(mailbox_away_for_long(lab))
            lab.restart("a")
            lab.restart("b")

    whole(pipe_through(SEQUENTIAL, trouble, size=300_000), within_s=150.0)


class Cable:
    """A machine's network as it is while `out` is False; else there is none: no address of its own, no route,
    and no socket to be had."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.out = False
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def interfaces(self) -> tuple[Any, ...]:
        return () if self.out else self._network.interfaces()

    def gateways(self) -> tuple[Any, ...]:
        return () if self.out else self._network.gateways()

    def route(self, destination: str) -> tuple[str | None, str] | None:
        return None if self.out else self._network.route(destination)

    async def open_udp(self, **options: Any) -> UdpSocket:
        if self.out:
            self.refused += 1
            raise CannotRun("no socket can be opened: the address is not available", "Plug it in.")
        return await self._network.open_udp(**options)

    async def connect_tcp(self, remote: Endpoint, **options: Any) -> TcpStream | TcpFailure:
        if self.out:
            return TcpFailure("unreachable", "no route to host")
        return await self._network.connect_tcp(remote, **options)


@pytest.mark.parametrize("kinds", [UDP, TCP, SEQUENTIAL], ids=" x ".join)
@pytest.mark.parametrize("forgets", [False, True])
def test_a_network_that_is_gone_for_a_while(kinds: tuple[str, str], forgets: bool) -> None:
    """As with the cable out: an attempt meanwhile cannot even begin, and says so; the next one can."""
    cables: list[Cable] = []

    def before(lab: SimLab) -> None:
        cables.append(Cable(lab.network("alice")))
        lab._networks["alice"] = cast("Any", cables[0])

    async def pull(lab: SimLab) -> None:
        cables[0].out = True
        lab.cut("alice")
        lab.cut("a")
        if forgets:
            lab.restart("a")
        await asyncio.sleep(20.0)
        lab.mend("a")
        lab.mend("alice")
        cables[0].out = False

    sides = pipe_through(kinds, pull, before=before)
    whole(sides, within_s=75.0)
    assert "This machine's address has changed" in " ".join(sides[0].told("lost"))
    assert any("has no IPv4 route" in text for text in sides[0].told("again"))
