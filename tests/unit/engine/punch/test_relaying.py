"""A relay where nothing direct works: offered by the mailbox, used when direct tries have failed, left for a
direct path when there is one, and taken again when that is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from piped import pipe_through
from punching import APDM, MATRIX_KINDS, pair, punching
from simulated import STUN
from walled import apart, broken, mended, whole

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch import relayopening
from nattools.engine.punch.connector import Connector
from nattools.engine.punch.options import Connected, PunchOptions, Use, UseResult, Watcher
from nattools.engine.punch.punch import punch_both
from nattools.lab import scenarioservers
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import parse_endpoint
from nattools.model.punch import Punch
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Network
from nattools.net.trace import Trace, TracedNetwork
from nattools.net.turn.turnopening import open_relayed
from nattools.net.turn.turnsocket import RelayedSocket
from nattools.protocols import ice
from nattools.protocols.turn.credentials import LongTermCredentials
from nattools.server import serving
from nattools.server.relay.relayservice import RelayConfig, RelayService
from nattools.server.serving import ServeConfig
from nattools.traversal.relayaccess import TurnAccess

RANDOM = ("symmetric-random", "symmetric-random")
UDP = ("port-restricted", "port-restricted")
ALICE = LongTermCredentials("alice", "wonderland")
URI = f"turn:{STUN.host}"


@pytest.fixture
def relays(monkeypatch: pytest.MonkeyPatch) -> list[RelayService]:
    """The servers of a lab relay, too; these are their relays."""
    made: list[RelayService] = []
    serve, making = serving.serve, serving.Running._make_relay

    def relaying(network: Network, config: ServeConfig) -> Any:
        relay = RelayConfig(secret="it is one", users=dict((ALICE,)))
        return serve(network, msgspec.structs.replace(config, relay=relay))

    def noted(self: Any, config: RelayConfig) -> RelayService:
        made.append(making(self, config))
        return made[-1]

    monkeypatch.setattr(scenarioservers, "serve", relaying)
    monkeypatch.setattr(serving.Running, "_make_relay", noted)
    return made


def punched(
    kinds: tuple[str, str], *, seed: int = 1, traces: tuple[Trace, Trace] | None = None, **options: Any
) -> tuple[Punch, Punch]:
    """Both sides' results; `second` are bob's options if they are others."""
    uses, interface = options.pop("uses", (None, None)), options.pop("interface", None)
    second = options.pop("second", options)
    with SimLab(pair(*(MATRIX_KINDS[kind] for kind in kinds), delay_ms=20), seed=seed) as lab:
        networks: list[Network] = [lab.network("alice"), lab.network("bob")]
        if traces is not None:
            networks = [TracedNetwork(*both) for both in zip(networks, traces, strict=True)]
        measuring = msgspec.structs.replace(punching(lab), interface=interface)
        sides = [
            (
                network,
                PunchOptions(measuring=measuring, low_ports=False, **each),
                Watcher(),
            )
            for network, each in zip(networks, (options, second), strict=True)
        ]

        async def main() -> tuple[Report, Report]:
            found = await punch_both(sides[0], sides[1], uses=uses)
            await asyncio.sleep(1.0)  # what is given back on the way arrives
            return found

        reports = lab.run(main)
    found = [each.punch for each in reports if each.punch is not None]
    return found[0], found[1]


@pytest.mark.parametrize("kinds", [RANDOM, ("symmetric-random", "symmetric-sequential")], ids=" x ".join)
def test_what_has_no_direct_path_is_relayed_at_once(
    kinds: tuple[str, str], relays: list[RelayService]
) -> None:
    for found in punched(kinds):
        assert (found.connected, found.path, found.strategy) == (True, "relayed", "relay")
        assert found.elapsed_s is not None
        assert found.elapsed_s < 1
        assert found.relay is not None
        assert found.relay.kind == "turn"
        assert found.relay.uri == "turn:stun:3478?transport=udp"
        assert found.relay.rtt_ms == pytest.approx(80, abs=5)
        assert [each.path for each in found.paths] == ["relayed"]
        assert "Both external ports change" in found.why


def test_where_udp_is_blocked_on_one_side_the_relay_is_reached_over_tcp(relays: list[RelayService]) -> None:
    alice, bob = punched(("udp-blocked", "symmetric-random"), tcp=False)
    assert alice.path == bob.path == "relayed"
    assert alice.relay is not None
    assert alice.relay.uri == "turn:stun:3478?transport=tcp"


def test_a_direct_path_needs_no_relay(relays: list[RelayService]) -> None:
    for found in punched(UDP):
        assert (found.path, found.relay) == ("direct", None)
        assert found.strategy == "reflexive"


def test_nobody_uses_a_relay_who_does_not_want_one(relays: list[RelayService]) -> None:
    for found in punched(RANDOM, relaying="never", second={}):
        assert not found.connected
        assert not any(each.strategy == "relay" and each.sent for each in found.stages)


def test_who_wants_a_relay_alone_shows_the_peer_no_address_of_its_own(relays: list[RelayService]) -> None:
    traces = Trace(0.0), Trace(0.0)
    alice, bob = punched(UDP, relaying="only", second={}, traces=traces)
    assert alice.path == bob.path == "relayed"
    leaving = (each for each in traces[0].events if each.outgoing and each.kind in ("datagram", "connect"))
    assert {each.remote.host for each in leaving} <= {"11.201.0.2", "11.201.0.3", "11.1.0.2"}
    assert all(each.host == STUN.host for each in (parse_endpoint(path.remote) for path in bob.paths))


@pytest.mark.parametrize("others", ["reserve", "never"])
def test_who_wants_a_relay_alone_shows_no_address_later_either(
    others: str, relays: list[RelayService]
) -> None:
    """Not when the other side looks for a direct path, as often as it may, nor when it wants no relay."""

    async def stay(_: Connected) -> UseResult:
        await asyncio.sleep(240.0)
        return UseResult()

    traces = Trace(0.0), Trace(0.0)
    for seed in (1, 2, 3):  # so that each side leads once
        alice, bob = punched(
            UDP,
            seed=seed,
            relaying="only",
            second={"relaying": others},
            traces=traces,
            uses=(Use(stay), Use(stay)),
        )
        assert alice.connected == bob.connected == (others == "reserve")
        assert ("the other allows none" in alice.why) == (others == "never")
        assert not any("direct-" in each.code for stage in bob.stages for each in stage.statements)
    for trace, outside in zip(traces, ("11.2.0.2", "11.1.0.2"), strict=True):
        leaving = [each for each in trace.events if each.outgoing and each.kind in ("datagram", "connect")]
        assert leaving
        assert not any(each.remote.host == outside for each in leaving)


def test_a_relay_of_the_peers_is_not_used_by_who_wants_none(
    relays: list[RelayService], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if it is told of where only direct candidates belong."""
    prepare = Connector._prepare
    opened: list[RelayedSocket] = []

    async def sly(self: Connector, *arguments: Any) -> Any:
        introduction, bases = await prepare(self, *arguments)
        if self.own.options.relays:
            socket = await open_relayed(self.own.run.network, parse_server(URI), ALICE)
            assert isinstance(socket, RelayedSocket)
            opened.append(socket)
            text = ice.encode(ice.local_candidate("relay", socket.local))
            introduction = msgspec.structs.replace(
                introduction, candidates=(*introduction.candidates, text), relaying="reserve"
            )
        return introduction, bases

    monkeypatch.setattr(Connector, "_prepare", sly)
    traces = Trace(0.0), Trace(0.0)
    named = (TurnAccess(parse_server(URI), ALICE),)
    alice, _ = punched(RANDOM, relaying="never", second={"relays": named}, traces=traces)
    assert not alice.connected
    places = {each.local for each in opened}
    assert places
    assert not any(each.outgoing and each.remote in places for each in traces[0].events)


