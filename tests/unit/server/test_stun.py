"""Answers to Binding requests, without any I/O."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.server.endpoints import Role, ServerEndpoints
from nattools.server.limits import RateLimit
from nattools.server.stun import BindingServer, Reply

ID = bytes(range(12))
OLD_ID = bytes(range(100, 116))
HERE: Role = (0, 0)
FOUR = Endpoint("11.1.0.2", 40001)
SIX = Endpoint("2a10:1::2", 40001)


def site(addresses: int = 2, ports: int = 2, six: bool = False) -> ServerEndpoints:
    hosts = ("2a10:c9::2", "2a10:c9::3") if six else ("11.201.0.2", "11.201.0.3")
    return ServerEndpoints(
        tuple(tuple(Endpoint(host, 3478 + port) for port in range(ports)) for host in hosts[:addresses])
    )


def generous() -> RateLimit:
    return RateLimit(rate=1e6, burst=1e6, total_rate=1e6, total_burst=1e6)


def exhausted() -> RateLimit:
    return RateLimit(rate=0, burst=0, total_rate=0, total_burst=0)


def server(limit: RateLimit | None = None, **shape: int) -> BindingServer:
    return BindingServer(site(**shape), limit or generous(), flags=3)


def ask(server: BindingServer, request: bytes, source: Endpoint = FOUR, role: Role = HERE) -> Reply | None:
    return server.answer(stun.decode(request), source, role, 0.0)


def answered(reply: Reply | None) -> stun.Message:
    assert reply is not None
    return stun.decode(reply.data)


def build(*attributes: tuple[int, bytes], transaction_id: bytes = ID) -> bytes:
    return stun.encode(stun.Message(stun.BINDING, "request", transaction_id, attributes))


@pytest.mark.parametrize("source", [FOUR, SIX])
def test_a_padded_request_gets_all_of_rfc_5780_without_any_allowance(source: Endpoint) -> None:
    six = source is SIX
    its_server = BindingServer(site(six=six), exhausted(), flags=3)
    reply = ask(its_server, stun.binding_request(ID, padded_to=80), source)
    message = answered(reply)
    assert message.kind == "success"
    assert message.transaction_id == ID
    assert message.mapped == source
    assert stun.unpack_address(message.get(c.MAPPED_ADDRESS) or b"") == source
    assert message.response_origin == site(six=six).at((0, 0))
    assert message.other_address == site(six=six).at((1, 1))
    assert message.hello == bytes((1, 3))
    assert message.get(c.SOFTWARE) is None


@pytest.mark.parametrize("role", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("change_address", [False, True])
@pytest.mark.parametrize("change_port", [False, True])
def test_change_request_follows_table_1(role: Role, change_address: bool, change_port: bool) -> None:
    request = stun.binding_request(ID, change_address=change_address, change_port=change_port)
    reply = ask(server(), request, role=role)
    message = answered(reply)
    assert reply is not None
    assert reply.role == (role[0] ^ change_address, role[1] ^ change_port)
    assert message.response_origin == site().at(reply.role)
    assert message.other_address == site().at((1 - role[0], 1 - role[1]))


def test_the_second_port_of_the_only_address_is_told_to_our_own_clients_alone() -> None:
    one = server(addresses=1)
    asked = stun.binding_request(ID, padded_to=108)
    hello = answered(ask(one, asked)).hello
    assert hello is not None
    second = int.from_bytes(hello[2:4], "big")
    assert second == one._site.at((0, 1)).port
    assert answered(ask(server(addresses=1, ports=1), asked)).hello == bytes((1, 3))
    assert answered(ask(one, stun.binding_request(ID, hello=False))).hello is None


def test_one_address_has_no_other_address_and_refuses_to_change_it() -> None:
    one = server(addresses=1)
    assert answered(ask(one, stun.binding_request(ID))).other_address is None
    for change_port in (False, True):
        message = answered(ask(one, stun.binding_request(ID, change_address=True, change_port=change_port)))
        assert message.error == (420, "")
        assert message.unknown_attributes == (c.CHANGE_REQUEST,)
    reply = ask(one, stun.binding_request(ID, change_port=True))
    assert reply is not None
    assert reply.role == (0, 1)


def test_clients_of_rfc_3489_get_an_even_number_of_unknown_attributes() -> None:
    """vovida's stun cannot read another one."""
    old = stun.binding_request(bytes(range(16)), change_port=True, change_address=True, hello=False)
    answer = ask(server(addresses=1), old)
    assert answered(answer).unknown_attributes == (c.CHANGE_REQUEST, c.CHANGE_REQUEST)


