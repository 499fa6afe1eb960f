"""The analysis never raises, and less evidence never turns a right verdict into another one."""

from __future__ import annotations

import random
from collections import Counter
from functools import reduce
from itertools import combinations, pairwise, permutations
from math import gcd
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_nats import CORNERS, PLAIN, World, hop, idle, measurement, opener

from nattools.engine.analyse import analyse
from nattools.engine.analysis.nat.allocation import (
    dense_step,
    mostly_ordered_step,
    ordered_step,
    step_but_for_one,
)
from nattools.engine.analysis.nat.portorder import Taken, chance_of_even_gaps, chance_of_inversions, unwrapped
from nattools.model.errortrialseen import ErrorTrial
from nattools.model.mappingseen import MapAttempt, MapCheck, MapEntry, MapOffer
from nattools.model.observation import (
    AnyObservation,
    Binding,
    BirthdayTrial,
    Connection,
    DialBack,
    Gap,
    Hairpin,
    Hop,
    Idle,
    Opener,
    PunchTrial,
    Resolution,
    SecondOpinion,
)
from nattools.model.report import Report
from nattools.net.addresses import is_public
from nattools.traversal.plan.odds import odds

ENDPOINTS = st.one_of(
    st.sampled_from([str(corner) for corner in (*CORNERS, PLAIN)]),
    st.sampled_from(
        ["10.0.1.2:5000", "11.1.0.2:5000", "11.1.0.2:5001", "[2a10::1]:3478", "[fe80::1%eth0]:5"]
    ),
    st.sampled_from(["", "nonsense", ":", "1.2.3.4:99999", "0.0.0.0:0", "[::]:1", "1.2.3.4:\u0663"]),
    st.text(max_size=12),
)
HOSTS = st.sampled_from(["10.0.1.1", "100.64.0.1", "11.1.0.1", "100.x.1.1", "", "fe80::1%e", "2a10::1"])
COUNTS = st.integers(min_value=-1, max_value=10**6)
SECONDS = st.floats(allow_nan=True, allow_infinity=True)
TYPES = (
    Binding, Hairpin, Idle, Hop, Opener, DialBack, Connection, Resolution, SecondOpinion, Gap, MapOffer,
    MapAttempt, MapCheck, MapEntry, PunchTrial, BirthdayTrial, ErrorTrial,
)  # fmt: skip
ADDRESSES = {
    "asked", "source", "mapped", "other_address", "response_origin", "local", "target", "towards", "remote",
    "origin", "destination", "internal", "external",
}  # fmt: skip


