"""The dial-back codec and its client, without any I/O."""

from __future__ import annotations

import contextlib
import struct
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.packetform import PacketForm
from nattools.protocols import dialback, stun
from nattools.protocols.dialback import Arrival, Ask, DialBackRequest, Result
from nattools.protocols.provenrequest import NO_COOKIE
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


@pytest.mark.parametrize("form", get_args(PacketForm))
def test_a_form_of_packets_is_asked_for_and_confirmed(form: PacketForm) -> None:
    ask = Ask("udp", 5000, NONCE, copies=3, form=form)
    assert dialback.decode_request(stun.decode(dialback.encode_request(ID, ask, COOKIE))) == (ask, COOKIE)
    assert ask.packets == (6 if form == "fragments" else 3)
    result = Result("sent", form=form)
    assert dialback.decode_result(stun.decode(dialback.encode_result(ID, result))) == result


@given(st.binary(max_size=8))
def test_a_form_that_is_not_known_is_none(value: bytes) -> None:
    message = stun.decode(dialback.encode_request(ID, Ask("udp", 5000, NONCE), COOKIE))
    attributes = (*message.attributes, (dialback.DIAL_BACK_FORM, value))
    odd = stun.decode(stun.encode(msgspec.structs.replace(message, attributes=attributes)))
    ask, _ = dialback.decode_request(odd)
    assert ask.form == (get_args(PacketForm)[value[0]] if value and value[0] < 3 else "whole")


@pytest.mark.parametrize("change", [{"transport": "tcp"}, {"transport": "icmp"}, {"ports": (1, 2)}])
def test_only_datagrams_to_one_port_have_a_form(change: dict[str, Any]) -> None:
    good = {"transport": "udp", "port": 1, "nonce": NONCE, "form": "fragments"}
    assert Ask(**good).datagrams == 1  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="form of packets"):
        Ask(**(good | change))


def test_an_indication_in_fragments_is_larger_than_a_packet_and_says_the_same() -> None:
    data = dialback.encode_indication(NONCE, 3, padded_to=dialback.FRAGMENTED_SIZE)
    assert dialback.FRAGMENTED_SIZE <= len(data) < dialback.FRAGMENTED_SIZE + 4
    assert dialback.decode_indication(stun.decode(data)) == Arrival(NONCE, 3)


lists = st.lists(st.integers(1, 65535), min_size=1, max_size=dialback.MAX_PORTS, unique=True)


def listed(*ports: int, **more: Any) -> Ask:
    return Ask("udp", ports[0], NONCE, **({"spacing_ms": 5, "ports": ports} | more))


@given(lists, st.integers(dialback.LEAST_PORTS_SPACING_MS, dialback.MAX_SPACING_MS))
def test_a_list_of_ports_reads_as_it_was_written(ports: list[int], spacing_ms: int) -> None:
    ask = listed(*ports, spacing_ms=spacing_ms)
    data = dialback.encode_request(ID, ask, COOKIE)
    assert dialback.decode_request(stun.decode(data)) == (ask, COOKIE)
    assert ask.datagrams == len(ports)


def with_list(value: bytes) -> stun.Message:
    """A request with this for a list, as somebody hostile writes it."""
    message = stun.decode(dialback.encode_request(ID, Ask("udp", 5000, NONCE, spacing_ms=5), COOKIE))
    attributes = (*message.attributes, (dialback.DIAL_BACK_PORTS, value))
    return stun.decode(stun.encode(msgspec.structs.replace(message, attributes=attributes)))


@given(st.one_of(st.binary(max_size=140), st.binary(max_size=138).map(lambda rest: b"\x13\x88" + rest)))
def test_any_list_gives_ports_that_can_be_meant_or_the_named_error(value: bytes) -> None:
    try:
        ask, _ = dialback.decode_request(with_list(value))
    except ProtocolError:
        return
    assert ask.port == ask.ports[0] == 5000
    assert 0 < len(ask.ports) == len(set(ask.ports)) <= dialback.MAX_PORTS
    assert 0 not in ask.ports


