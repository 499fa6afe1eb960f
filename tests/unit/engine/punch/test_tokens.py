"""Two sides that exchange tokens, whole: measure, show, read, begin by the clock, connect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from punching import MATRIX_KINDS, pair, punching
from swapping import Person, kinds, swapped

from nattools.engine.punch import punch
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.punch import punch_by_tokens
from nattools.engine.punch.steprunner import COSTLY_ROUNDS
from nattools.errors import UsageError
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.traversal.tokens import Token


@pytest.mark.parametrize("off_s", [-3.0, 0.9, 3.0])
@pytest.mark.parametrize(
    ("first", "second", "strategies"),
    [
        ("open", "open", {"host"}),
        ("port-restricted", "port-restricted", {"reflexive"}),
        ("symmetric-random", "full-cone", {"reflexive"}),
        ("symmetric-sequential", "port-restricted", {"prediction"}),
        ("symmetric-random", "port-restricted", {"birthday"}),
        ("symmetric-sequential", "symmetric-sequential", {"prediction"}),
        ("udp-blocked", "port-restricted", {"simultaneous-open"}),
    ],
)
def test_both_sides_connect_the_same_way(first: str, second: str, strategies: set[str], off_s: float) -> None:
    """Though their clocks are apart by three seconds, and one person is slower."""
    for found in swapped(kinds(first, second), Person(clock_off_s=off_s), Person(5.0)):
        assert found.connected, found.reasons
        assert found.strategy in strategies
        assert {"token", "plan", "secured"} <= {stage.stage for stage in found.stages}


@pytest.mark.parametrize("second", ["symmetric-sequential", "port-restricted"])
@pytest.mark.parametrize("first", ["symmetric-random", "symmetric-sequential"])
def test_half_a_minute_may_be_between_the_two(first: str, second: str) -> None:
    """As the guide says: each side guesses three times, each time where the clock says."""
    expected = (first, second) != ("symmetric-random", "symmetric-sequential")
    for found in swapped(kinds(first, second), Person(), Person(30.0), low_ports=False):
        assert found.connected == expected, found.reasons


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_transport_that_one_side_wants_is_used(transport: str) -> None:
    wants: dict[str, Any] = {"udp": transport == "udp", "tcp": transport == "tcp"}
    for found in swapped(kinds("port-restricted", "port-restricted"), each=(wants, {}), limit_s=300.0):
        assert (found.connected, found.transport) == (True, transport), found.reasons


POOL: dict[str, Any] = {"pool": 3, "pooling": "arbitrary", "mapping": "address-and-port-dependent"}


@pytest.mark.parametrize(
    ("allocation", "peer", "fewest_odds", "most_odds"),
    [("random", "port-restricted", 0.9, 0.98), ("sequential", "firewall", 0.95, 0.999)],
)
def test_a_token_tells_of_several_outside_addresses(
    allocation: str, peer: str, fewest_odds: float, most_odds: float
) -> None:
    """A peer that knows of one address alone meets half of the ports; the odds are those of a code."""
    connected = 0
    for seed in range(4):
        pooled = NatSpec(**POOL, allocation=allocation)
        both = swapped(pair(pooled, MATRIX_KINDS[peer]), seed=seed, low_ports=False, limit_s=240.0)
        for found in both:
            assert found.odds is not None
            assert fewest_odds <= found.odds <= most_odds
        connected += all(found.connected for found in both)
    assert connected >= 3


def test_a_port_is_kept_open_while_a_person_copies() -> None:
    """NATs that forget in 20 s and then give another port, and two people who need two minutes and three."""
    forgetful = NatSpec(allocation="random", lifetime_s=20.0)
    for found in swapped(pair(forgetful, forgetful), Person(120.0), Person(180.0)):
        assert (found.connected, found.strategy) == (True, "reflexive"), found.reasons


def test_nobody_pastes_a_token() -> None:
    found, _ = swapped(kinds("open", "open"), Person(700.0), Person(700.0), wait_s=600.0)
    assert not found.connected
    assert [each.code for each in found.reasons] == ["token-missing"]


def test_the_other_side_never_reads_ours() -> None:
    """One that has the peer's token tries until its time is over; the other says that it waited in vain."""
    found, other = swapped(kinds("port-restricted", "port-restricted"), Person(), Person(900.0), wait_s=60.0)
    assert not found.connected
    assert [each.code for each in other.reasons] == ["token-missing"]


def test_a_side_needs_somebody_to_ask() -> None:
    with SimLab(kinds("open", "open")) as lab:
        options = PunchOptions(measuring=punching(lab))
        with pytest.raises(UsageError, match="token is needed"):
            lab.run(lambda: punch_by_tokens(lab.network("alice"), options, Watcher()))


