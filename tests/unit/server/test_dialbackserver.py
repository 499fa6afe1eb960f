"""Who gets a dial-back, without any I/O."""

from __future__ import annotations

import contextlib
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.addresses import is_public
from nattools.net.base import Network
from nattools.protocols import dialback, stun
from nattools.protocols.dialback import Ask, Result
from nattools.protocols.provenrequest import NO_COOKIE
from nattools.protocols.stun import constants as c
from nattools.server.dialbackserver import Cookies, DialBackLimits, DialBackServer, Order
from nattools.server.endpoints import Role, ServerEndpoints, dialled_from
from nattools.server.limits import Occupancy, RateLimit

NONCE = b"12345678"
HERE: Role = (0, 0)
ALICE = Endpoint("11.1.0.2", 40001)
MALLORY = Endpoint("11.2.0.2", 40001)
SITE = ServerEndpoints(
    tuple(tuple(Endpoint(f"11.201.0.{host}", port) for port in (3478, 3479)) for host in (2, 3))
)
ONE_ADDRESS = ServerEndpoints(SITE.endpoints[:1])


def server(site: ServerEndpoints = SITE, limits: DialBackLimits | None = None) -> DialBackServer:
    return DialBackServer(site, Cookies(b"secret"), limits or DialBackLimits())


def request(ask: Ask, cookie: bytes = NO_COOKIE, number: int = 0) -> stun.Message:
    return stun.decode(dialback.encode_request(number.to_bytes(12, "big"), ask, cookie))


def cookie_for(source: Endpoint = ALICE, now: float = 0.0) -> bytes:
    return Cookies(b"secret").make(source, now)


def proven(server: DialBackServer, ask: Ask, now: float = 0.0, number: int = 0) -> bytes | Order | None:
    return server.receive(request(ask, cookie_for(now=now), number), ALICE, HERE, now)


def reason(decision: bytes | Order | None) -> str:
    assert isinstance(decision, bytes)
    result = dialback.decode_result(stun.decode(decision))
    assert result.outcome == "denied"
    return result.reason


def test_an_unproven_source_gets_a_cookie_and_nothing_more() -> None:
    its_server = server()
    message = request(Ask("udp", 5000, NONCE))
    challenge = its_server.receive(message, ALICE, HERE, 0.0)
    assert isinstance(challenge, bytes)
    assert len(challenge) <= len(message.raw)
    cookie = dialback.decode_challenge(stun.decode(challenge))
    assert cookie is not None
    order = its_server.receive(request(Ask("udp", 5000, NONCE), cookie), ALICE, HERE, 0.0)
    assert isinstance(order, Order)
    assert order.target == Endpoint(ALICE.host, 5000)


def test_a_request_too_short_for_a_cookie_gets_none() -> None:
    value = stun.decode(dialback.encode_request(bytes(12), Ask("udp", 1, NONCE))).attributes[0]
    short = stun.decode(stun.encode(stun.Message(dialback.METHOD, "request", bytes(12), (value,))))
    assert server().receive(short, ALICE, HERE, 0.0) is None


def test_a_cookie_proves_one_address_for_one_to_two_minutes() -> None:
    cookies = Cookies(b"secret")
    cookie = cookies.make(ALICE, 119.0)
    assert cookies.accepts(cookie, ALICE, 119.0)
    assert cookies.accepts(cookie, Endpoint(ALICE.host, 9), 179.0)
    assert not cookies.accepts(cookie, ALICE, 180.0)
    assert not cookies.accepts(cookie, MALLORY, 119.0)
    assert not Cookies(b"another secret").accepts(cookie, ALICE, 119.0)


def test_a_cookie_of_another_address_is_worth_nothing() -> None:
    decision = server().receive(request(Ask("udp", 5000, NONCE), cookie_for(ALICE)), MALLORY, HERE, 0.0)
    assert isinstance(decision, bytes)
    assert dialback.decode_challenge(stun.decode(decision)) == cookie_for(MALLORY)


def test_over_tcp_the_handshake_is_the_proof() -> None:
    decision = server().receive(request(Ask("tcp", 5000, NONCE)), ALICE, HERE, 0.0, proven=True)
    assert isinstance(decision, Order)
    assert decision.target == Endpoint(ALICE.host, 5000)


