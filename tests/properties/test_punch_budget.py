"""Whatever a peer and its mailbox say: no more packets, no more addresses and no more time than announced."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import msgspec
from hostile import Foe, against, introduction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peernetworks import NETWORKS

from nattools.engine.punch import signals as m
from nattools.engine.punch.connection import ESTABLISH_S
from nattools.model.endpoint import Endpoint
from nattools.protocols import ice
from nattools.protocols.mailbox import messages as m_mailbox
from nattools.server.mailbox import Mailbox, OutgoingText
from nattools.traversal.budget import DAY_S, MOST, PROOFS, Budget

HOSTS = st.integers(0, 9).map(lambda at: f"11.{60 + at}.0.1") | st.integers(0, 255).map(
    lambda at: f"11.70.0.{at}"
)
PORTS = st.integers(1, 65_535)
CONVERSATIONS = int(os.environ.get("NATTOOLS_CONVERSATIONS", "60"))
Fate = Callable[[OutgoingText], list[OutgoingText]]
"""What a mailbox says in place of what it should."""
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


def as_it_is(out: OutgoingText) -> list[OutgoingText]:
    return [out]


def says(message: m_mailbox.FromMailbox) -> Fate:
    """Something else, to the same peer."""
    return lambda out: [out._replace(text=m_mailbox.encode(message), last=False)]


FATES: list[Fate] = [
    lambda _: [],
    lambda out: [out, out],
    lambda out: [out._replace(last=True)],
    lambda out: [out._replace(text=b'{"type":"relay","body":"AAAA"}'), out],
    lambda out: [out._replace(text=b"[" * 20_000)],
    *(says(m_mailbox.Peer(present)) for present in (True, False)),
    *(says(m_mailbox.Closed(reason)) for reason in ("expired", "replaced", "left", "rate")),
    *(says(m_mailbox.Joined(number, True)) for number in (1, 77)),
]


@contextmanager
def mailbox_that(fates: list[Fate]) -> Iterator[None]:
    """Of what it should say, the first texts meet these fates."""
    left = iter(fates)
    receive = Mailbox.receive

    def evil(self: Mailbox, number: int, text: bytes, now: float) -> list[OutgoingText]:
        return [each for out in receive(self, number, text, now) for each in next(left, as_it_is)(out)]

    with patch.object(Mailbox, "receive", evil):
        yield


@settings(max_examples=CONVERSATIONS, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    fates=st.lists(st.just(as_it_is) | st.sampled_from(FATES), max_size=60),
    said=st.lists(introductions() | SAID, max_size=12),
    first=introductions(),
    kind=st.sampled_from(["port-restricted", "symmetric-random", "symmetric-sequential"]),
)
def test_nothing_that_a_peer_and_its_mailbox_say_costs_more_than_announced(
    fates: list[Fate], said: list[m.Message | float | bytes], first: m.Introduction, kind: str
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

    with mailbox_that(fates):
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
