"""Whatever a peer or a token says: no more packets, no more addresses and no more time than announced."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hostile import Foe, against, introduction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peernetworks import NETWORKS

from nattools.engine.punch import signals as m
from nattools.engine.punch.connection import ESTABLISH_S
from nattools.model.endpoint import Endpoint
from nattools.protocols import ice
from nattools.traversal.budget import DAY_S, MOST, PROOFS, Budget

HOSTS = st.integers(0, 9).map(lambda at: f"11.{60 + at}.0.1") | st.integers(0, 255).map(
    lambda at: f"11.70.0.{at}"
)
PORTS = st.integers(1, 65_535)
KINDS = (
    "port-restricted",
    "symmetric-random",
    "symmetric-sequential",
    "udp-blocked",
    "open",
)


@st.composite
def candidates(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["host", "srflx", "prflx", "relay"]))
    mapped = draw(st.booleans()) and kind == "srflx"
    place = Endpoint(draw(HOSTS), draw(PORTS))
    return ice.encode(ice.local_candidate(kind, place, base=place, mapped=mapped))


NUMBERS = st.integers(0, 3)
SAID = st.one_of(
    st.builds(m.LateCandidate, attempt=NUMBERS, candidate=candidates()),
    st.builds(
        m.StepReady,
        attempt=NUMBERS,
        step=st.integers(0, 5),
        told=st.none() | st.builds(lambda host, port: f"{host}:{port}", HOSTS, PORTS),
    ),
    st.builds(m.AttemptBegun, attempt=NUMBERS),
    st.floats(0.0, 20.0),
    st.binary(max_size=20),
)


@st.composite
def introductions(draw: st.DrawFn) -> m.Introduction:
    said: dict[str, Any] = {
        "attempt": draw(NUMBERS),
        "candidates": tuple(draw(st.lists(candidates(), max_size=48))),
        "udp": draw(st.booleans()),
        "asks_router": draw(st.booleans()),
        "nonce": draw(st.sampled_from([0, 2**62 - 1])),
    }
    if draw(st.booleans()):
        said["nat"] = draw(NETWORKS)
    return introduction(draw(st.sampled_from(KINDS)), **said)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    said=st.lists(introductions() | SAID, max_size=12),
    first=introductions(),
    kind=st.sampled_from(["port-restricted", "symmetric-random", "symmetric-sequential"]),
)
def test_nothing_that_a_peer_says_costs_more_than_announced(
    said: list[m.Message | float | bytes], first: m.Introduction, kind: str
) -> None:
    async def foe(foe: Foe) -> None:
        foe.say(msgspec.structs.replace(first, attempt=0))
        for step in range(6):
            foe.say(m.StepReady(attempt=0, step=step, told="11.3.0.2:5000"))
        for each in said:
            if isinstance(each, float):
                await asyncio.sleep(each)
            else:
                foe.say(each)
        while await foe.heard() is not None:
            pass

    seen = against(foe, kind=kind, limit_s=2 * ESTABLISH_S)
    seen.kept_to_it()
    assert seen.took_s < ESTABLISH_S + 60.0


TAKEN = st.tuples(st.floats(0, 5000), st.integers(0, 60), st.integers(1, 3000), st.booleans())


@given(st.lists(TAKEN, max_size=60), st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_a_budget_holds_for_any_order_of_things(
    taken: list[tuple[float, int, int, bool]], planned: list[int]
) -> None:
    now = 0.0
    budget = Budget(lambda: now)
    for count in planned:
        limit = budget.announce(count, 600)
    assert limit.packets <= MOST
    lost: dict[str, int] = {}
    total = proofs = 0
    began: float | None = None
    for later, host, count, proven in taken:
        now += later
        if began is None or now - began >= DAY_S:
            began, proofs, total = now, 0, 0
            lost.clear()
        name = f"11.0.0.{host}"
        sent = sum(budget.take(Endpoint(name, port + 1)) for port in range(count))
        total += sent
        if sent:
            lost[name] = lost.get(name, 0) + sent
        if proven and proofs < PROOFS:
            proofs += 1
            lost.pop(name, None)
            budget.proven(Endpoint(name, 1))
        assert sum(lost.values()) <= limit.packets
        assert len(lost) <= limit.addresses
        assert total <= (PROOFS + 1) * limit.packets
