"""Opening an allocation at relays that send us on, or do not do what they should."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from relayed import HOST, two_sites
from scriptedrelay import ALICE, ScriptedRelay
from simulated import run

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.serveruri import parse_server
from nattools.net.base import UdpSocket
from nattools.net.turn.turnopening import MOST_REDIRECTIONS, open_relayed
from nattools.net.turn.turnsocket import RelayedSocket
from nattools.net.web.serversteps import StepFailure
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.message import Attribute


class Relays:
    """Scripted relays, one at each port of a machine from 3478 on."""

    def __init__(self, lab: SimLab) -> None:
        self.network = lab.network("stun")
        self.alice = lab.network("alice")
        self.sockets: list[UdpSocket] = []

    def at(self, number: int) -> Endpoint:
        """Where a relay listens, or will."""
        return Endpoint(HOST, 3478 + number)

    async def add(self, relay: ScriptedRelay) -> Endpoint:
        """Where the relay listens."""
        socket = await self.network.open_udp(family=4, port=self.at(len(self.sockets)).port)
        self.sockets.append(socket)

        def on_datagram(data: bytes, source: Endpoint) -> None:
            for answer in relay.receive(data):
                socket.send(answer, source)

        socket.on_datagram = on_datagram
        return socket.local

    async def open(self, server: Endpoint, timeout_s: float = 10.0) -> RelayedSocket | StepFailure:
        """As alice."""
        return await open_relayed(self.alice, parse_server(f"turn:{server}"), ALICE, timeout_s=timeout_s)


def beside(main: Callable[[Relays], Awaitable[None]]) -> None:
    """Run a test."""

    async def whole(lab: SimLab) -> None:
        relays = Relays(lab)
        await main(relays)
        for each in relays.sockets:
            each.close()

    run(two_sites(), whole)


def sends_on(to: Endpoint, *extra: Attribute) -> ScriptedRelay:
    """A relay that says 300."""
    relay = ScriptedRelay()
    alternate = (c.ALTERNATE_SERVER, stun.pack_address(to))
    relay.answers[c.ALLOCATE] = lambda request: relay.error(request, 300, alternate, *extra)
    return relay


def test_it_goes_where_it_is_sent() -> None:
    async def main(relays: Relays) -> None:
        last = await relays.add(ScriptedRelay())
        first = await relays.add(sends_on(last))
        found = await relays.open(first)
        assert isinstance(found, RelayedSocket), found
        assert found.server == last
        found.close()

    beside(main)


def test_but_not_for_ever() -> None:
    async def main(relays: Relays) -> None:
        many = MOST_REDIRECTIONS + 2
        asked = [sends_on(relays.at((number + 1) % many)) for number in range(many)]
        for each in asked:
            await relays.add(each)
        found = await relays.open(relays.at(0))
        assert isinstance(found, StepFailure)
        assert (found.step, found.code) == ("allocate", 300)
        assert sum(bool(each.requests) for each in asked) == MOST_REDIRECTIONS + 1

    beside(main)


@pytest.mark.parametrize(
    "to",
    [
        Endpoint("10.0.0.1", 3478),
        Endpoint("127.0.0.1", 3478),
        Endpoint("169.254.169.254", 80),
        Endpoint("11.201.0.2", 0),
        Endpoint("2a10::1", 3478),
    ],
)
def test_nor_into_its_own_network_or_nowhere(to: Endpoint) -> None:
    async def main(relays: Relays) -> None:
        found = await relays.open(await relays.add(sends_on(to)))
        assert isinstance(found, StepFailure)
        assert (found.step, found.cause, found.code) == ("allocate", "error", 300)
        assert str(to) in found.detail

    beside(main)


@pytest.mark.parametrize("domain", ["", ".", "..", ".example", "a b", "x" * 300, "ü.example"])
def test_nor_to_a_name_that_is_none(domain: str) -> None:
    async def main(relays: Relays) -> None:
        last = await relays.add(ScriptedRelay())
        first = await relays.add(sends_on(last, (c.ALTERNATE_DOMAIN, domain.encode())))
        found = await relays.open(first)
        assert isinstance(found, StepFailure if domain else RelayedSocket)
        if isinstance(found, RelayedSocket):
            found.close()

    beside(main)


@pytest.mark.parametrize("times", [1, 2])
def test_another_end_of_our_own_where_the_first_is_known(times: int) -> None:
    """RFC 8656 7.4: 437, since somebody had an allocation from there."""

    async def main(relays: Relays) -> None:
        relay = ScriptedRelay()
        left = [437] * times

        def answer(request: stun.Message) -> bytes:
            return relay.error(request, left.pop()) if left else relay.success(request)

        relay.answers[c.ALLOCATE] = answer
        found = await relays.open(await relays.add(relay))
        if times == 1:
            assert isinstance(found, RelayedSocket)
            found.close()
        else:
            assert isinstance(found, StepFailure)
            assert found.code == 437

    beside(main)


def test_a_name_with_two_addresses_of_which_one_is_dead() -> None:
    async def main(relays: Relays) -> None:
        relay = ScriptedRelay()
        alive = await relays.add(relay)
        names = {"relay.example": ("11.201.0.77", alive.host)}
        network = Named(relays.alice, names)
        found = await open_relayed(network, parse_server("turn:relay.example"), ALICE)  # type: ignore[arg-type]
        assert isinstance(found, RelayedSocket), found
        assert found.server == alive
        found.close()

    beside(main)


class Named:
    """A network with names."""

    def __init__(self, network: object, names: dict[str, tuple[str, ...]]) -> None:
        self._network = network
        self._names = names

    def __getattr__(self, name: str) -> object:
        return getattr(self._network, name)

    async def resolve(self, name: str, family: int | None = None) -> tuple[str, ...]:
        """From the table."""
        return self._names[name]


def test_answers_that_cannot_be_verified_are_told() -> None:
    async def main(relays: Relays) -> None:
        relay = ScriptedRelay()
        relay.answers[c.ALLOCATE] = lambda request: stun.encode(
            stun.Message(
                request.method,
                "error",
                request.transaction_id,
                ((c.ERROR_CODE, stun.pack_error_code(508, "full")),),
            )
        )
        found = await relays.open(await relays.add(relay), timeout_s=3.0)
        assert isinstance(found, StepFailure)
        assert (found.step, found.cause) == ("allocate", "timeout")
        assert "error 508 full: its message integrity is missing or wrong" in found.detail

    beside(main)


@pytest.mark.parametrize(
    ("kind", "step", "cause", "code"),
    [
        ("no realm", "authenticate", "challenge", 401),
        ("no address", "allocate", "not-a-relay", None),
        ("441", "authenticate", "error", 441),
        ("486", "allocate", "error", 486),
    ],
)
def test_which_step_it_was(kind: str, step: str, cause: str, code: int | None) -> None:
    async def main(relays: Relays) -> None:
        relay = ScriptedRelay()
        if kind == "no realm":
            relay.realm = ""
        elif kind == "no address":
            relay.relayed = ()
        else:
            relay.refuses[c.ALLOCATE] = int(kind)
        found = await relays.open(await relays.add(relay))
        assert isinstance(found, StepFailure)
        assert (found.step, found.cause, found.code) == (step, cause, code)
        assert found.detail

    beside(main)


def test_a_firewall_that_says_no() -> None:
    async def main(lab: SimLab) -> None:
        found = await open_relayed(lab.network("alice"), parse_server(f"turn:{HOST}"), ALICE, timeout_s=5.0)
        assert isinstance(found, StepFailure)
        assert (found.step, found.cause) == ("connect", "refused")
        assert "ICMP port-unreachable from" in found.detail

    run(two_sites(), main)
