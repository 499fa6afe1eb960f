"""Token buckets and slots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.model.endpoint import Endpoint
from nattools.server.limits import Occupancy, RateLimit, Slot, Slots, TokenBucket


def source(number: int) -> Endpoint:
    """Each in a network of its own."""
    return Endpoint(f"11.{number >> 8 & 255}.{number & 255}.9", 4000)


def site(number: int) -> Endpoint:
    """One of the 65,536 /64s of a /48."""
    return Endpoint(f"2a10:1:1:{number:x}::2", 4000)


@given(st.lists(st.floats(0, 10), max_size=60), st.floats(0.1, 20), st.integers(1, 10))
def test_a_bucket_never_gives_more_than_its_burst_and_rate(
    waits: list[float], rate: float, burst: int
) -> None:
    bucket = TokenBucket(rate, burst)
    now = given = 0.0
    for wait in waits:
        now += wait
        given += bucket.take(now)
    assert given <= burst + now * rate + 1e-6


def test_a_bucket_fills_with_time() -> None:
    bucket = TokenBucket(2, 3)
    assert [bucket.take(10) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(11) for _ in range(3)] == [True, True, False]
    assert not bucket.take(100, cost=4)
    assert bucket.take(100, cost=3)


def test_a_clock_that_jumps_back_gives_nothing() -> None:
    bucket = TokenBucket(1, 1)
    assert bucket.take(100)
    assert not bucket.take(50)
    assert not bucket.take(100.5)
    assert bucket.take(101)


def test_what_one_source_is_refused_costs_the_others_nothing() -> None:
    limit = RateLimit(rate=0, burst=2, total_rate=0, total_burst=4)
    assert [limit.take(source(1), 0) for _ in range(10)] == [True] * 2 + [False] * 8
    assert [limit.take(source(2), 0) for _ in range(3)] == [True, True, False]
    assert not limit.take(source(3), 0), "all sources together have had their share"


def test_the_table_of_sources_is_bounded_and_forgets_the_oldest() -> None:
    limit = RateLimit(rate=0, burst=1, total_rate=0, total_burst=1e9, sources=10)
    for number in range(1000):
        assert limit.take(source(number), 0)
        assert not limit.take(source(0), 0), "this one is heard again and again, and so remembered"
    assert limit.remembered == 10


@pytest.mark.parametrize(
    ("sources", "granted"),
    [
        ([Endpoint(f"2a10:1::{host:x}", 1) for host in range(1, 100)], 10),
        ([Endpoint(f"2a10:1:1:{net:x}::2", 1) for net in range(100)], 20),
        ([Endpoint(f"2a10:1:1:{net:x}::2", 1) for net in range(0, 0x8000, 0x80)], 40),
        ([Endpoint(f"fe80::{host:x}%eth{host}", 1) for host in range(1, 100)], 10),
        ([Endpoint(f"11.1.0.{host}", 1) for host in range(1, 100)], 80),
        ([Endpoint(f"11.1.{net}.1", 1) for net in range(100)], 500),
    ],
    ids=["a /64", "the /64s of a /56", "the /64s of a /48", "a link", "an IPv4 /24", "IPv4 networks"],
)
def test_a_network_has_a_few_times_what_one_source_has(sources: list[Endpoint], granted: int) -> None:
    limit = RateLimit(rate=0, burst=10, total_rate=0, total_burst=500)
    slots = Occupancy(per_source=10, total=500)
    tries = [each for each in sources for _ in range(10)]
    assert sum(limit.take(each, 0) for each in tries) == granted
    assert sum(slots.enter(each) for each in tries) == granted


def test_many_addresses_of_a_network_do_not_make_it_forgotten() -> None:
    limit = RateLimit(rate=0, burst=1, total_rate=0, total_burst=1e9, sources=10)
    assert sum(limit.take(site(number), 0) for number in range(1000)) == 4


def test_who_comes_to_a_full_house_gets_the_place_of_the_longest_idle_in_the_largest_crowd() -> None:
    slots = Slots(per_source=2, total=4)
    lost: list[str] = []

    def enter(name: str, source: Endpoint) -> Slot:
        slot = slots.enter(source, lambda: lost.append(name))
        assert slot is not None
        return slot

    enter("alice", source(1))
    first = enter("mallory's first", site(1))
    enter("mallory's second", site(2))
    enter("mallory's third", site(3))
    first.use()
    bob = enter("bob", source(2))
    assert lost == ["mallory's second"]
    assert slots.taken == 4
    bob.leave()
    bob.leave()
    enter("carol", source(3))
    assert lost == ["mallory's second"]
    assert slots.taken == 4


def test_a_source_cannot_take_the_places_of_others_by_coming_again() -> None:
    slots = Slots(per_source=2, total=4)
    taken = [slots.enter(source(1), lambda: None) for _ in range(3)]
    assert taken[2] is None


def test_places_come_back() -> None:
    slots = Occupancy(per_source=2, total=3)
    assert [slots.enter(source(1)) for _ in range(3)] == [True, True, False]
    assert [slots.enter(source(2)) for _ in range(2)] == [True, False]
    slots.leave(source(1))
    assert slots.enter(source(2))
    assert not slots.enter(source(1))


@given(st.lists(st.floats(0, 2), max_size=40), st.floats(0.1, 5), st.integers(1, 3))
def test_the_quick_refusal_is_never_wrong(waits: list[float], rate: float, burst: int) -> None:
    limit = RateLimit(rate=rate, burst=burst, total_rate=1e6, total_burst=1e6)
    now = 1.0
    for wait in waits:
        now += wait
        refused = limit.refuses(source(1), now)
        assert not (limit.take(source(1), now) and refused)
