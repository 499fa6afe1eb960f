"""Token buckets and places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nattools.model.endpoint import Endpoint
from nattools.server.limits import Occupancy, RateLimit, TokenBucket, source_key


def source(number: int) -> Endpoint:
    return Endpoint(f"11.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 4000)


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


def test_an_ipv6_site_is_one_source_and_an_ipv4_address_is_one() -> None:
    assert source_key(Endpoint("2a10:1::2", 1)) == source_key(Endpoint("2a10:1:0:0:ffff::9", 2))
    assert source_key(Endpoint("2a10:1::2", 1)) != source_key(Endpoint("2a10:1:0:1::2", 1))
    assert source_key(Endpoint("fe80::1%eth0", 1)) == source_key(Endpoint("fe80::2%eth1", 1))
    assert source_key(source(1)) != source_key(source(2))


def test_places_come_back() -> None:
    places = Occupancy(per_source=2, total=3)
    assert [places.enter(source(1)) for _ in range(3)] == [True, True, False]
    assert [places.enter(source(2)) for _ in range(2)] == [True, False]
    places.leave(source(1))
    assert places.enter(source(2))
    assert not places.enter(source(1))


@given(st.lists(st.floats(0, 2), max_size=40), st.floats(0.1, 5), st.integers(1, 3))
def test_the_quick_refusal_is_never_wrong(waits: list[float], rate: float, burst: int) -> None:
    limit = RateLimit(rate=rate, burst=burst, total_rate=1e6, total_burst=1e6)
    now = 1.0
    for wait in waits:
        now += wait
        refused = limit.refuses(source(1), now)
        assert not (limit.take(source(1), now) and refused)
