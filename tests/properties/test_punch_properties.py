"""Whatever a peer says of itself: it is understood or refused, and no plan made from it is without bounds."""

from __future__ import annotations

import contextlib
from typing import get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from peernetworks import NETWORKS

from nattools.engine.punch import signals as m
from nattools.engine.punch.planning import planned
from nattools.engine.punch.tokensignaling import external_endpoint, introduction_from_token
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.punch import Stage
from nattools.model.statement import Statement, Value
from nattools.protocols import ice
from nattools.traversal import tokens
from nattools.traversal.plan.stepbuilding import PROBES_PER_S
from nattools.traversal.plan.steps import Plan
from nattools.wording.punch import SENTENCES
from nattools.wording.texts import stage_with_text

MOST_PACKETS = 4096
"""Of one side in one step."""
LONGEST_S = 40.0
MOST_STEPS = 5
"""Two for each address family, and the relay."""

INTRODUCTIONS = st.builds(
    m.Introduction,
    nonce=st.integers(0, 2**62 - 1),
    nat=NETWORKS,
    low_ports=st.booleans(),
    udp=st.booleans(),
    tcp=st.booleans(),
    ufrag=st.text(max_size=8),
    password=st.text(max_size=8),
    candidates=st.lists(st.text(max_size=40), max_size=4).map(tuple),
)
ENDPOINTS = st.lists(st.text(max_size=5), max_size=3).map(tuple)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("type", "attempt", "step", "told", "nonce", "nat", "udp4", "port_range", "stages", "candidates")


def bounded(plan: Plan) -> None:
    assert len(plan.steps) <= MOST_STEPS
    for step in plan.steps:
        assert step.odds is None or 0.0 <= step.odds <= 1.0
        assert step.seconds is None or 0.0 <= step.seconds <= LONGEST_S
        assert all(0 <= count <= MOST_PACKETS for count in step.packets or ())
        for schedule in step.schedules or ():
            assert 0 < schedule.rate_per_s <= PROBES_PER_S
            assert schedule.packets <= MOST_PACKETS
            assert schedule.ttl is None or 1 <= schedule.ttl <= 64
            assert 0 <= schedule.hold_s <= LONGEST_S


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_a_protocol_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        m.decode(data)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.sampled_from(["ready", "story", "introduction"]))
def test_any_json_is_a_message_or_a_protocol_error(said: dict[str, object], kind: str) -> None:
    with contextlib.suppress(ProtocolError):
        message = m.decode(msgspec.json.encode({"type": kind, **said}))
        assert m.decode(m.encode(message)) == message


@given(
    st.sampled_from(sorted(SENTENCES)) | st.text(max_size=8),
    st.dictionaries(
        st.sampled_from(["limit_s", "silent_s", "endpoints", "steps", "odds", "problem", "count", "reason"])
        | st.text(max_size=4),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | ENDPOINTS,
    ),
    st.text(max_size=9),
)
def test_what_a_peer_states_is_always_a_text(code: str, values: dict[str, Value], text: str) -> None:
    """A code that this version does not know, or values that its sentence does not fit, do no harm."""
    said = Stage(at_s=0.0, side="here", stage="plan", text=text, statements=(Statement(code, values),))
    shown = stage_with_text(said)
    assert isinstance(shown.text, str)
    assert stage_with_text(shown) == shown
    if code not in SENTENCES and text:
        assert (shown.text, shown.statements) == (text, ())


@given(st.text())
def test_any_text_is_a_place_or_none(text: str) -> None:
    found = m.endpoint_of(text)
    assert found is None or 0 <= found.port <= 65535


@given(INTRODUCTIONS, INTRODUCTIONS, st.booleans())
def test_every_plan_is_bounded_and_both_draw_the_same(
    own: m.Introduction, peer: m.Introduction, leads: bool
) -> None:
    ours, theirs = planned(own, peer, leads=leads), planned(peer, own, leads=not leads)
    bounded(ours)
    told = [(step.strategy, step.transport, step.packets, step.schedules) for step in ours.steps]
    assert told == [(step.strategy, step.transport, step.packets, step.schedules) for step in theirs.steps]


PORTS = st.integers(0, 65535)
PLACES = st.builds(Endpoint, st.sampled_from(["10.0.0.1", "11.0.0.1", "127.0.0.1", "2a10::1"]), PORTS)
CANDIDATES = st.one_of(
    st.builds(tokens.TokenCandidate, st.sampled_from(get_args(tokens.CandidateKind)), PLACES),
    st.builds(
        tokens.TokenCandidate,
        st.sampled_from(get_args(tokens.CandidateKind)),
        PLACES,
        st.just("tcp"),
        st.sampled_from(get_args(tokens.TcpKind)),
    ),
)
BEHAVIOURS = st.builds(
    tokens.TokenBehaviour,
    transport=st.sampled_from(["udp", "tcp"]),
    mapping=st.sampled_from(get_args(tokens.Mapping)),
    filtering=st.sampled_from(get_args(tokens.Filtering)),
    allocation=st.sampled_from(get_args(tokens.Allocation)),
    step=st.integers(-(2**15), 2**15),
    block=st.none() | st.tuples(PORTS, PORTS),
    last_port=st.none() | PORTS,
    low_ports=st.booleans(),
)
TOKENS = st.builds(
    tokens.Token,
    public_key=st.binary(min_size=32, max_size=32),
    ufrag=st.just("abcd"),
    pwd=st.just("a" * 22),
    candidates=st.lists(CANDIDATES, max_size=4).map(tuple),
    behaviours=st.lists(BEHAVIOURS, max_size=3).map(tuple),
    relaying=st.sampled_from(get_args(tokens.Relaying)),
)


@given(TOKENS, TOKENS)
def test_every_plan_from_tokens_is_bounded(own: tokens.Token, peer: tokens.Token) -> None:
    said = introduction_from_token(peer)
    bounded(planned(introduction_from_token(own), said, leads=True))
    for text in said.candidates:
        assert ice.parse(text).endpoint.port
    for transport in ("udp", "tcp"):
        external_endpoint(peer, transport)  # type: ignore[arg-type]
