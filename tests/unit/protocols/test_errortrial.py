"""Requests and answers of error trials: what is written is read, and anything else is an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import errortrial, provenrequest, pwnat, stun
from nattools.protocols.errortrial import TrialAsk, TrialKind, TrialRequest, TrialResult

ID = bytes(range(12))
SERVER = Endpoint("11.201.0.2", 3478)


@pytest.mark.parametrize("kind", ["quote-beacon", "quote-server", "tell"])
def test_a_request_is_read_as_it_was_written(kind: TrialKind) -> None:
    ask = TrialAsk(kind, 4000, b"12345678", 8)
    data = errortrial.encode_request(ID, ask, b"c" * 16)
    assert errortrial.decode_request(stun.decode(data)) == (ask, b"c" * 16)
    # no answer to an unproven source is longer
    assert len(provenrequest.encode_challenge(errortrial.METHOD, ID, b"c" * 16)) <= len(data)


@pytest.mark.parametrize(
    "result",
    [
        TrialResult("sent", Endpoint("11.1.0.2", 4000)),
        TrialResult("arrived", Endpoint("11.1.0.2", 4000), "10.0.1.2"),
        TrialResult("missing"),
    ],
)
def test_a_result_is_read_as_it_was_written(result: TrialResult) -> None:
    assert errortrial.decode_result(stun.decode(errortrial.encode_result(ID, result))) == result


@pytest.mark.parametrize(
    "wrong", [(0, b"12345678", 1), (65536, b"12345678", 1), (1, b"1", 1), (1, b"12345678", 9)]
)
def test_what_cannot_be_asked(wrong: tuple[int, bytes, int]) -> None:
    with pytest.raises(ValueError):
        TrialAsk("tell", *wrong)


@given(st.binary(max_size=64))
def test_anything_else_is_an_error(value: bytes) -> None:
    message = stun.Message(errortrial.METHOD, "request", ID, ((errortrial.ERROR_TRIAL, value),))
    try:
        errortrial.decode_request(message)
    except ProtocolError:
        return
    assert len(value) == 12


@pytest.mark.parametrize("kind", ["request", "error", "indication"])
def test_another_kind_of_message_is_no_result(kind: stun.Kind) -> None:
    with pytest.raises(ProtocolError):
        errortrial.decode_result(stun.Message(errortrial.METHOD, kind, ID, ()))


def test_the_client_sends_its_cookie_back() -> None:
    request = TrialRequest(TrialAsk("tell", 4000, b"12345678"), SERVER, 0.0, rto_s=0.1, patience_s=0.8)
    ((first, to),) = request.datagrams_to_send(0.0)
    assert to == SERVER
    identity = stun.decode(first).transaction_id
    challenge = provenrequest.encode_challenge(errortrial.METHOD, identity, b"c" * 16)
    assert not request.receive_datagram(challenge, Endpoint("11.9.9.9", 1), 0.1)
    assert request.receive_datagram(challenge, SERVER, 0.1)
    ((second, _),) = request.datagrams_to_send(0.1)
    ask, cookie = errortrial.decode_request(stun.decode(second))
    assert (ask.kind, cookie) == ("tell", b"c" * 16)
    answer = errortrial.encode_result(stun.decode(second).transaction_id, TrialResult("missing"))
    assert request.receive_datagram(answer, SERVER, 0.2)
    assert request.result == TrialResult("missing")
    assert request.next_timeout() is None


def test_the_error_is_the_one_that_a_caller_sends() -> None:
    """Which scapy builds; the header checksum is scapy's too."""
    own, asker, nonce = "11.201.0.2", Endpoint("11.1.0.2", 4000), b"12345678"
    ours = errortrial.crafted_error(own, asker, pwnat.TARGETS[0], nonce)
    assert ours == pwnat.time_exceeded(own, asker, pwnat.TARGETS[0], nonce)


def test_a_server_that_knows_it_not() -> None:
    request = TrialRequest(TrialAsk("tell", 4000, b"12345678"), SERVER, 0.0, rto_s=0.1, patience_s=0.8)
    ((first, _),) = request.datagrams_to_send(0.0)
    identity = stun.decode(first).transaction_id
    refusal = stun.Message(errortrial.METHOD, "error", identity, ((0x0009, b"\0\0\x04\0"),))
    request.receive_datagram(stun.encode(refusal), SERVER, 0.1)
    assert request.failure == "rejected"
