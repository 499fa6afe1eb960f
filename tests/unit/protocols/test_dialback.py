"""The dial-back codec and its client, without any I/O."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import dialback, stun
from nattools.protocols.dialback import Arrival, Ask, DialBackRequest, Result
from nattools.protocols.stun import constants as c

ID = bytes(range(12))
NONCE = b"12345678"
COOKIE = bytes(range(16))
SERVER = Endpoint("11.201.0.2", 3478)

asks = st.builds(
    Ask,
    transport=st.sampled_from(("udp", "tcp")),
    port=st.integers(1, 65535),
    nonce=st.binary(min_size=8, max_size=8),
    change_address=st.booleans(),
    change_port=st.booleans(),
    copies=st.integers(1, dialback.MAX_COPIES),
    spacing_ms=st.integers(0, dialback.MAX_SPACING_MS),
)


@given(asks, st.binary(min_size=16, max_size=16))
def test_a_request_reads_as_it_was_written(ask: Ask, cookie: bytes) -> None:
    data = dialback.encode_request(ID, ask, cookie)
    assert len(data) == 60
    assert dialback.decode_request(stun.decode(data)) == (ask, cookie)


@pytest.mark.parametrize("host", ["11.1.0.2", "2a10:1::2"])
@pytest.mark.parametrize("outcome", ["sent", "connected", "refused", "timeout", "unreachable", "error"])
def test_a_result_reads_as_it_was_written(outcome: dialback.Outcome, host: str) -> None:
    result = Result(outcome, "", Endpoint(host, 4000), Endpoint(host, 3479))
    assert dialback.decode_result(stun.decode(dialback.encode_result(ID, result))) == result


def test_a_denial_gives_its_reason() -> None:
    result = Result("denied", "too many requests")
    assert dialback.decode_result(stun.decode(dialback.encode_result(ID, result))) == result


def test_a_challenge_is_shorter_than_the_request() -> None:
    challenge = dialback.encode_challenge(ID, COOKIE)
    assert len(challenge) < len(dialback.encode_request(ID, Ask("udp", 1, NONCE)))
    assert dialback.decode_challenge(stun.decode(challenge)) == COOKIE


def test_an_indication_says_whose_it_is_and_which_copy() -> None:
    message = stun.decode(dialback.encode_indication(NONCE, 3))
    assert dialback.decode_indication(message) == Arrival(NONCE, 3)
    assert dialback.decode_indication(stun.decode(stun.binding_request(ID))) is None


@pytest.mark.parametrize(
    "change",
    [{"port": 0}, {"port": 65536}, {"nonce": b"short"}, {"copies": 0}, {"copies": 9}, {"spacing_ms": 101}],
)
def test_what_cannot_be_asked_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        Ask(**({"transport": "udp", "port": 1, "nonce": NONCE} | change))  # type: ignore[arg-type]


values = st.lists(
    st.tuples(
        st.sampled_from((dialback.DIAL_BACK, dialback.DIAL_BACK_NONCE, dialback.DIAL_BACK_RESULT, c.NONCE)),
        st.binary(max_size=20),
    ),
    max_size=3,
)


@given(values, st.sampled_from(("request", "indication", "success", "error")))
def test_hostile_attributes_give_a_value_or_the_named_error(
    attributes: list[tuple[int, bytes]], kind: stun.Kind
) -> None:
    message = stun.decode(stun.encode(stun.Message(dialback.METHOD, kind, ID, tuple(attributes))))
    for decode in (
        dialback.decode_request,
        dialback.decode_challenge,
        dialback.decode_result,
        dialback.decode_indication,
    ):
        with contextlib.suppress(ProtocolError):
            decode(message)


def client(**options: bool) -> DialBackRequest:
    return DialBackRequest(Ask("udp", 4000, NONCE), SERVER, 100.0, **options)  # type: ignore[arg-type]


def reply(request: DialBackRequest, sent: bytes, result: Result | None = None) -> bool:
    transaction_id = stun.decode(sent).transaction_id
    data = dialback.encode_challenge(transaction_id, COOKIE)
    if result is not None:
        data = dialback.encode_result(transaction_id, result)
    return request.receive_datagram(data, SERVER, 100.1)


def test_the_client_repeats_its_question_with_the_cookie() -> None:
    request = client()
    (first,) = request.datagrams_to_send(100.0)
    assert dialback.decode_request(stun.decode(first))[1] == dialback.NO_COOKIE
    assert reply(request, first)
    (second,) = request.datagrams_to_send(100.1)
    assert dialback.decode_request(stun.decode(second)) == (request.ask, COOKIE)
    assert stun.decode(first).transaction_id != stun.decode(second).transaction_id
    assert not reply(request, first), "the challenge's copy comes too late"
    assert reply(request, second, Result("sent"))
    assert request.result == Result("sent")
    assert request.done
    assert request.next_timeout() is None
    assert request.datagrams_to_send(200.0) == []


def test_the_client_sends_again_after_doubling_waits_and_gives_up() -> None:
    request = client()
    sent_at = []
    now = 100.0
    while not request.done:
        sent_at += [now] * len(request.datagrams_to_send(now))
        timeout = request.next_timeout()
        assert timeout is not None
        now = timeout
        request.handle_timeout(now)
    assert sent_at == [100.0, 100.5, 101.5, 103.5, 107.5]
    assert now == 108.0
    assert request.failure == "no answer"


def test_over_tcp_nothing_is_sent_twice() -> None:
    request = client(reliable=True)
    assert len(request.datagrams_to_send(100.0)) == 1
    assert request.datagrams_to_send(107.0) == []
    assert request.next_timeout() == 108.0


def test_an_error_means_another_kind_of_server() -> None:
    request = client()
    (sent,) = request.datagrams_to_send(100.0)
    attributes = ((c.ERROR_CODE, stun.pack_error_code(400, "Bad Request")),)
    error = stun.Message(dialback.METHOD, "error", stun.decode(sent).transaction_id, attributes)
    assert request.receive_datagram(stun.encode(error), SERVER, 100.1)
    assert request.failure == "rejected"


def test_an_endless_chain_of_challenges_ends() -> None:
    request = client()
    for _ in range(4):
        (sent,) = request.datagrams_to_send(100.1)
        assert reply(request, sent)
    assert request.failure == "rejected"


@given(st.binary(max_size=80))
def test_the_client_leaves_what_is_not_its_own(data: bytes) -> None:
    request = client()
    (sent,) = request.datagrams_to_send(100.0)
    assert not request.receive_datagram(data, SERVER, 100.0)
    answer = dialback.encode_challenge(stun.decode(sent).transaction_id, COOKIE)
    assert not request.receive_datagram(answer, Endpoint(SERVER.host, 3479), 100.0)
    assert not request.done