def test_both_want_a_relay_alone(relays: list[RelayService]) -> None:
    for found in punched(UDP, relaying="only"):
        assert found.path == "relayed"
        assert found.plan[0].why == "Only a relay may be used."


def test_a_relay_that_is_named_is_used_on_its_side(relays: list[RelayService]) -> None:
    named = (TurnAccess(parse_server(URI), ALICE),)
    alice, bob = punched(RANDOM, relays=named, second={"relaying": "reserve"})
    assert alice.path == bob.path == "relayed"
    assert URI in {path.relay for found in (alice, bob) for path in found.paths} | {
        str(value) for found in (alice, bob) for each in found.stages for statement in each.statements
        for value in statement.values.values()
    }  # fmt: skip


def test_the_relay_is_reached_by_the_interface_and_family_that_are_wanted(
    relays: list[RelayService], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, Any]] = []

    async def noted(*given: Any, **options: Any) -> Any:
        asked.append((options["family"], options["interface"]))
        return await open_relayed(*given, **options)

    monkeypatch.setattr(relayopening, "open_relayed", noted)
    for found in punched(RANDOM, interface="eth0"):
        assert found.path == "relayed"
    assert set(asked) == {(4, "eth0")}


def test_credentials_that_are_refused_are_told(relays: list[RelayService]) -> None:
    wrong = (TurnAccess(parse_server(URI), LongTermCredentials("alice", "no")),)
    for found in punched(RANDOM, relays=wrong):
        assert not found.connected
        assert "cannot be used" in found.advice