@pytest.mark.parametrize("role", [(0, 0), (1, 1)])
@pytest.mark.parametrize("change_address", [False, True])
@pytest.mark.parametrize("change_port", [False, True])
def test_it_comes_from_where_it_was_asked_to(role: Role, change_address: bool, change_port: bool) -> None:
    ask = Ask("udp", 5000, NONCE, change_address, change_port, copies=3)
    order = server().receive(request(ask, cookie_for()), ALICE, role, 0.0)
    assert isinstance(order, Order)
    assert order.role == (role[0] ^ change_address, role[1] ^ change_port)
    arrivals = [dialback.decode_indication(stun.decode(each)) for each in order.datagrams]
    assert arrivals == [dialback.Arrival(NONCE, copy) for copy in range(3)]


def test_attempts_to_connect_each_need_a_port_of_their_own() -> None:
    fresh = proven(server(), Ask("tcp", 5000, NONCE, change_port=True, copies=4))
    assert isinstance(fresh, Order)
    assert len(fresh.datagrams) == 4
    asked = proven(server(), Ask("tcp", 5000, NONCE, copies=4))
    assert isinstance(asked, Order)
    assert len(asked.datagrams) == 1


def test_what_the_server_does_not_have_is_denied() -> None:
    one = server(ONE_ADDRESS)
    assert reason(proven(one, Ask("udp", 1, NONCE, change_address=True))) == (
        "the server has no such address or port"
    )
    assert isinstance(proven(one, Ask("tcp", 1, NONCE, change_port=True), number=1), Order)
    no_other_port = server(ServerEndpoints(((Endpoint("11.201.0.2", 3478),),)))
    assert reason(proven(no_other_port, Ask("udp", 1, NONCE, change_port=True)))
    assert isinstance(proven(no_other_port, Ask("tcp", 1, NONCE, change_port=True)), Order)


@pytest.mark.parametrize(
    ("here", "there", "dialled"),
    [
        ("11.201.0.2", "11.1.0.2", True),
        ("11.201.0.2", "127.0.0.1", False),
        ("11.201.0.2", "11.201.0.2", False),
        ("11.201.0.2", "192.168.1.7", False),
        ("192.168.1.2", "192.168.1.7", True),
        ("192.168.1.2", "192.168.1.2", False),
        ("192.168.1.2", "11.1.0.2", True),
        ("2a10::2", "fd00::1", False),
        ("2a10::2", "::ffff:127.0.0.1", False),
    ],
)
def test_no_dial_back_goes_to_this_machine_or_behind_it(here: str, there: str, dialled: bool) -> None:
    class Here:
        """A machine with one address."""

        is_public = staticmethod(is_public)

        def route(self, destination: str) -> tuple[str, str]:
            return "eth0", here

    site = ServerEndpoints(((Endpoint(here, 3478),),))
    assert dialled_from(cast(Network, Here()), site)(there) == dialled
    its_server = DialBackServer(SITE, Cookies(b"secret"), DialBackLimits(), lambda address: dialled)
    decision = proven(its_server, Ask("tcp", 5000, NONCE))
    assert isinstance(decision, Order) == dialled
    if not dialled:
        assert reason(decision) == "the server dials no such address"


def test_a_repeated_request_is_carried_out_once() -> None:
    its_server = server()
    ask = Ask("udp", 5000, NONCE)
    order = proven(its_server, ask)
    assert isinstance(order, Order)
    assert proven(its_server, ask) is None, "it is going on"
    answer = its_server.finish(order, "sent", SITE.at(HERE), 0.1)
    assert dialback.decode_result(stun.decode(answer)) == Result("sent", "", ALICE, SITE.at(HERE))
    assert proven(its_server, ask, now=20.0) == answer, "the answer was lost"