@pytest.mark.parametrize(
    "ports", [(), (5000, 0), (5000, 7, 7), (5000, 5000), (7, 5000), tuple(range(5000, 5065))], ids=len
)
def test_a_list_that_cannot_be_meant_is_refused(ports: tuple[int, ...]) -> None:
    with pytest.raises(ProtocolError):
        dialback.decode_request(with_list(struct.pack(f"!{len(ports)}H", *ports)))
    with pytest.raises(ProtocolError):
        dialback.decode_request(with_list(b"\x13\x88\x01"))


@pytest.mark.parametrize(
    "change",
    [
        {"transport": "tcp"},
        {"copies": 2},
        {"spacing_ms": 4},
        {"port": 2},
        {"ports": (1, 1)},
        {"ports": (1, 0)},
    ],
)
def test_what_cannot_be_asked_with_a_list_is_refused(change: dict[str, Any]) -> None:
    good = {"transport": "udp", "port": 1, "nonce": NONCE, "spacing_ms": 5, "ports": (1, 2)}
    assert Ask(**good).datagrams == 2  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        Ask(**(good | change))


def test_a_cookie_that_is_known_saves_the_challenge() -> None:
    request = DialBackRequest(listed(1, 2), SERVER, 100.0, cookie=COOKIE)
    ((sent, _),) = request.datagrams_to_send(100.0)
    assert dialback.decode_request(stun.decode(sent))[1] == COOKIE == request.cookie
    stale = DialBackRequest(listed(1, 2), SERVER, 100.0, cookie=bytes([9] * 16))
    ((sent, _),) = stale.datagrams_to_send(100.0)
    assert reply(stale, sent), "a challenge all the same"
    assert stale.cookie == COOKIE


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
        st.sampled_from(
            (
                dialback.DIAL_BACK,
                dialback.DIAL_BACK_NONCE,
                dialback.DIAL_BACK_RESULT,
                dialback.DIAL_BACK_PORTS,
                c.NONCE,
            )
        ),
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
    ((first, _),) = request.datagrams_to_send(100.0)
    assert dialback.decode_request(stun.decode(first))[1] == NO_COOKIE
    assert reply(request, first)
    ((second, _),) = request.datagrams_to_send(100.1)
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
    ((sent, _),) = request.datagrams_to_send(100.0)
    attributes = ((c.ERROR_CODE, stun.pack_error_code(400, "Bad Request")),)
    error = stun.Message(dialback.METHOD, "error", stun.decode(sent).transaction_id, attributes)
    assert request.receive_datagram(stun.encode(error), SERVER, 100.1)
    assert request.failure == "rejected"


def test_an_endless_chain_of_challenges_ends() -> None:
    request = client()
    for _ in range(4):
        ((sent, _),) = request.datagrams_to_send(100.1)
        assert reply(request, sent)
    assert request.failure == "rejected"


@given(st.binary(max_size=80))
def test_the_client_leaves_what_is_not_its_own(data: bytes) -> None:
    request = client()
    ((sent, _),) = request.datagrams_to_send(100.0)
    assert not request.receive_datagram(data, SERVER, 100.0)
    answer = dialback.encode_challenge(stun.decode(sent).transaction_id, COOKIE)
    assert not request.receive_datagram(answer, Endpoint(SERVER.host, 3479), 100.0)
    assert not request.done


def test_an_order_says_how_long_to_listen_and_its_answer_who_refused() -> None:
    ask = dialback.Ask("icmp", 7, bytes(8), copies=4, listen_ms=300)
    request = dialback.encode_request(bytes(12), ask)
    assert dialback.decode_request(stun.decode(request))[0] == ask
    result = dialback.Result("prohibited", offender="2a10:1::2")
    assert dialback.decode_result(stun.decode(dialback.encode_result(bytes(12), result))) == result


def test_nobody_makes_a_server_listen_for_long() -> None:
    with pytest.raises(ValueError, match="listens"):
        dialback.Ask("udp", 7, bytes(8), listen_ms=dialback.MAX_LISTEN_MS + 1)
    ask = dialback.Ask("udp", 7, bytes(8), listen_ms=1)
    request = bytearray(dialback.encode_request(bytes(12), ask))
    at = request.index(bytes((0, 1, 0, 0, 0, 0)))
    request[at : at + 2] = b"\xff\xff"
    assert dialback.decode_request(stun.decode(bytes(request)))[0].listen_ms == dialback.MAX_LISTEN_MS