def test_a_relay_is_left_for_a_direct_path_without_losing_a_byte(relays: list[RelayService]) -> None:
    sides = pipe_through(UDP, mended(2.0), before=apart, size=3_000_000)
    for found in whole(sides):
        assert found.path == "direct"
        assert [each.path for each in found.paths] == ["relayed", "direct"]
        assert found.relay is not None
        assert found.relay.seconds > 2


def test_a_direct_path_that_is_lost_is_replaced_by_a_relayed_one(relays: list[RelayService]) -> None:
    sides = pipe_through(UDP, broken, size=6_000_000)
    for found in whole(sides):
        assert found.path == "relayed"
        assert [each.path for each in found.paths] == ["direct", "relayed"]


def test_there_and_back(relays: list[RelayService]) -> None:
    async def trouble(lab: SimLab) -> None:
        await mended(2.0)(lab)
        await asyncio.sleep(10.0)
        apart(lab)

    sides = pipe_through(UDP, trouble, before=apart, size=7_000_000)
    for found in whole(sides):
        assert [each.path for each in found.paths] == ["relayed", "direct", "relayed"]


def test_nothing_is_left_on_the_relay(relays: list[RelayService]) -> None:
    for kinds in (RANDOM, UDP):
        relays.clear()
        punched(kinds)
        assert [relay.turn.allocations for relay in relays] == [0]


def test_a_relay_at_a_friends_home() -> None:
    """Only its own port is forwarded there, and what it gives is a private address: both sides go through it,
    and none sends to that address by itself."""
    nat = NatSpec(mapping=APDM, filtering=APDM, allocation="random")
    scenario = Scenario(
        title="a friend's relay",
        nat={"a": nat, "b": nat, "home": NatSpec(dmz="carol")},
        host={"alice": HostSpec(behind="a"), "bob": HostSpec(behind="b"), "carol": HostSpec(behind="home")},
    )
    traces = Trace(0.0), Trace(0.0)

    async def main(lab: SimLab) -> tuple[Report, Report]:
        carol = lab.network("carol")
        route = carol.route("11.1.0.2")
        assert route is not None
        relay = RelayConfig(secret="it is one")
        running = await serving.serve(carol, ServeConfig(addresses=(route[1],), relay=relay))
        measuring = MeasureOptions("punch", (parse_server("11.3.0.2"),), families=(4,))
        options = PunchOptions(measuring=measuring, low_ports=False)
        sides = [
            (TracedNetwork(lab.network(name), trace), options, Watcher())
            for name, trace in zip(("alice", "bob"), traces, strict=True)
        ]
        try:
            return await punch_both(sides[0], sides[1])
        finally:
            await running.close()

    with SimLab(scenario, seed=1) as lab:
        reports = lab.run(lambda: main(lab))
    for report, trace in zip(reports, traces, strict=True):
        assert report.punch is not None
        assert report.punch.path == "relayed"
        assert report.punch.remote is not None
        assert report.punch.remote.startswith("10.")
        leaving = (each for each in trace.events if each.outgoing and each.kind == "datagram")
        assert not any(each.remote.host.startswith("10.") for each in leaving)