def test_copies_and_connections_are_limited_per_address() -> None:
    limits = DialBackLimits(
        datagrams=RateLimit(rate=1, burst=16, total_rate=100, total_burst=100),
        attempts=RateLimit(rate=1, burst=1, total_rate=100, total_burst=100),
    )
    its_server = server(limits=limits)
    eight = Ask("udp", 5000, NONCE, copies=8)
    outcomes = []
    for number in range(3):
        decision = proven(its_server, eight, number=number)
        outcomes.append(isinstance(decision, Order))
        if isinstance(decision, Order):
            its_server.finish(decision, "sent", SITE.at(HERE), 0.0)
    assert outcomes == [True, True, False]
    tcp = Ask("tcp", 5000, NONCE)
    assert isinstance(proven(its_server, tcp, number=10), Order)
    assert reason(proven(its_server, tcp, number=11)) == "too many requests"
    other = request(eight, cookie_for(MALLORY), number=12)
    assert isinstance(its_server.receive(other, MALLORY, HERE, 0.0), Order)


def listed(*ports: int) -> Ask:
    return Ask("udp", ports[0], NONCE, True, True, spacing_ms=5, ports=ports)


def test_each_port_of_a_list_gets_one_numbered_datagram_from_the_other_address() -> None:
    order = proven(server(), listed(5000, 7, 65535))
    assert isinstance(order, Order)
    assert order.role == (1, 1)
    assert [order.target_of(number) for number in range(3)] == [
        Endpoint(ALICE.host, port) for port in (5000, 7, 65535)
    ]
    arrivals = [dialback.decode_indication(stun.decode(datagram)) for datagram in order.datagrams]
    assert arrivals == [dialback.Arrival(NONCE, number) for number in range(3)]


def test_an_unproven_source_gets_no_list_and_no_more_than_it_sent() -> None:
    its_server = server()
    ports = tuple(range(1000, 1064))
    for cookie in (NO_COOKIE, cookie_for(MALLORY)):
        message = request(listed(*ports), cookie)
        challenge = its_server.receive(message, ALICE, HERE, 0.0)
        assert isinstance(challenge, bytes)
        assert dialback.decode_challenge(stun.decode(challenge)) is not None
        assert len(challenge) <= len(message.raw)


def trial_of(its_server: DialBackServer, source: Endpoint, now: float, lists: int) -> int:
    """How many of so many lists of 64 ports are granted, one after the other."""
    granted = 0
    for number in range(lists):
        message = request(listed(*range(1000, 1064)), cookie_for(source, now), 1000 * int(now) + number)
        decision = its_server.receive(message, source, HERE, now)
        if isinstance(decision, Order):
            granted += 1
            its_server.finish(decision, "sent", SITE.at(HERE), now)
        else:
            assert reason(decision) == "too many requests"
    return granted


def test_a_whole_trial_passes_and_not_many_in_a_row() -> None:
    its_server = server()
    assert trial_of(its_server, ALICE, 0.0, 33) == 33
    assert trial_of(its_server, ALICE, 50.0, 40) < 33, "a minute later there is no second one"
    assert trial_of(its_server, MALLORY, 50.0, 33) == 33, "others have their own"
    assert isinstance(proven(its_server, Ask("udp", 5000, NONCE), now=50.0, number=9), Order)


def test_lists_are_limited_in_all() -> None:
    its_server = server()
    sources = [Endpoint(f"11.3.0.{host}", 4000) for host in range(1, 40)]
    granted = sum(trial_of(its_server, source, 0.0, 32) for source in sources)
    assert granted == 20480 // 64


def test_few_lists_go_on_at_a_time() -> None:
    its_server = server()
    orders = [proven(its_server, listed(1, 2), number=number) for number in range(4)]
    assert all(isinstance(order, Order) for order in orders)
    assert reason(proven(its_server, listed(1, 2), number=4)) == "the server is busy"
    assert isinstance(proven(its_server, Ask("udp", 5000, NONCE), number=5), Order), "others may go on"


@given(st.binary(max_size=140))
def test_any_list_goes_to_the_requester_s_address_and_to_few_ports(value: bytes) -> None:
    base = request(Ask("udp", 5000, NONCE, spacing_ms=5), cookie_for())
    attributes = (*base.attributes, (dialback.DIAL_BACK_PORTS, value))
    raw = stun.encode(stun.Message(dialback.METHOD, "request", bytes(12), attributes))
    decision = server().receive(stun.decode(raw), ALICE, HERE, 0.0)
    assert decision is None or isinstance(decision, Order)
    if decision is not None:
        targets = [decision.target_of(number) for number in range(len(decision.datagrams))]
        assert {target.host for target in targets} == {ALICE.host}
        assert len(targets) == len(set(targets)) <= dialback.MAX_PORTS
        assert 0 not in {target.port for target in targets}