def test_one_port_refuses_to_change_it() -> None:
    message = answered(ask(server(addresses=1, ports=1), stun.binding_request(ID, change_port=True)))
    assert message.error == (420, "")


def test_a_change_request_for_no_change_is_an_ordinary_request() -> None:
    request = build((c.CHANGE_REQUEST, bytes(4)))
    assert answered(ask(server(addresses=1, ports=1), request)).mapped == FOUR


@pytest.mark.parametrize("size", [2, 4])
def test_response_port_sends_to_another_port_of_the_same_host(size: int) -> None:
    request = build((c.RESPONSE_PORT, (5000).to_bytes(2, "big") + bytes(size - 2)))
    reply = ask(server(), request)
    assert reply is not None
    assert reply.to == Endpoint(FOUR.host, 5000)
    assert answered(reply).mapped == FOUR


def test_padding_is_answered_with_as_much() -> None:
    reply = ask(server(exhausted()), build((c.PADDING, bytes(1000))))
    assert len(answered(reply).get(c.PADDING) or b"") == 1000
    reply = ask(server(), build((c.PADDING, bytes(5000))))
    assert len(answered(reply).get(c.PADDING) or b"") == 1500


def test_response_port_with_padding_is_an_error() -> None:
    request = build((c.PADDING, bytes(100)), (c.RESPONSE_PORT, stun.pack_response_port(5000)))
    assert answered(ask(server(), request)).error == (400, "")


def test_attributes_that_must_be_understood_and_are_not_are_named() -> None:
    request = build((0x7001, b""), (c.USERNAME, b"me"), (0x7002, b"abc"), (0xFFFF, b""))
    message = answered(ask(server(), request))
    assert message.error == (420, "")
    assert message.unknown_attributes == (0x7001, 0x7002)
    assert ask(server(exhausted()), request) is None


def test_rfc_3489_is_answered_its_own_way() -> None:
    request = build((c.CHANGE_REQUEST, bytes(3) + b"\x06"), transaction_id=OLD_ID)
    reply = ask(server(), request)
    message = answered(reply)
    assert reply is not None
    assert reply.role == (1, 1)
    assert message.legacy
    assert message.transaction_id == OLD_ID
    assert [number for number, _ in message.attributes] == [
        c.MAPPED_ADDRESS,
        c.SOURCE_ADDRESS,
        c.CHANGED_ADDRESS,
    ]
    assert message.mapped == FOUR
    assert message.response_origin == site().at((1, 1))
    assert message.other_address == site().at((1, 1))


def test_nobody_else_is_named_by_response_address() -> None:
    victim = stun.pack_address(Endpoint("11.9.9.9", 53))
    reply = ask(server(), build((0x0002, victim), transaction_id=OLD_ID))
    assert reply is not None
    assert reply.to == FOUR
    assert answered(reply).error == (420, "")


def test_a_fingerprint_is_checked_and_answered_with_one() -> None:
    request = stun.encode(stun.Message(stun.BINDING, "request", ID), fingerprint=True)
    assert stun.verify_fingerprint(answered(ask(server(), request)))
    assert ask(server(), request[:-1] + bytes((request[-1] ^ 1,))) is None


def test_without_an_allowance_a_short_request_gets_the_mapped_address_alone() -> None:
    request = stun.binding_request(ID, hello=False)
    reply = ask(server(exhausted()), request)
    assert reply is not None
    assert reply.data == stun.binding_success(ID, FOUR)
    old = answered(ask(server(exhausted()), build(transaction_id=OLD_ID)))
    assert old.attributes == ((c.MAPPED_ADDRESS, stun.pack_address(FOUR)),)