@pytest.mark.parametrize(
    ("person", "says"),
    [
        (Person(own=True), "this side's own token"),
        (Person(edit=lambda token: replace(token, public_key=bytes(32))), "key in that token is invalid"),
    ],
    ids=["its own", "a key that gives no secret"],
)
def test_a_token_that_cannot_be_used_is_refused(person: Person, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        swapped(kinds("open", "open"), person, Person(60.0))


def test_a_key_changed_on_its_way_connects_with_nobody() -> None:
    """Whoever puts in another key knows no secret of the two: nothing is connected, and no error escapes."""
    other = bytes([9, *bytes(31)])
    found, _ = swapped(
        kinds("open", "open"), Person(edit=lambda token: replace(token, public_key=other)), wait_s=30.0
    )
    assert not found.connected


@pytest.mark.parametrize("routed", [True, False], ids=["a silent server", "no way to the internet"])
def test_machines_on_one_lan_need_no_server(routed: bool) -> None:
    """The tokens tell of the machines' own addresses."""
    at_home = HostSpec(behind="home", default_route=routed)
    scenario = Scenario(
        title="one LAN",
        nat={"home": NatSpec()},
        host={"alice": at_home, "bob": at_home},
        server={"stun": ServerSpec(kind="silent", tcp=False)},
    )
    for found in swapped(scenario):
        assert (found.connected, found.strategy) == (True, "host"), found.reasons


def without_ports(token: Token) -> Token:
    """Says nothing of the sockets for the steps."""
    rest = tuple(each for each in token.candidates if each.tcp is None)
    told = tuple(replace(each, last_port=None) for each in token.behaviours)
    return replace(token, candidates=rest, behaviours=told)


async def unseen(*_: object, **__: object) -> None:
    """A server that was there a moment ago does not say where it sees a socket."""


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("symmetric-sequential", "port-restricted", "peer-port-unknown"),
        ("udp-blocked", "port-restricted", "peer-port-unknown"),
    ],
)
def test_a_token_without_the_ports_of_the_steps(first: str, second: str, reason: str) -> None:
    mute = Person(edit=without_ports)
    for found in swapped(kinds(first, second), mute, mute, limit_s=200.0):
        assert not found.connected
        tried = {each.code for stage in found.stages for each in stage.statements}
        assert {reason, "punch-time-over"} <= tried


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ("symmetric-sequential", "port-restricted", "cannot-run"),
        ("udp-blocked", "port-restricted", "own-port-unknown"),
    ],
)
def test_a_side_that_no_server_has_told_of_its_ports(
    first: str, second: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that need such a port say so, and the rest goes on."""
    monkeypatch.setattr(punch, "server_reflexive", unseen)
    monkeypatch.setattr(punch, "seen_over_tcp", unseen)
    for found in swapped(kinds(first, second), limit_s=200.0):
        assert not found.connected
        tried = {each.code for stage in found.stages for each in stage.statements}
        assert tried & {code, "peer-port-unknown"}


def beside(token: Token) -> Token:
    """Tells of another port than the one that the step sends from."""
    told = tuple(replace(each, last_port=each.last_port and each.last_port ^ 1) for each in token.behaviours)
    return replace(token, behaviours=told)


def test_what_costs_many_packets_is_repeated_a_few_times_only() -> None:
    """Birthday probing at a port that nobody sends from, for half an hour."""
    person = Person(edit=beside)
    both = swapped(
        kinds("symmetric-random", "port-restricted"), person, person, limit_s=1800.0, low_ports=False
    )
    for found in both:
        assert not found.connected
        planned = sum(step.packets[0] for step in found.plan if step.packets is not None)
        assert found.probes_sent == COSTLY_ROUNDS * planned > 0


@pytest.mark.parametrize(("busy", "stale"), [(10, False), (100, True)])
def test_a_counter_that_has_gone_on_is_told_of(busy: int, stale: bool) -> None:
    """Between the token and the punch others take ports of a NAT that counts."""
    sides = swapped(kinds("symmetric-sequential", "port-restricted"), Person(4.0), flows=busy, wait_s=200.0)
    told = [{each.code for stage in found.stages for each in stage.statements} for found in sides]
    assert ("tokens-stale" in told[0]) == stale
    assert "tokens-stale" not in told[1]
    assert all(found.connected is not stale for found in sides)
    if stale:
        assert all("tokens-tried" in each for each in told)
        assert any("Exchange new tokens" in found.advice for found in sides)