def test_few_go_on_at_a_time() -> None:
    its_server = server(limits=DialBackLimits(connecting=Occupancy(per_source=2, total=3)))
    tcp = Ask("tcp", 5000, NONCE)
    orders = [proven(its_server, tcp, number=number) for number in range(2)]
    assert reason(proven(its_server, tcp, number=2)) == "the server is busy"
    assert isinstance(orders[0], Order)
    its_server.finish(orders[0], "timeout", SITE.at(HERE), 3.0)
    assert isinstance(proven(its_server, tcp, number=2), Order)


def test_memory_is_bounded() -> None:
    limits = DialBackLimits(
        datagrams=RateLimit(rate=0, burst=1e6, total_rate=0, total_burst=1e6),
    )
    its_server = server(limits=limits)
    for number in range(3000):
        order = proven(its_server, Ask("udp", 5000, NONCE), number=number)
        assert isinstance(order, Order)
        its_server.finish(order, "sent", SITE.at(HERE), 0.0)
    assert len(its_server._answers) <= 1024
    assert isinstance(proven(its_server, Ask("udp", 5000, NONCE), now=41.0, number=5000), Order)
    assert len(its_server._answers) == 1, "what is older than any repetition is forgotten"


attributes = st.lists(
    st.tuples(
        st.sampled_from(
            (dialback.DIAL_BACK, dialback.DIAL_BACK_PORTS, c.NONCE, c.RESPONSE_PORT, c.MAPPED_ADDRESS)
        ),
        st.one_of(st.binary(max_size=24), st.just(cookie_for()), st.just(cookie_for(MALLORY))),
    ),
    max_size=4,
)


@given(attributes, st.booleans())
def test_nothing_targets_another_address_than_the_requester_s(
    attributes: list[tuple[int, bytes]], proven: bool
) -> None:
    raw = stun.encode(stun.Message(dialback.METHOD, "request", bytes(12), tuple(attributes)))
    decision = server().receive(stun.decode(raw), ALICE, HERE, 0.0, proven=proven)
    if isinstance(decision, Order):
        assert decision.target.host == ALICE.host
        assert decision.source == ALICE
        assert proven or (c.NONCE, cookie_for()) in attributes
    elif decision is not None and not proven and (c.NONCE, cookie_for()) not in attributes:
        assert len(decision) <= len(raw)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    head = bytes.fromhex("029b") + len(data).to_bytes(2, "big") + bytes.fromhex("2112a442") + bytes(12)
    with contextlib.suppress(ProtocolError):
        server().receive(stun.decode(head + data), ALICE, HERE, 0.0)


def test_fragments_are_padded_confirmed_and_count_as_two_packets() -> None:
    limits = DialBackLimits(datagrams=RateLimit(rate=1, burst=7, total_rate=100, total_burst=100))
    its_server = server(limits=limits)
    ask = Ask("udp", 5000, NONCE, copies=3, form="fragments")
    order = proven(its_server, ask)
    assert isinstance(order, Order)
    assert len(order.datagrams) == 3
    assert all(len(each) >= dialback.FRAGMENTED_SIZE for each in order.datagrams)
    told = dialback.decode_result(stun.decode(its_server.finish(order, "sent", SITE.at(HERE), 0.0)))
    assert (told.outcome, told.form) == ("sent", "fragments")
    assert reason(proven(its_server, ask, number=1)) == "too many requests"


def test_a_form_in_which_nothing_was_sent_is_not_confirmed() -> None:
    its_server = server()
    order = proven(its_server, Ask("udp", 5000, NONCE, form="destination-options"))
    assert isinstance(order, Order)
    told = dialback.decode_result(stun.decode(its_server.finish(order, "error", SITE.at(HERE), 0.0)))
    assert (told.outcome, told.form) == ("error", "whole")