def test_the_allowance_is_each_source_s_own() -> None:
    limited = server(RateLimit(rate=0, burst=1, total_rate=0, total_burst=10))
    request = stun.binding_request(ID, hello=False)
    assert answered(ask(limited, request)).other_address is not None
    assert answered(ask(limited, request)).other_address is None
    assert answered(ask(limited, request, Endpoint("11.2.0.2", 1))).other_address is not None


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("source", [FOUR, SIX])
def test_the_short_cut_answers_as_the_long_way_does(source: Endpoint, allowed: bool) -> None:
    request = stun.binding_request(ID, hello=False)

    def fresh() -> BindingServer:
        return BindingServer(site(six=source is SIX), generous() if allowed else exhausted())

    reply = ask(fresh(), request, source)
    assert fresh().answer_plain(request, source, HERE, 0.0) == (reply and reply.data)


def test_over_tcp_everything_is_told_and_nothing_comes_from_elsewhere() -> None:
    tcp = server(exhausted())
    message = stun.decode(
        tcp.answer_stream(stun.decode(stun.binding_request(ID, hello=False)), FOUR, HERE) or b""
    )
    assert message.mapped == FOUR
    assert message.other_address == site().at((1, 1))
    for request in (
        stun.binding_request(ID, change_port=True),
        stun.binding_request(ID, response_port=5000),
    ):
        answer = tcp.answer_stream(stun.decode(request), FOUR, HERE)
        assert stun.decode(answer or b"").error == (420, "")
    unchanged = build((c.CHANGE_REQUEST, bytes(4)))
    assert stun.decode(tcp.answer_stream(stun.decode(unchanged), FOUR, HERE) or b"").mapped == FOUR


attribute = st.tuples(
    st.one_of(
        st.sampled_from((c.CHANGE_REQUEST, c.RESPONSE_PORT, c.PADDING, c.NATTOOLS_HELLO, c.FINGERPRINT, 2)),
        st.integers(0, 0xFFFF),
    ),
    st.one_of(st.binary(max_size=8), st.binary(max_size=2000)),
)


@given(
    st.lists(attribute, max_size=12),
    st.sampled_from((ID, OLD_ID)),
    st.sampled_from((FOUR, SIX)),
    st.sampled_from((1, 2)),
    st.sampled_from((1, 2)),
)
def test_an_unproven_source_never_gets_more_than_1_6_times_what_it_sent(
    attributes: list[tuple[int, bytes]], transaction_id: bytes, source: Endpoint, addresses: int, ports: int
) -> None:
    request = build(*attributes, transaction_id=transaction_id)
    strict = BindingServer(site(addresses, ports, six=source is SIX), exhausted(), flags=3)
    reply = ask(strict, request, source)
    if reply is not None:
        assert len(reply.data) <= 1.6 * len(request)
        assert reply.to.host == source.host


@given(st.lists(attribute, max_size=6), st.sampled_from((ID, OLD_ID)), st.sampled_from((FOUR, SIX)))
def test_every_answer_goes_to_the_requester_and_from_an_own_endpoint(
    attributes: list[tuple[int, bytes]], transaction_id: bytes, source: Endpoint
) -> None:
    request = build(*attributes, transaction_id=transaction_id)
    reply = ask(BindingServer(site(six=source is SIX), generous()), request, source)
    if reply is not None:
        assert reply.to.host == source.host
        assert answered(reply).transaction_id == transaction_id
        assert reply.role in dict(site())


@given(st.binary(max_size=120))
def test_arbitrary_bytes_are_answered_or_not_but_never_an_error(data: bytes) -> None:
    for bytes_ in (data, bytes.fromhex("0001") + len(data).to_bytes(2, "big") + bytes(16) + data):
        try:
            message = stun.decode(bytes_)
        except ProtocolError:
            continue
        server().answer(message, FOUR, HERE, 0.0)
        server().answer_stream(message, FOUR, HERE)
