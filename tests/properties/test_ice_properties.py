"""For any bytes an agent stays calm; over any network that lets something through both agree on a pair."""

from __future__ import annotations

import contextlib
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from icepipe import A1, A2, B1, B2, Pipe, host

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import ice, stun
from nattools.protocols.stun import constants as c

TYPES = [
    c.USERNAME,
    c.PRIORITY,
    c.USE_CANDIDATE,
    c.ICE_CONTROLLED,
    c.ICE_CONTROLLING,
    c.ERROR_CODE,
    c.XOR_MAPPED_ADDRESS,
    0xC001,
]
values = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"ours:them", bytes(8), bytes(4), b"\0\0\4\x57", b"", b"\0\1" + bytes(6)]),
)
kinds = st.sampled_from(["request", "indication", "success", "error"])
attributes = st.lists(st.tuples(st.sampled_from(TYPES), values), max_size=7).map(tuple)
passwords = st.sampled_from([None, b"p" * 24, b"q" * 24, b"x"])


def agent_at_work() -> tuple[ice.Agent, bytes]:
    """An agent with a check under way, and the check's transaction id."""
    agent = ice.Agent("controlling", ufrag="ours", password="p" * 24, rng=Random(1))
    agent.add_local_candidate(host(A1), 0.0)
    agent.add_remote_candidate(host(B1), 0.0)
    agent.set_remote_credentials("them", "q" * 24, 0.0)
    (check,) = agent.datagrams_to_send(0.0)
    return agent, check.data[8:20]


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    agent, _ = agent_at_work()
    agent.receive_datagram(data, A1, B1, 0.1)
    agent.datagrams_to_send(0.1)


@given(kinds, attributes, passwords, st.booleans(), st.booleans(), st.sampled_from([B1, B2]))
def test_any_message(
    kind: stun.Kind,
    said: tuple[tuple[int, bytes], ...],
    key: bytes | None,
    ours: bool,
    fingerprint: bool,
    source: Endpoint,
) -> None:
    """Signed with the right passwords, too: a peer that knows them may be hostile all the same."""
    agent, transaction_id = agent_at_work()
    message = stun.Message(stun.BINDING, kind, transaction_id if ours else bytes(12), said)
    data = stun.encode(message, key=key, fingerprint=fingerprint)
    for now in (0.1, 0.2):
        agent.receive_datagram(data, A1, source, now)
        agent.datagrams_to_send(now)
    if key not in (b"p" * 24, b"q" * 24):
        assert not any(pair.valid for pair in agent.pairs)
        assert not agent.is_authorised(A1, source)


@given(st.text(max_size=80), st.integers(0, 120), st.characters())
def test_any_candidate(text: str, position: int, letter: str) -> None:
    valid = "candidate:1 1 tcp 99 2a10::1 9 typ srflx raddr 10.0.0.1 rport 9 tcptype so via mapping"
    for attempt in (text, "candidate:" + text, valid[:position] + letter + valid[position + 1 :]):
        with contextlib.suppress(ProtocolError):
            candidate = ice.parse(attempt)
            assert ice.parse(ice.encode(candidate)).endpoint == candidate.endpoint


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.sampled_from(
        [("controlling", "controlled"), ("controlling", "controlling"), ("controlled", "controlled")]
    ),
    st.sets(st.sampled_from([(A1, B1), (A1, B2), (A2, B1), (A2, B2)]), min_size=1),
    st.booleans(),
)
def test_agreement(
    seed: int,
    loss: float,
    roles: tuple[ice.Role, ice.Role],
    working: set[tuple[Endpoint, Endpoint]],
    renomination: bool,
) -> None:
    """Over a network that loses, reorders and doubles nothing but time: one pair, the same on both sides."""
    rng = Random(seed)

    def fate(source: Endpoint, to: Endpoint, ttl: int | None) -> float | None:
        open_way = (source, to) in working or (to, source) in working
        return rng.uniform(0.001, 0.15) if open_way and rng.random() >= loss else None

    pipe = Pipe(fate, roles=roles, seed=seed, renomination=renomination)
    pipe.start((A1, A2), (B1, B2))
    pipe.run(39.0, pipe.connected)
    assert pipe.connected()
    loss = 0.0
    pipe.run(pipe.now + 15.0)
    assert pipe.connected(), "and still after every later nomination"
    pair = pipe.a.selected
    assert pair is not None
    assert (pair.local.endpoint, pair.remote.endpoint) in working
    assert pipe.a.role != pipe.b.role
