"""The STUN codec's rate beside aioice's: pytest tests/bench/test_stun_codec.py -o addopts= --benchmark-only

One round handles BATCH messages, so the loop around them counts for both alike. "repeated": always the same
client's address, as a keepalive has it; "fresh": each message has another one, more of them than any cache
could hold.
"""

import random
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest
from aioice import stun as aioice_stun
from bench.claims import claim

from nattools.model.endpoint import Endpoint
from nattools.protocols import stun

BATCH = 10_000
TRANSACTION = bytes(range(12))
KEY = b"VOkJxbRl1RmTxUk/WvJxBt"
REQUIRED_RATIO = 4.0

Work = Callable[[], Any]
Pair = tuple[Work, Work]


def endpoints(variety: str) -> list[Endpoint]:
    draw = random.Random(5769)
    if variety == "repeated":
        return [Endpoint("198.51.100.7", 40000)] * BATCH
    return [
        Endpoint(".".join(str(draw.randrange(256)) for _ in range(4)), draw.randrange(65536))
        for _ in range(BATCH)
    ]


def encoding(variety: str) -> Pair:
    batch = endpoints(variety)

    def ours() -> None:
        encode = stun.binding_success
        for mapped in batch:
            encode(TRANSACTION, mapped)

    def aioice() -> None:
        for mapped in batch:
            bytes(aioice_success(mapped))

    assert all(stun.binding_success(TRANSACTION, each) == bytes(aioice_success(each)) for each in batch)
    return ours, aioice


def aioice_success(mapped: Endpoint) -> aioice_stun.Message:
    attributes = {"XOR-MAPPED-ADDRESS": mapped}
    return aioice_stun.Message(
        aioice_stun.Method.BINDING, aioice_stun.Class.RESPONSE, TRANSACTION, attributes
    )


def parsing(variety: str) -> Pair:
    addresses = endpoints(variety)
    batch = [stun.binding_success(TRANSACTION, mapped) for mapped in addresses]

    def ours() -> None:
        decode = stun.decode
        for data in batch:
            _ = decode(data).mapped

    def aioice() -> None:
        parse = aioice_stun.parse_message
        for data in batch:
            _ = parse(data).attributes["XOR-MAPPED-ADDRESS"]

    assert [stun.decode(data).mapped for data in batch] == addresses
    return ours, aioice


def verifying(variety: str) -> Pair:
    batch = [
        stun.encode(stun.decode(stun.binding_success(TRANSACTION, mapped)), key=KEY)
        for mapped in endpoints(variety)
    ]

    def ours() -> int:
        return sum(stun.verify_integrity(stun.decode(data), KEY) for data in batch)

    def aioice() -> int:
        return sum(aioice_stun.parse_message(data).check_message_integrity(KEY) for data in batch)

    assert ours() == aioice() == BATCH
    return ours, aioice


TASKS = {"encode": encoding, "parse": parsing, "verify": verifying}
CASES = [(task, variety) for task in TASKS for variety in ("repeated", "fresh")]


@pytest.mark.parametrize("codec", ["nattools", "aioice"])
@pytest.mark.parametrize(("task", "variety"), CASES)
def test_rate(benchmark: Any, task: str, variety: str, codec: str) -> None:
    ours, aioice = TASKS[task](variety)
    benchmark.group = f"stun-{task} ({variety}, {BATCH} messages)"
    benchmark(ours if codec == "nattools" else aioice)


def seconds(work: Work) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


@pytest.mark.parametrize("task", ["encode", "parse"])
@pytest.mark.parametrize("variety", ["repeated", "fresh"])
def test_beside_aioice(benchmark: Any, task: str, variety: str) -> None:
    """Both by turns, so that a busy machine slows both alike; the median of the pairs counts."""
    ours, aioice = TASKS[task](variety)
    pairs = [(seconds(ours), seconds(aioice)) for _ in range(9)]
    ratio = statistics.median(theirs / own for own, theirs in pairs)
    benchmark.pedantic(ours, rounds=1)
    claim(
        benchmark,
        f"STUN Binding success, {task}, {variety} addresses, beside aioice",
        ours=f"{BATCH / statistics.median(own for own, _ in pairs):,.0f}/s",
        peer=f"{BATCH / statistics.median(theirs for _, theirs in pairs):,.0f}/s",
        ratio=ratio,
        target=f"at least {REQUIRED_RATIO:.0f}",
        met=ratio >= REQUIRED_RATIO,
    )
