"""Plans for two measured machines."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nattools.model.nat import Nat, NatByTransport
from nattools.model.statement import statement
from nattools.traversal.plan.punchplan import MeasuredEnd, plan, predict
from nattools.wording import is_known, sentence

EIM, ADM, APDM = "endpoint-independent", "address-dependent", "address-and-port-dependent"


def nat(mapping: Any = EIM, filtering: Any = APDM, allocation: Any = "preserving", **more: Any) -> Nat:
    given: dict[str, Any] = {"reachable": True, "present": True, "distance_hops": 1, "rtt_ms": 20.0} | more
    return Nat(mapping=mapping, filtering=filtering, port_allocation=allocation, **given)


def end(udp4: Nat | None = None, *, low_ports: bool = False, **more: Nat) -> MeasuredEnd:
    return MeasuredEnd(nat=NatByTransport(udp4=udp4, **more), low_ports=low_ports)


HOME, RANDOM = nat(), nat(APDM, allocation="random")
SEQUENTIAL = nat(APDM, allocation="sequential", port_step=2)
BLOCKED = Nat(reachable=False)


def test_openers_die_behind_the_own_outermost_nat() -> None:
    step = plan(end(nat(distance_hops=2)), end(nat(distance_hops=None))).steps[0]
    assert step.schedules is not None
    assert (step.schedules[0].ttl, step.schedules[1].ttl) == (3, 2)


def test_roles_follow_the_sides() -> None:
    for turned in (False, True):
        ends = (end(RANDOM), end(HOME)) if turned else (end(HOME), end(RANDOM))
        step = plan(*ends).steps[0]
        assert step.strategy == "birthday"
        assert step.schedules is not None
        prober, opener = step.schedules[::-1] if turned else step.schedules
        assert (prober.sockets, prober.ports, opener.sockets, opener.ports) == (1, "pool", 320, "seen")


def test_the_step_of_a_counter_is_used() -> None:
    step = plan(end(HOME), end(SEQUENTIAL)).steps[0]
    assert step.schedules is not None
    assert (step.strategy, step.schedules[0].ports, step.schedules[0].step) == ("prediction", "next", 2)


@pytest.mark.parametrize(
    ("caller", "path"),
    [
        (nat(APDM, EIM, "random"), "relay"),
        (nat(APDM, ADM, "random"), "relay"),
        (nat(ADM, EIM, "random"), "direct"),
        (nat(APDM, EIM, "preserving"), "direct"),
    ],
)
def test_two_that_take_a_port_for_each_of_the_others_never_meet(caller: Nat, path: str) -> None:
    """However many each lets in: every answer leaves from a port that the other has not written to."""
    called = nat(APDM, EIM, "sequential", port_step=1)
    assert plan(end(caller), end(called)).path == path
    assert plan(end(called), end(caller)).path == path


def test_low_ports_make_the_impossible_possible_and_the_rest_cheaper() -> None:
    hard = plan(end(RANDOM), end(SEQUENTIAL))
    assert hard.path == "relay"
    assert hard.privilege is not None
    assert "our program" in sentence(hard.privilege)
    assert plan(end(RANDOM, low_ports=True), end(SEQUENTIAL)).path == "direct"
    cheap = plan(end(RANDOM, low_ports=True), end(HOME)).steps
    low = (512, 1023)
    assert [step.schedules[0].sources for step in cheap if step.schedules] == [low, None, low]


def test_two_random_sides_need_it_on_both() -> None:
    assert plan(end(RANDOM, low_ports=True), end(RANDOM)).path == "relay"
    assert plan(end(RANDOM, low_ports=True), end(RANDOM, low_ports=True)).path == "direct"


def test_tcp_where_udp_is_blocked() -> None:
    blocked = end(BLOCKED, tcp4=HOME)
    step = plan(blocked, end(HOME, tcp4=HOME)).steps[0]
    assert (step.strategy, step.transport) == ("simultaneous-open", "tcp")
    assert plan(blocked, end(HOME)).path == "unknown"
    assert plan(blocked, end(HOME, tcp4=nat(blocked_ports=(1,), open_ports=(443,)))).path == "relay"
    chance = plan(blocked, end(RANDOM, tcp4=nat(APDM, allocation="random"))).steps
    once = ("simultaneous-open", 0.9941)
    assert [(step.strategy, step.odds) for step in chance] == [once, once, ("relay", 1.0)]
    sure = plan(blocked, end(RANDOM, tcp4=nat(APDM, allocation="random", port_range=(2048, 2175)))).steps
    assert [(step.strategy, step.odds) for step in sure] == [("simultaneous-open", 1.0)]


def test_ipv6_goes_first() -> None:
    six = Nat(reachable=True, present=False, mapping="none", filtering=APDM, port_allocation="preserving")
    both = plan(end(RANDOM, udp6=six), end(RANDOM, udp6=six))
    assert (both.path, both.family) == ("direct", 6)


def test_what_is_not_known_is_said() -> None:
    assert plan(end(), end(HOME)).path == "unknown"
    assert plan(end(HOME), end(Nat(reachable=True))).unknown == statement(
        "plan-mapping-unmeasured", whose="its"
    )
    assert plan(end(nat(APDM, allocation="unknown")), end(HOME)).unknown == statement(
        "plan-allocation-unknown", whose="our"
    )


@pytest.mark.parametrize(("first", "second"), list(product(("home", "random", "sequential"), repeat=2)))
def test_both_sides_find_the_same_way(first: str, second: str) -> None:
    kinds = {"home": HOME, "random": RANDOM, "sequential": SEQUENTIAL}
    there, back = plan(end(kinds[first]), end(kinds[second])), plan(end(kinds[second]), end(kinds[first]))
    assert [step.strategy for step in there.steps] == [step.strategy for step in back.steps]
    assert there.odds == back.odds


NATS = st.builds(
    Nat,
    reachable=st.sampled_from([None, True, False]),
    present=st.sampled_from([None, True, False]),
    mapping=st.sampled_from(["none", EIM, ADM, APDM, "unknown"]),
    filtering=st.sampled_from([EIM, ADM, APDM, "unknown"]),
    port_allocation=st.sampled_from(["preserving", "sequential", "random", "unknown"]),
    port_step=st.one_of(st.none(), st.integers(-70000, 70000)),
    port_range=st.one_of(st.none(), st.tuples(st.integers(), st.integers())),
    port_block=st.sampled_from([None, True, False]),
    distance_hops=st.one_of(st.none(), st.integers()),
    rtt_ms=st.one_of(st.none(), st.floats()),
    blocked_ports=st.sampled_from([(), (80,)]),
)
ENDS = st.builds(
    MeasuredEnd,
    nat=st.builds(NatByTransport, udp4=st.one_of(st.none(), NATS), tcp4=st.one_of(st.none(), NATS)),
    low_ports=st.booleans(),
    low_ports_help=st.booleans(),
    outside=st.sampled_from([frozenset(), frozenset({"11.1.0.2"}), frozenset({"11.1.0.2", "2a10::7"})]),
)


@settings(max_examples=150, deadline=None)
@given(ENDS, ENDS)
def test_any_two_reports_give_a_bounded_plan(first: MeasuredEnd, second: MeasuredEnd) -> None:
    made = plan(first, second)
    assert made.odds is None or 0.0 <= made.odds <= 1.0
    assert made.steps or made.unknown
    for step in made.steps:
        assert is_known(step.reason)
        assert "{" not in sentence(step.reason)
        for schedule in step.schedules or ():
            assert schedule.rate_per_s <= 400
            assert schedule.packets <= 4096
            assert schedule.seconds < 30
            assert schedule.ttl is None or 1 <= schedule.ttl <= 33


def beside(udp4: Nat, *outside: str) -> MeasuredEnd:
    return MeasuredEnd(nat=NatByTransport(udp4=udp4), outside=frozenset(outside))


@pytest.mark.parametrize(
    ("hairpinning", "path", "odds"),
    [(None, "direct", None), (False, "unknown", 0.0), (True, "direct", 1.0)],
)
def test_behind_one_router_it_depends_on_hairpinning(
    hairpinning: bool | None, path: str, odds: float | None
) -> None:
    ends = [beside(nat(hairpinning=hairpinning), "11.1.0.2", "11.1.0.3") for _ in range(2)]
    made = plan(*ends)
    assert (made.path, made.odds) == (path, odds)
    apart = plan(ends[0], beside(nat(hairpinning=hairpinning), "11.2.0.2"))
    assert (apart.path, apart.odds) == ("direct", 1.0)


@pytest.mark.parametrize(("other", "path"), [("11.1.0.2", "unknown"), ("11.2.0.2", "relay")])
def test_two_behind_one_address_may_reach_each_other_inside(other: str, path: str) -> None:
    random = nat(APDM, allocation="random")
    ends = beside(random, "11.1.0.2"), beside(random, other)
    made = predict(*ends, ("A's", "B's"))
    assert made.path == path
    assert made.unknown is None or "11.1.0.2" in sentence(made.unknown)
    assert plan(*ends).path == "relay"  # who meets has tried that


def test_ipv6_addresses_of_one_network_are_behind_one_router() -> None:
    def over_ipv6(host: str) -> MeasuredEnd:
        firewall = nat("none", present=False, distance_hops=None)
        return MeasuredEnd(nat=NatByTransport(udp6=firewall), outside=frozenset({host}))

    assert plan(over_ipv6("2a10:1:0:1::2"), over_ipv6("2a10:1:0:1::3")).odds is None
    assert plan(over_ipv6("2a10:1:0:1::2"), over_ipv6("2a10:1:0:2::2")).odds == 1.0


def test_a_prefix_translator_that_sends_packets_back_makes_nothing_certain() -> None:
    def translated(host: str) -> MeasuredEnd:
        return MeasuredEnd(nat=NatByTransport(udp6=nat(hairpinning=True)), outside=frozenset({host}))

    made = plan(translated("2a10:1:0:1::2"), translated("2a10:1:0:1::3"))
    assert (made.path, made.odds, made.steps[0].reason.code) == ("direct", None, "step-one-router")


def test_no_way_leads_over_udp_where_it_gets_out_to_services_alone() -> None:
    office = nat(open_ports=(3478,), blocked_ports=(3479,))
    for ends in ((end(office), end(HOME)), (end(HOME), end(office))):
        made = plan(*(MeasuredEnd(nat=NatByTransport(udp4=each.nat.udp4, tcp4=nat())) for each in ends))
        assert {step.transport for step in made.steps} == {"tcp"}
    neither = plan(
        end(office, tcp4=nat(APDM, allocation="random")), end(HOME, tcp4=nat(APDM, allocation="random"))
    )
    assert (neither.path, neither.steps[0].reason.code) == ("relay", "relay-udp-ports")


def test_low_ports_that_do_not_stay_low_are_advised_to_nobody() -> None:
    stuck = MeasuredEnd(nat=NatByTransport(udp4=RANDOM), low_ports_help=False)
    assert plan(stuck, end(SEQUENTIAL)).privilege is None
    assert plan(stuck, end(RANDOM)).privilege is None
    assert plan(end(RANDOM), end(SEQUENTIAL)).privilege is not None


@pytest.mark.parametrize(
    ("allocation", "peer", "odds"),
    [
        ("preserving", HOME, 0.9),
        ("sequential", HOME, 0.45),
        ("sequential", nat(filtering="endpoint-independent"), 0.9),
        ("preserving", nat(ADM, pooling="per-destination", external=("11.2.0.2", "11.2.0.3")), 0.7087),
        ("sequential", nat(ADM, allocation="sequential"), 0.45),
    ],
)
def test_a_side_that_shows_each_peer_another_address_has_honest_odds(
    allocation: str, peer: Nat, odds: float
) -> None:
    """ICE checks all addresses; what is predicted besides is looked for at one."""
    uplinks = nat(ADM, allocation=allocation, pooling="per-destination", external=("11.1.0.2", "11.1.0.3"))
    assert plan(end(uplinks), end(peer)).steps[0].odds == odds
    assert plan(end(peer), end(uplinks)).steps[0].odds == odds


def test_the_last_of_birthday_probes_expire_nowhere() -> None:
    """Some NATs forget a port at an ICMP error; without openers that expire there would be none."""
    block = nat(APDM, allocation="random", port_block=True, port_range=(40000, 40511))
    first, last = plan(end(block), end(HOME)).direct_steps
    assert (first.odds, last.odds, last.reason.code) == (1.0, None, "step-without-ttl")
    assert first.schedules is not None
    assert last.schedules is not None
    assert first.schedules[0].ttl == 2
    assert {each.ttl for each in last.schedules} == {None}
    hidden = plan(end(nat(APDM, allocation="random", distance_hops=None)), end(HOME)).direct_steps
    assert [step.reason.code for step in hidden] == ["step-birthday"]
