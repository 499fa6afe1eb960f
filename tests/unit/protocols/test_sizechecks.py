"""Checks that fill a datagram, and what they tell: from the peer alone, and within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.protocols import ice, stun
from nattools.protocols.ice.sizechecks import (
    FOUND,
    FoundSize,
    binding_message,
    proves_arrival,
    size_check,
    telling_check,
    told_by,
)
from nattools.protocols.stun import constants as c

OWN, PEER = ice.Credentials("abcd", "a" * 22), ice.Credentials("efgh", "b" * 22)
ID = bytes(range(12))


def own_check() -> bytes:
    """One from OWN to PEER, as an agent makes it."""
    said = (
        (c.USERNAME, f"{PEER.ufrag}:{OWN.ufrag}".encode()),
        (c.PRIORITY, (1 << 24).to_bytes(4, "big")),
        (c.ICE_CONTROLLING, bytes(8)),
    )
    message = stun.Message(stun.BINDING, "request", bytes(12), said)
    return stun.encode(message, key=PEER.key, fingerprint=True)


def read(data: bytes) -> stun.Message:
    message = binding_message(data)
    assert message is not None
    return message


@given(st.integers(50, 2250))
def test_a_check_is_as_long_as_it_is_wanted_and_believed(words: int) -> None:
    data = size_check(own_check(), ID, PEER, words * 4)
    assert len(data) == words * 4
    message = read(data)
    assert message.transaction_id == ID
    assert stun.verify_integrity(message, PEER.key, algorithm="sha1")
    assert message.unknown_required() == ()


@pytest.mark.parametrize("found", [FoundSize(1280, True), FoundSize(1500, False), FoundSize(65_535, None)])
def test_the_peer_reads_what_was_found(found: FoundSize) -> None:
    message = read(telling_check(own_check(), ID, PEER, found))
    assert told_by(message, PEER, OWN) == found
    assert told_by(message, OWN, PEER) is None, "it is for somebody else"
    forged = ice.Credentials(PEER.ufrag, "c" * 22)
    assert told_by(read(telling_check(own_check(), ID, forged, found)), PEER, OWN) is None


@given(st.binary(max_size=8))
def test_nothing_but_a_size_within_bounds_is_taken(body: bytes) -> None:
    attributes = (*read(own_check()).attributes, (FOUND, body))
    message = stun.Message(stun.BINDING, "request", ID, attributes)
    got = told_by(read(stun.encode(message, key=PEER.key, fingerprint=True)), PEER, OWN)
    assert got is None or (len(body) == 4 and got.size >= 576)


def test_only_a_signed_answer_proves_that_a_check_arrived() -> None:
    answer = stun.Message(stun.BINDING, "error", ID, ((c.ERROR_CODE, stun.pack_error_code(420, "")),))
    assert proves_arrival(read(stun.encode(answer, key=PEER.key, fingerprint=True)), PEER)
    assert not proves_arrival(read(stun.encode(answer, key=OWN.key, fingerprint=True)), PEER)
    assert not proves_arrival(read(stun.encode(answer, fingerprint=True)), PEER)


@given(st.binary(max_size=80))
def test_whatever_else_comes_is_no_message(data: bytes) -> None:
    message = binding_message(data)
    assert message is None or message.method == stun.BINDING
