"""Permissions, channels and what goes over them (RFC 8656 9 to 12)."""

import pytest
from scriptedrelay import PEER, SERVER, Conversation, converse

from nattools.model.endpoint import Endpoint
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.message import Attribute
from nattools.protocols.turn.clientallocation import PeerError
from nattools.protocols.turn.grants import MOST_WAITING
from nattools.protocols.turn.peers import BUSY_AFTER, MOST_PERMISSIONS
from nattools.protocols.turn.refusal import TurnRefusal

OTHER = Endpoint("203.0.113.50", 9)


def indication(method: int, peer: Endpoint | None, *attributes: Attribute) -> bytes:
    """As a relay sends it."""
    transaction_id = bytes(12)
    if peer is not None:
        attributes = ((c.XOR_PEER_ADDRESS, stun.pack_xor_address(peer, transaction_id)), *attributes)
    return stun.encode(stun.Message(method, "indication", transaction_id, attributes))


def channel_of(found: Conversation, peer: Endpoint = PEER) -> int:
    """Make a peer busy; its channel."""
    for _ in range(BUSY_AFTER + 1):
        found.send(b"much", peer)
    message = found.send(b"more", peer)
    assert message is not None
    return turn.decode_channel_data(message)[0]


def test_what_is_sent_first_waits_for_the_permission() -> None:
    found = converse()
    assert found.allocation.wrap(b"one", PEER, found.now) is None
    assert found.allocation.wrap(b"two", PEER, found.now) is None
    assert found.allocation.due
    found.settle()
    (request,) = found.relay.of(c.CREATE_PERMISSION)
    assert request.peers[0].host == PEER.host
    assert [each.get(c.DATA) for each in found.relay.indications] == [b"one", b"two"]
    assert all(each.peers == (PEER,) for each in found.relay.indications)
    found.send(b"three")
    assert found.relay.indications[-1].get(c.DATA) == b"three"
    assert len(found.relay.of(c.CREATE_PERMISSION)) == 1


def test_a_permission_is_for_all_ports_of_an_address() -> None:
    found = converse()
    found.send(b"one")
    assert found.send(b"two", Endpoint(PEER.host, 1)) is not None


@pytest.mark.parametrize("code", [400, 403, 443, 486, 500, 508])
def test_a_peer_that_is_refused(code: int) -> None:
    found = converse()
    found.relay.refuses[c.CREATE_PERMISSION] = code
    found.send(b"one")
    refusal = found.allocation.peers.refusal(PEER.host)
    assert refusal == TurnRefusal("permission", "failed", code, "its own words")
    assert found.send(b"two") is None
    assert found.relay.indications == []
    assert found.allocation.state == "standing"
    assert len(found.relay.of(c.CREATE_PERMISSION)) == 1
    found.pass_time(61)
    del found.relay.refuses[c.CREATE_PERMISSION]
    found.send(b"three")
    assert [each.get(c.DATA) for each in found.relay.indications][-1] == b"three"


@pytest.mark.parametrize("method", [c.CREATE_PERMISSION, c.CHANNEL_BIND])
def test_a_server_that_forgot_the_allocation(method: int) -> None:
    found = converse()
    found.relay.refuses[method] = 437
    for _ in range(BUSY_AFTER + 2):
        found.send(b"hello")
    assert found.allocation.state == "over"
    assert found.allocation.refusal is not None
    assert found.allocation.refusal.code == 437
    assert found.allocation.wrap(b"more", PEER, found.now) is None


def test_permissions_in_use_are_kept_and_others_lapse() -> None:
    found = converse()
    found.send(b"once", OTHER)
    for _ in range(30):
        found.send(b"again")
        found.pass_time(60)
    asked = [each.peers[0].host for each in found.relay.of(c.CREATE_PERMISSION)]
    assert 7 <= asked.count(PEER.host) <= 8
    assert asked.count(OTHER.host) == 2  # it was used when the first was renewed
    assert found.allocation.peers.permit(OTHER.host, found.now, kept=False) is not None


def test_a_permission_that_was_asked_for_stays() -> None:
    found = converse()
    permission = found.allocation.permit(PEER.host, found.now)
    assert permission is not None
    found.pass_time(3000)
    assert permission.state == "granted"
    assert len(found.relay.of(c.CREATE_PERMISSION)) == 13  # each 240 s


def test_a_renewal_that_fails_is_tried_until_the_end() -> None:
    found = converse()
    permission = found.allocation.permit(PEER.host, found.now)
    assert permission is not None
    found.settle()
    found.relay.refuses[c.CREATE_PERMISSION] = 508
    found.pass_time(280)
    assert permission.state == "granted"
    found.pass_time(20)
    assert permission.state == "refused"
    del found.relay.refuses[c.CREATE_PERMISSION]
    found.pass_time(70)
    assert permission.state == "granted"