def any_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    """A well-typed observation with plausible and absurd contents."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for info in msgspec.structs.fields(kind):
        name = info.encode_name
        optional = "None" in str(info.type)
        if name in ADDRESSES:
            fields[name] = st.none() | ENDPOINTS if optional else ENDPOINTS
        elif name == "address":
            fields[name] = st.none() | HOSTS
        elif name in ("sent", "received", "ttl", "id", "sockets", "planned", "open", "entered"):
            fields[name] = COUNTS
        elif name in ("at_s", "waited_s", "idle_s"):
            fields[name] = SECONDS
        elif name == "rtt_s":
            fields[name] = st.none() | SECONDS
    return st.builds(kind, **fields)


OBSERVATIONS = st.lists(st.one_of(*[any_of(kind) for kind in TYPES]), max_size=25)
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@RELAXED
@given(OBSERVATIONS)
def test_it_never_raises(observations: list[AnyObservation]) -> None:
    report = analyse(measurement(tuple(observations)), is_public=is_public)
    assert isinstance(report, Report)
    assert report.advice is not None
    msgspec.json.encode(report)


@RELAXED
@given(OBSERVATIONS)
def test_it_is_a_function_of_the_observations(observations: list[AnyObservation]) -> None:
    first, again = (
        msgspec.json.encode(analyse(measurement(tuple(observations)), is_public=is_public)) for _ in range(2)
    )
    assert first == again


BEHAVIOURS = ["endpoint-independent", "address-dependent", "address-and-port-dependent"]
KINDS = st.fixed_dictionaries(
    {
        "nat": st.sampled_from([True, True, True, False]),
        "mapping": st.sampled_from(BEHAVIOURS),
        "filtering": st.sampled_from(BEHAVIOURS),
        "allocation": st.sampled_from(["preserving", "sequential", "random", "block"]),
        "hairpinning": st.booleans(),
        "loss": st.sampled_from([0.0, 0.05, 0.1]),
        "seed": st.integers(0, 50),
    }
)


def truth(kind: dict[str, Any]) -> dict[str, Any]:
    """What may be said of such a network; unknown may always be said."""
    port_varies = kind["allocation"] != "preserving"
    found: dict[str, Any] = {
        "present": kind["nat"],
        "filtering": kind["filtering"],
        "hairpinning": kind["hairpinning"] if kind["nat"] else None,
        "mapping": kind["mapping"] if kind["nat"] else "none",
    }
    if kind["nat"] and not port_varies and kind["mapping"] != "endpoint-independent":
        del found["mapping"]  # it keeps the port towards the first destination; not a kind of the model
    return found


@RELAXED
@given(KINDS, st.randoms(use_true_random=False), st.floats(0.0, 1.0))
def test_less_evidence_gives_the_same_verdict_or_unknown(
    kind: dict[str, Any], draw: Any, kept: float
) -> None:
    world = World(**kind).measure()
    world.ask("mapping", world.fresh(), PLAIN, other=None)
    extra = [hop(1, "10.0.1.1"), hop(2, "11.1.0.1"), opener(2, True), idle(28.0, True), idle(32.0, False)]
    observations = [*world.seen, *(msgspec.structs.replace(o, id=900 + i) for i, o in enumerate(extra))]
    some = tuple(observation for observation in observations if draw.random() < kept)
    nat = analyse(measurement(some, host=world.host), is_public=is_public).nat.udp4
    for name, value in truth(kind).items():
        said = getattr(nat, name) if nat is not None else None
        assert said in (value, None, "unknown"), (name, said)


@given(st.lists(st.integers(1024, 65535), min_size=5, max_size=20, unique=True))
def test_a_step_divides_all_steps(ports: list[int]) -> None:
    step = ordered_step(sorted(ports))
    if step is not None:
        assert all((port - min(ports)) % step == 0 for port in ports)
    dense = dense_step(ports)
    assert dense is None or all((port - min(ports)) % dense == 0 for port in ports)


@given(st.integers(1, 65000), st.integers(1, 12), st.integers(8, 20))
def test_ports_in_order_are_sequential(start: int, step: int, count: int) -> None:
    ports = [1024 + (start + step * index) % 64512 for index in range(count)]
    assert ordered_step(ports) == step or ports != sorted(ports)
    assert ordered_step(ports[::-1]) == -step or ports != sorted(ports)


@given(st.integers(1024, 60000), st.integers(1, 4), st.integers(0, 9), st.integers(1024, 65535))
def test_one_port_of_an_old_mapping_hides_no_sequence(start: int, step: int, place: int, old: int) -> None:
    ports = [start + step * index for index in range(10)]
    ports[place] = old
    assert step_but_for_one(ports, keeps_parity=True) == step


@given(st.integers(1024, 60000), st.lists(st.integers(9, 12), min_size=11, max_size=11), st.integers(0, 9))
def test_two_ports_that_changed_places_hide_no_counter(start: int, steps: list[int], place: int) -> None:
    ports = [start + sum(steps[:index]) for index in range(12)]
    ports[place], ports[place + 1] = ports[place + 1], ports[place]
    common = gcd(*steps)
    assert mostly_ordered_step(one_by_one(ports)) == common
    assert mostly_ordered_step(one_by_one(ports[::-1])) == -common


@pytest.mark.parametrize(
    "ports",
    [
        [4477, 4401, 21126, 18668, 16818, 16635, 14998],  # of 1024 to 32767, "wrapped"
        [49006, 48889, 48836, 47916, 46938, 44398],  # of Linux' local ports
    ],
)
def test_ports_of_a_short_range_fall_by_chance(ports: list[int]) -> None:
    assert ordered_step(ports) is None
    assert step_but_for_one([*ports, 18033], keeps_parity=True) is None


@given(st.integers(65300, 65535), st.integers(1, 12), st.integers(8, 20))
def test_a_counter_goes_on_at_the_lowest_port(start: int, step: int, count: int) -> None:
    onward = [start + step * index for index in range(count)]
    ports = [port if port <= 65535 else port - 64512 for port in onward]
    assert unwrapped(ports) == onward
    if onward[-1] > 65535:
        assert dense_step(unwrapped(ports[1::2] + ports[::2])) == step


def one_by_one(ports: list[int]) -> Taken:
    """Taken in this order."""
    return Taken([[[port]] for port in ports])


def test_ports_of_tests_side_by_side_are_in_order_each_by_itself() -> None:
    first, second = [100 + 5 * place for place in range(8)], [60 + 7 * place for place in range(8)]
    assert mostly_ordered_step(Taken([[first, second]])) == 1
    assert mostly_ordered_step(Taken([[[*first, *second]]])) is None
    assert mostly_ordered_step(Taken([[[40]], [first, second], [[150]], [[152]]])) == 1


@pytest.mark.parametrize(
    "sizes", [((4,),), ((1,), (1,), (1,)), ((2, 1),), ((2, 2), (1,)), ((1,), (2, 1), (2,))]
)
def test_the_chance_of_few_falling_pairs_is_that_of_all_permutations(
    sizes: tuple[tuple[int, ...], ...],
) -> None:
    """Counted out."""
    count = sum(map(sum, sizes))
    fallen: Counter[int] = Counter()
    shape = Taken([])
    for order in permutations(range(count)):
        ports = iter(order)
        shape = Taken([[[next(ports) for _ in range(size)] for size in moment] for moment in sizes])
        fallen[shape.pairs()[0]] += 1
    for most in range(max(fallen) + 1):
        counted = sum(times for pairs, times in fallen.items() if pairs <= most) / fallen.total()
        assert chance_of_inversions(shape, most) == pytest.approx(counted)


@pytest.mark.parametrize("step", [1, 2])
def test_chance_of_even_gaps_is_counted(step: int) -> None:
    """Of all that five or six ports of a short stretch can be, its ends among them."""
    for inner, room in ((3, 9), (4, 12)):
        drawn = [(0, *between, room) for between in combinations(range(1, room), inner)]
        least = Counter(min(after - before for before, after in pairwise(each)) for each in drawn)
        for ports in drawn:
            gaps = [after - before for before, after in pairwise(ports)]
            if reduce(gcd, gaps) == 1:
                apart = sum(times for gap, times in least.items() if gap >= min(gaps))
                chance = chance_of_even_gaps([20000 + step * port for port in ports])
                assert chance == pytest.approx(apart / len(drawn))


@pytest.mark.parametrize("block", [64, 512, 2048])
def test_random_ports_are_seldom_far_apart(block: int) -> None:
    """Ports of a block are unknown for that in one case of 10,000: of 5,000 draws hardly ever in five."""
    chance = random.Random(block)
    rare = sum(
        chance_of_even_gaps(chance.sample(range(20480, 20480 + block), count)) < 0.0001
        for count in (5, 8, 12, 20, 30)
        for _ in range(1000)
    )
    assert rare < 5


@given(st.integers(0, 512), st.integers(0, 600), st.integers(1, 2000))
def test_odds_are_a_probability(sockets: int, probes: int, ports: int) -> None:
    assert 0.0 <= odds(min(sockets, ports), probes, ports) <= 1.0
    assert odds(min(sockets, ports), probes, ports) <= odds(min(sockets, ports), probes + 1, ports) + 1e-12


@pytest.mark.parametrize("block", [64, 128, 512, 4096, 64512])
def test_random_ports_are_not_taken_for_a_sequence(block: int) -> None:
    """Whatever the block, chance must not look like counting: not in any of thousands of short samples."""
    chance = random.Random(block)
    base = 1024 if block == 64512 else 20480
    for count in (3, 4, 5, 6, 8, 12, 20):
        for _ in range(1500):
            ports = chance.sample(range(base, base + block), count)
            assert ordered_step(ports) is None, ports
            assert dense_step(ports) is None, ports
            assert step_but_for_one(ports, keeps_parity=True) is None, ports
            assert mostly_ordered_step(one_by_one(ports)) is None, ports
            assert mostly_ordered_step(Taken([[ports[::2], ports[1::2]]])) is None, ports
