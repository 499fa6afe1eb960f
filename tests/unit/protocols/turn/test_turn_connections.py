"""TCP through a relay, the client's side (RFC 6062 4)."""

import pytest
from scriptedrelay import PEER, SERVER, ScriptedRelay, converse

from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.turn.clientallocation import NotConnected, PeerConnected
from nattools.protocols.turn.refusal import TurnRefusal
from nattools.protocols.turn.requests import AllocationSpec


def test_it_asks_for_tcp() -> None:
    relay = ScriptedRelay()
    found = converse(relay, AllocationSpec(tcp=True), stream=True)
    assert relay.requests[0].requested_transport == 6
    assert found.allocation.state == "standing"


def test_the_relay_connects_to_a_peer() -> None:
    found = converse(spec=AllocationSpec(tcp=True), stream=True)
    found.allocation.connect(PEER)
    found.settle()
    assert found.relay.of(c.CONNECT)[0].peers == (PEER,)
    assert found.events == [PeerConnected(PEER, 77, offered=False)]


@pytest.mark.parametrize("code", [400, 403, 437, 446, 447, 486, 500, 508])
def test_or_says_why_not(code: int) -> None:
    found = converse(spec=AllocationSpec(tcp=True), stream=True)
    found.relay.refuses[c.CONNECT] = code
    found.allocation.connect(PEER)
    found.settle()
    assert found.events == [NotConnected(PEER, TurnRefusal("connect", "failed", code, "its own words"))]


def test_an_answer_without_a_number() -> None:
    found = converse(spec=AllocationSpec(tcp=True), stream=True)
    found.relay.answers[c.CONNECT] = lambda request: found.relay.sign(
        stun.Message(request.method, "success", request.transaction_id)
    )
    found.allocation.connect(PEER)
    found.settle()
    (event,) = found.events
    assert isinstance(event, NotConnected)
    assert "no connection id" in event.refusal.reason


def test_a_peer_connects_to_the_relay() -> None:
    allocation = converse(spec=AllocationSpec(tcp=True), stream=True).allocation
    attributes = (
        (c.CONNECTION_ID, (9).to_bytes(4, "big")),
        (c.XOR_PEER_ADDRESS, stun.pack_xor_address(PEER, bytes(12))),
    )
    data = stun.encode(stun.Message(c.CONNECTION_ATTEMPT, "indication", bytes(12), attributes))
    assert allocation.receive_datagram(data, SERVER, 0.0)
    assert allocation.take_events() == [PeerConnected(PEER, 9, offered=True)]


@pytest.mark.parametrize("code", [None, 400, 437, 500])
def test_a_connection_is_taken_over_with_the_same_credentials(code: int | None) -> None:
    found = converse(spec=AllocationSpec(tcp=True), stream=True)
    if code is not None:
        found.relay.refuses[c.CONNECTION_BIND] = code
    transaction = found.allocation.connection_bind(77)
    ((data, to),) = transaction.datagrams_to_send(0.0)
    assert to == SERVER
    (answer,) = found.relay.receive(data)
    transaction.receive_datagram(answer, SERVER, 0.0)
    assert found.relay.of(c.CONNECTION_BIND)[0].connection_id == 77
    assert transaction.state == ("succeeded" if code is None else "failed")