def test_a_busy_peer_gets_a_channel() -> None:
    found = converse()
    assert channel_of(found) == 0x4000
    assert channel_of(found, OTHER) == 0x4001
    first, second = found.relay.of(c.CHANNEL_BIND)
    assert (first.channel, first.peers) == (0x4000, (PEER,))
    assert (second.channel, second.peers) == (0x4001, (OTHER,))
    found.pass_time(590)
    assert channel_of(found) == 0x4000
    found.pass_time(590)
    bound = [each.channel for each in found.relay.of(c.CHANNEL_BIND)]
    assert bound.count(0x4000) == 3  # renewed as long as it is used
    assert bound.count(0x4001) == 2


def test_a_channel_that_lapsed_belongs_to_its_peer_for_five_minutes() -> None:
    found = converse()
    assert channel_of(found) == 0x4000
    found.pass_time(1300)
    assert turn.is_channel_data(found.send(b"hello") or b"") is False
    assert channel_of(found) == 0x4000
    found.pass_time(1600)
    assert found.allocation.peers.peer_of(0x4000) is None
    assert channel_of(found) == 0x4001


@pytest.mark.parametrize("code", [400, 403, 486, 508])
def test_without_a_channel_indications_go_on(code: int) -> None:
    found = converse()
    found.relay.refuses[c.CHANNEL_BIND] = code
    for _ in range(20):
        found.send(b"hello")
    assert len(found.relay.indications) == 20
    assert len(found.relay.of(c.CHANNEL_BIND)) == 1
    assert found.allocation.state == "standing"


def test_channel_data_over_a_stream_is_padded() -> None:
    found = converse(stream=True)
    channel_of(found)
    message = found.send(b"abcde")
    assert message is not None
    assert len(message) == 12


class TestArriving:
    def test_by_indication_and_by_channel(self) -> None:
        found = converse()
        data = indication(c.DATA_METHOD, PEER, (c.DATA, b"hello"))
        assert found.allocation.unwrap(data) == (PEER, b"hello")
        number = channel_of(found)
        assert found.allocation.unwrap(turn.encode_channel_data(number, b"hi")) == (PEER, b"hi")

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x40",
            turn.encode_channel_data(0x4ABC, b"nobody's"),
            turn.encode_channel_data(0x4000, b"cut short")[:-1],
            indication(c.DATA_METHOD, PEER),
            indication(c.DATA_METHOD, None, (c.DATA, b"from nobody")),
            indication(c.DATA_METHOD, PEER, (c.XOR_PEER_ADDRESS, bytes(8)), (c.DATA, b"x")),
            indication(c.SEND, PEER, (c.DATA, b"x")),
            stun.binding_request(bytes(12)),
        ],
    )
    def test_what_is_no_peers_data(self, data: bytes) -> None:
        allocation = converse().allocation
        assert allocation.unwrap(data) is None
        assert not allocation.receive_datagram(data, SERVER, 0.0)
        assert allocation.take_events() == []

    def test_icmp_errors(self) -> None:
        allocation = converse().allocation
        data = indication(c.DATA_METHOD, PEER, (c.ICMP, turn.pack_icmp(3, 4, 1280)))
        assert allocation.unwrap(data) is None
        assert allocation.receive_datagram(data, SERVER, 0.0)
        assert allocation.take_events() == [PeerError(PEER, 3, 4, 1280)]
        assert not allocation.receive_datagram(indication(c.DATA_METHOD, PEER, (c.ICMP, b"?")), SERVER, 0.0)


class TestBounds:
    def test_datagrams_that_wait(self) -> None:
        found = converse()
        for number in range(100):
            found.allocation.wrap(bytes([number]), PEER, found.now)
        found.settle()
        assert len(found.relay.indications) == MOST_WAITING

    def test_permissions(self) -> None:
        found = converse()
        found.delivers = False
        for number in range(MOST_PERMISSIONS + 10):
            found.send(b"hello", Endpoint(f"198.18.{number // 256}.{number % 256}", 9))
        assert len(found.sent) < 2 + 16 + 1
        assert found.allocation.permit("203.0.113.1", found.now) is None

    def test_many_permissions_are_asked_for_some_at_a_time(self) -> None:
        found = converse()
        for number in range(300):
            found.allocation.permit(f"198.18.{number // 256}.{number % 256}", found.now)
        found.pass_time(1)
        assert len(found.relay.of(c.CREATE_PERMISSION)) == 300

    def test_what_does_not_fit(self) -> None:
        found = converse()
        found.send(b"hello")
        assert found.send(bytes(65_500)) is None
        assert found.send(bytes(65_000)) is not None


def test_a_permission_that_lapsed_while_its_channel_stands_comes_back() -> None:
    found = converse()
    channel_of(found)
    found.pass_time(560)
    asked = len(found.relay.of(c.CREATE_PERMISSION))
    assert turn.is_channel_data(found.send(b"hello") or b"")
    assert len(found.relay.of(c.CREATE_PERMISSION)) == asked + 1
