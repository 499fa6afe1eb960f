"""Two sides that exchange tokens and use a relay that one of them names, or both."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from punching import punching
from swapping import Person, kinds, swap, swapped

from nattools.engine.punch import punch
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.punch import punch_by_tokens
from nattools.errors import CannotRun
from nattools.lab.scenario import DerpSpec, Scenario, ServerSpec, TurnSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import parse_endpoint
from nattools.model.serveruri import parse_server
from nattools.net.trace import Trace, TracedNetwork
from nattools.protocols.turn.credentials import LongTermCredentials
from nattools.server import serving
from nattools.server.relay.relayservice import RelayConfig, RelayService
from nattools.traversal.relayaccess import AnyAccess, TurnAccess
from nattools.traversal.tokens import Token, encode_token

RANDOM = ("symmetric-random", "symmetric-random")
ALICE = LongTermCredentials("alice", "wonderland")
NAMED = (TurnAccess(parse_server("turn:stun:3478?transport=udp"), ALICE),)
OVER_TCP = (TurnAccess(parse_server("turn:stun:3478?transport=tcp"), ALICE),)
STRICT: dict[str, Any] = {"low_ports": False, "limit_s": 400.0}


def relaying(first: str, second: str) -> Scenario:
    """The server relays, too, for those who know the password."""
    relay = TurnSpec(users=dict((ALICE,)))
    return msgspec.structs.replace(kinds(first, second), server={"stun": ServerSpec(relay=relay)})


@pytest.mark.parametrize("each", [(NAMED, ()), ((), NAMED), (NAMED, NAMED), (OVER_TCP, ())])
def test_what_has_no_direct_way_is_relayed(each: tuple[tuple[AnyAccess, ...], tuple[AnyAccess, ...]]) -> None:
    """Whichever of the two names the relay, and though one person is half a minute slower."""
    own = tuple({"relays": relays} for relays in each)
    for found in swapped(relaying(*RANDOM), Person(), Person(30.0), each=own, **STRICT):
        assert (found.connected, found.path, found.strategy) == (True, "relayed", "relay"), found.reasons
        assert found.relay is not None
        assert found.relay.kind == "turn"


def test_without_udp_on_one_side() -> None:
    for found in swapped(relaying("udp-blocked", RANDOM[0]), relays=OVER_TCP, tcp=False, **STRICT):
        assert found.path == "relayed"


def test_a_direct_way_needs_no_relay() -> None:
    for found in swapped(relaying("port-restricted", "port-restricted"), relays=NAMED, **STRICT):
        assert (found.path, found.strategy) == ("direct", "reflexive")


def test_who_wants_no_relay_uses_none_of_the_peers() -> None:
    own = ({"relaying": "never"}, {"relays": NAMED})
    for found in swapped(relaying(*RANDOM), each=own, wait_s=30.0, **STRICT):
        assert not found.connected


def test_credentials_that_are_refused_are_told() -> None:
    wrong = (TurnAccess(NAMED[0].uri, LongTermCredentials("alice", "no")),)
    for found in swapped(relaying(*RANDOM), relays=wrong, wait_s=30.0, **STRICT):
        assert not found.connected
        assert "relay-refused" in {each.code for stage in found.stages for each in stage.statements}


def test_who_wants_a_relay_alone_tells_no_address_of_its_own() -> None:
    """Neither in the token nor by a packet."""
    tokens: list[Token] = []
    trace = Trace(0.0)

    def noted(token: Token) -> Token:
        tokens.append(token)
        return token

    class Watched(SimLab):
        def network(self, host: str) -> Any:
            network = super().network(host)
            return TracedNetwork(network, trace) if host == "alice" else network

    own = ({"relaying": "only", "relays": NAMED}, {"relays": ()})
    with Watched(relaying("port-restricted", "port-restricted"), seed=1) as lab:
        people = Person(), Person(edit=noted)
        alice, bob = lab.run(lambda: swap(lab, people, punching(lab), 0, each=own, low_ports=False))
    assert alice.path == bob.path == "relayed"
    (token,) = tokens
    assert [each.kind for each in token.candidates] == ["relayed"]
    assert bob.remote is not None
    assert parse_endpoint(bob.remote) == token.candidates[0].endpoint
    leaving = (each for each in trace.events if each.outgoing and each.kind in ("datagram", "connect"))
    assert not any(each.remote.host == "11.2.0.2" for each in leaving)


def test_by_a_derp_server_that_both_name() -> None:
    """Its keys follow from the tokens."""
    from nattools.lab.derpserver import derp_map
    from nattools.protocols import derp
    from nattools.traversal.relayaccess import DerpAccess

    drawn = kinds(*RANDOM)
    drawn = msgspec.structs.replace(drawn, server={**drawn.server, "derp": ServerSpec(derp=DerpSpec())})
    with SimLab(drawn) as lab:
        addresses = {name: lab.net.topology.addresses[name] for name in drawn.server}
    (region,) = derp.parse_map(derp_map(drawn, addresses)).regions
    access = (DerpAccess(region.nodes[0]),)
    for found in swapped(drawn, Person(), Person(20.0), relays=access, **STRICT):
        assert found.path == "relayed"
        assert found.relay is not None
        assert found.relay.uri == "derp://derp"


def test_a_token_with_a_relay_is_little_longer() -> None:
    lengths: list[int] = []

    def measured(token: Token) -> Token:
        lengths.append(len(encode_token(token)))
        return token

    for relays in ((), NAMED):
        swapped(relaying(*RANDOM), Person(edit=measured), relays=relays, wait_s=30.0, **STRICT)
    without, with_relay = lengths
    assert 0 < with_relay - without <= 13


def test_broken_off_before_there_is_a_token_nothing_is_left_on_the_relay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[RelayService] = []
    making = serving.Running._make_relay
    held: list[int] = []

    def noted(self: Any, config: RelayConfig) -> RelayService:
        made.append(making(self, config))
        return made[-1]

    async def broken_off(*_: object) -> None:
        held.extend(relay.turn.allocations for relay in made)
        raise CannotRun("no socket can be had")

    async def unasked() -> str:
        raise AssertionError("there was no token to exchange")

    monkeypatch.setattr(serving.Running, "_make_relay", noted)
    monkeypatch.setattr(punch, "_told", broken_off)
    with SimLab(relaying(*RANDOM)) as lab:
        options, watcher = PunchOptions(measuring=punching(lab), relays=NAMED), Watcher(ask_token=unasked)

        async def main() -> None:
            with pytest.raises(CannotRun):
                await punch_by_tokens(lab.network("alice"), options, watcher, wall=lambda: 0.0)
            await asyncio.sleep(1.0)  # what is given back arrives

        lab.run(main)
    assert held == [1]
    assert [relay.turn.allocations for relay in made] == [0]
