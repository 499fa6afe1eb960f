"""The relay's answers, by tables: RFC 8656's requests on allocations and on none."""

from __future__ import annotations

import pytest
from relaysite import (
    ALICE,
    BOB,
    GENEROUS,
    HOSTS,
    PEER,
    PEER6,
    TCP,
    UDP,
    Item,
    RelayClient,
    RelaySite,
    error_of,
)

from nattools.model.endpoint import Endpoint
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.message import Attribute
from nattools.server.relay.relayallocation import ForwardedData
from nattools.server.relay.turnlimits import TurnLimits

EVEN: Attribute = (c.EVEN_PORT, turn.pack_even_port(reserve_next=False))
PAIR: Attribute = (c.EVEN_PORT, turn.pack_even_port(reserve_next=True))
V4: Attribute = (c.REQUESTED_ADDRESS_FAMILY, turn.pack_family(4))
V6: Attribute = (c.REQUESTED_ADDRESS_FAMILY, turn.pack_family(6))
NO_FAMILY: Attribute = (c.REQUESTED_ADDRESS_FAMILY, bytes((9, 0, 0, 0)))
ALSO_V6: Attribute = (c.ADDITIONAL_ADDRESS_FAMILY, turn.pack_family(6))
ALSO_V4: Attribute = (c.ADDITIONAL_ADDRESS_FAMILY, turn.pack_family(4))
WHOLE: Attribute = (c.DONT_FRAGMENT, b"")
NO_TOKEN: Attribute = (c.RESERVATION_TOKEN, bytes(8))


def lasting(seconds: int) -> Attribute:
    return c.LIFETIME, seconds.to_bytes(4, "big")


def channel(number: int) -> Attribute:
    return c.CHANNEL_NUMBER, turn.pack_channel(number)


def answered(client: RelayClient, method: int, *items: Item) -> stun.Message:
    answer = client.ask(method, *items)
    assert isinstance(answer, stun.Message)
    return answer


@pytest.mark.parametrize(
    ("transport", "attributes", "code"),
    [
        ("tcp", (), 400),
        ("udp", ((c.REQUESTED_TRANSPORT, b"\x11"),), 400),
        ("udp", ((c.REQUESTED_TRANSPORT, turn.pack_transport(132)),), 442),
        ("udp", (TCP,), 400),
        ("tcp", (TCP, EVEN), 400),
        ("tcp", (TCP, WHOLE), 400),
        ("tcp", (TCP, NO_TOKEN), 400),
        ("udp", (UDP, NO_TOKEN, EVEN), 400),
        ("udp", (UDP, NO_TOKEN, V4), 400),
        ("udp", (UDP, NO_TOKEN, ALSO_V6), 400),
        ("udp", (UDP, NO_TOKEN), 508),
        ("udp", (UDP, V4, ALSO_V6), 400),
        ("udp", (UDP, ALSO_V4), 400),
        ("udp", (UDP, ALSO_V6, PAIR), 400),
        ("udp", (UDP, NO_FAMILY), 440),
        ("udp", (UDP, (0x0030, b"what is this")), 420),
        ("udp", (UDP, (c.EVEN_PORT, b"too long")), 400),
        ("udp", (UDP, (c.LIFETIME, b"\0")), 400),
    ],
)
def test_an_allocate_request_that_cannot_be(
    transport: str, attributes: tuple[Attribute, ...], code: int
) -> None:
    site = RelaySite()
    client = RelayClient(site, transport=transport)  # type: ignore[arg-type]
    answer = answered(client, c.ALLOCATE, *attributes)
    assert error_of(answer) == code
    assert client.login.verify(answer), "signed"
    assert site.server.allocations == 0
    assert site.quotas.enter("user", ALICE) is None, "nothing is counted"


def test_what_is_not_understood_is_named() -> None:
    answer = answered(RelayClient(RelaySite()), c.ALLOCATE, UDP, (0x0030, b""), (0x0031, b""))
    assert answer.unknown_attributes == (0x0030, 0x0031)
    answer = answered(RelayClient(RelaySite(can_forbid_fragments=False)), c.ALLOCATE, UDP, WHOLE)
    assert answer.unknown_attributes == (c.DONT_FRAGMENT,)


@pytest.mark.parametrize(
    ("asked", "granted"), [(None, 600), (0, 600), (10, 600), (1200, 1200), (99999, 3600)]
)
def test_lifetimes(asked: int | None, granted: int) -> None:
    site = RelaySite()
    client = RelayClient(site)
    answer = answered(client, c.ALLOCATE, UDP, *([] if asked is None else [lasting(asked)]))
    assert answer.lifetime_s == granted
    assert answer.mapped == ALICE
    site.pass_time(granted - 1)
    assert client.allocation is not None
    site.pass_time(2)
    assert client.allocation is None
    assert site.ports[0].closed


def test_one_allocation_for_a_five_tuple() -> None:
    site = RelaySite()
    client = RelayClient(site)
    client.allocate()
    request = client.message(c.ALLOCATE, UDP)
    assert error_of(client.say(request)) == 437
    other = RelayClient(site, BOB)
    first = other.message(c.ALLOCATE, UDP)
    challenge = other.say(first)
    assert isinstance(challenge, stun.Message)
    other.login.renew(challenge)
    made, again = other.say(first), other.say(first)
    assert isinstance(made, stun.Message)
    assert made == again, "the same request gets the same answer"
    assert len(site.ports) == 2


def test_two_families() -> None:
    client = RelayClient(RelaySite())
    answer = answered(client, c.ALLOCATE, UDP, ALSO_V6)
    assert [each.family for each in answer.relayed] == [4, 6]
    assert client.permit(PEER, PEER6) is None
    assert client.send(PEER6, b"x") == ForwardedData(6, [b"x"], PEER6)
    assert error_of(answered(client, c.REFRESH, lasting(0), V6)) is None
    assert client.permit(PEER6) == 443
    assert client.permit(PEER) is None
    assert error_of(answered(client, c.REFRESH, V6)) == 443
    assert answered(client, c.REFRESH, V4).lifetime_s == 600


OLD_ALSO_V6: Attribute = (c.OLD_ADDITIONAL_ADDRESS_FAMILY, turn.pack_family(6))
OLD_ALSO_V4: Attribute = (c.OLD_ADDITIONAL_ADDRESS_FAMILY, turn.pack_family(4))


def test_two_families_by_the_number_of_drafts_as_coturns_clients_ask() -> None:
    answer = answered(RelayClient(RelaySite()), c.ALLOCATE, UDP, OLD_ALSO_V6)
    assert [each.family for each in answer.relayed] == [4, 6]
    only_four = RelaySite(hosts={4: HOSTS[4]})
    answer = answered(RelayClient(only_four), c.ALLOCATE, UDP, OLD_ALSO_V6)
    assert (len(answer.relayed), answer.address_error) == (1, None)
    assert answer.old_address_error is not None
    assert answer.old_address_error[:2] == (6, 440)
    both = answered(RelayClient(only_four, BOB), c.ALLOCATE, UDP, ALSO_V6, OLD_ALSO_V6)
    assert both.address_error is not None
    assert error_of(answered(RelayClient(RelaySite()), c.ALLOCATE, UDP, OLD_ALSO_V4)) == 400


def test_a_family_that_is_missing() -> None:
    only_four = RelaySite(hosts={4: HOSTS[4]})
    answer = answered(RelayClient(only_four), c.ALLOCATE, UDP, ALSO_V6)
    assert len(answer.relayed) == 1
    assert answer.address_error is not None
    assert answer.address_error[:2] == (6, 440)
    assert error_of(answered(RelayClient(only_four, BOB), c.ALLOCATE, UDP, V6)) == 440
    assert error_of(answered(RelayClient(RelaySite(hosts={6: HOSTS[6]})), c.ALLOCATE, UDP)) == 440


def test_a_pair_of_ports() -> None:
    site = RelaySite()
    client = RelayClient(site)
    answer = answered(client, c.ALLOCATE, UDP, PAIR)
    token = answer.reservation_token
    assert token is not None
    stranger = RelayClient(site, BOB, user="other", password="word")
    assert error_of(answered(stranger, c.ALLOCATE, UDP, (c.RESERVATION_TOKEN, token))) == 508
    second = RelayClient(site, BOB)
    relayed = second.allocate(UDP, (c.RESERVATION_TOKEN, token))
    assert relayed.port == answer.relayed[0].port + 1
    third = RelayClient(site, Endpoint(ALICE.host, 40003))
    assert error_of(answered(third, c.ALLOCATE, UDP, (c.RESERVATION_TOKEN, token))) == 508, "used"


def test_a_reserved_port_is_counted_and_given_back() -> None:
    site = RelaySite(TurnLimits(allocations_per_user=2, challenge_burst=1000))
    client = RelayClient(site)
    answered(client, c.ALLOCATE, UDP, PAIR)
    other = RelayClient(site, BOB)
    assert error_of(answered(other, c.ALLOCATE, UDP)) == 486
    site.pass_time(29)
    assert error_of(answered(other, c.ALLOCATE, UDP)) == 486
    site.pass_time(2)
    assert [port.closed for port in site.ports] == [False, True]
    other.allocate()


def test_no_port_is_free() -> None:
    site = RelaySite()
    site.free = False
    for attributes in ((UDP,), (UDP, PAIR), (UDP, ALSO_V6)):
        assert error_of(answered(RelayClient(site), c.ALLOCATE, *attributes)) == 508
    assert site.server.allocations == 0
    site.free = True
    RelayClient(site).allocate()


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (TurnLimits(allocations_per_user=1), 486),
        (TurnLimits(allocations_per_source=1), 486),
        (TurnLimits(allocations=1), 508),
    ],
)
def test_quotas(limits: TurnLimits, code: int) -> None:
    site = RelaySite(limits)
    first = RelayClient(site)
    first.allocate()
    second = RelayClient(site, Endpoint(ALICE.host, 40009))
    assert error_of(answered(second, c.ALLOCATE, UDP)) == code
    assert error_of(answered(first, c.REFRESH, lasting(0))) is None
    second.allocate()


@pytest.mark.parametrize("method", [c.REFRESH, c.CREATE_PERMISSION, c.CHANNEL_BIND, c.CONNECT])
def test_requests_without_an_allocation_and_with_anothers_user(method: int) -> None:
    site = RelaySite()
    client = RelayClient(site)
    client.ask(c.ALLOCATE)  # challenged, and refused
    items = (PEER, channel(0x4000))
    assert error_of(answered(client, method, *items)) == 437
    client.allocate()
    impostor = RelayClient(site, user="other", password="word")
    impostor.ask(c.ALLOCATE, UDP)
    assert error_of(answered(impostor, method, *items)) == 441


def test_refresh() -> None:
    site = RelaySite()
    client = RelayClient(site)
    client.allocate()
    site.pass_time(500)
    assert answered(client, c.REFRESH, lasting(1800)).lifetime_s == 1800
    site.pass_time(1700)
    assert client.allocation is not None
    deleted = answered(client, c.REFRESH, lasting(0))
    assert deleted.lifetime_s == 0
    assert client.allocation is None
    assert site.ports[0].closed
    assert error_of(answered(client, c.REFRESH, lasting(0))) == 437


def test_permissions() -> None:
    site = RelaySite()
    client = RelayClient(site)
    client.allocate()
    allocation = client.allocation
    assert allocation is not None
    assert error_of(answered(client, c.CREATE_PERMISSION)) == 400
    assert error_of(answered(client, c.CREATE_PERMISSION, (c.XOR_PEER_ADDRESS, b"short"))) == 400
    assert client.permit(PEER6) == 443
    assert allocation.from_peer(b"x", 1, PEER, site.now) == [], "nothing passes inward before"
    assert client.send(PEER, b"x") is None
    assert client.permit(PEER, BOB) is None
    assert client.send(PEER, b"x") == ForwardedData(4, [b"x"], PEER)
    (data,) = allocation.from_peer(b"y", 1, Endpoint(PEER.host, 9), site.now)
    message = stun.decode(data)
    assert (message.method, message.kind) == (c.DATA_METHOD, "indication")
    assert message.peers == (Endpoint(PEER.host, 9),), "a permission is for an address"
    assert message.get(c.DATA) == b"y"
    site.pass_time(301)
    assert client.send(PEER, b"x") is None
    assert allocation.from_peer(b"y", 1, PEER, site.now) == []
    assert site.quotas.peers.taken == 0


def test_all_permissions_or_none() -> None:
    site = RelaySite()
    client = RelayClient(site)
    client.allocate()
    assert client.permit(PEER, Endpoint("10.0.0.1", 5000)) == 403
    assert client.send(PEER, b"x") is None


@pytest.mark.parametrize("number", [0x0000, 0x3FFF, 0x8000, 0xFFFF])
def test_no_channel_has_this_number(number: int) -> None:
    client = RelayClient(RelaySite())
    client.allocate()
    assert client.bind(number, PEER) == 400


def test_channels() -> None:
    site = RelaySite()
    client = RelayClient(site)
    client.allocate()
    allocation = client.allocation
    assert allocation is not None
    assert error_of(answered(client, c.CHANNEL_BIND, channel(0x4000))) == 400
    assert error_of(answered(client, c.CHANNEL_BIND, PEER)) == 400
    assert client.bind(0x4000, PEER6) == 443
    assert client.channel(0x4000, b"x") is None
    assert client.bind(0x4000, PEER) is None
    assert client.bind(0x4000, BOB) == 400, "the number is another's"
    assert client.bind(0x4001, PEER) == 400, "the peer has another"
    assert client.channel(0x4000, b"hello") == ForwardedData(4, [b"hello"], PEER)
    assert client.channel(0x4001, b"hello") is None
    assert allocation.from_peer(b"back", 4, PEER, site.now) == [turn.encode_channel_data(0x4000, b"back")]
    site.pass_time(301)
    assert client.channel(0x4000, b"x") is None, "its permission has lapsed"
    assert client.bind(0x4000, PEER) is None
    site.pass_time(290)
    client.permit(PEER)
    client.ask(c.REFRESH)
    site.pass_time(290)
    client.permit(PEER)
    site.pass_time(25)
    assert client.channel(0x4000, b"x") is None, "the channel has"
    assert client.bind(0x4000, BOB) is None


def test_channel_data_that_is_cut_short_is_dropped() -> None:
    site = RelaySite()
    client = RelayClient(site)
    client.allocate()
    client.bind(0x4000, PEER)
    assert client.allocation is not None
    for message in (b"", b"\x40", b"\x40\x00\x00", b"\x40\x00\x00\x05four"):
        assert site.server.peerings.from_channels(message, len(message), client.allocation, site.now) == []
    (padded,) = site.server.peerings.from_channels(b"\x40\x00\x00\x02hi\0\0", 8, client.allocation, site.now)
    assert padded == ForwardedData(4, [b"hi"], PEER)


def test_over_a_stream_channel_data_is_padded() -> None:
    site = RelaySite()
    client = RelayClient(site, transport="tcp")
    client.allocate()
    client.bind(0x4000, PEER)
    assert client.allocation is not None
    assert client.allocation.from_peer(b"12345", 5, PEER, site.now) == [b"\x40\x00\x00\x0512345\0\0\0"]


def test_dont_fragment_is_asked_for_at_the_beginning() -> None:
    site = RelaySite()
    plain, whole = RelayClient(site), RelayClient(site, BOB)
    plain.allocate()
    whole.allocate(UDP, WHOLE)
    for client in (plain, whole):
        client.permit(PEER)
    assert plain.send(PEER, b"x", WHOLE) is None
    assert whole.send(PEER, b"x", WHOLE) == ForwardedData(4, [b"x"], PEER)


def test_send_indications_with_what_is_not_understood_are_dropped() -> None:
    client = RelayClient(RelaySite())
    client.allocate()
    client.permit(PEER)
    assert client.send(PEER, b"x", (0x0030, b"")) is None
    no_data = client.message(c.SEND, PEER, kind="indication")
    assert client.put(stun.encode(no_data)) is None


def test_icmp_errors_are_told() -> None:
    site = RelaySite()
    client = RelayClient(site)
    client.allocate()
    assert client.allocation is not None
    assert client.allocation.icmp_from(PEER, 3, 3, 0, site.now) is None
    client.permit(PEER)
    told = client.allocation.icmp_from(PEER, 3, 4, 1280, site.now)
    assert told is not None
    message = stun.decode(told)
    assert message.icmp == (3, 4, 1280)
    assert message.peers == (PEER,)


def test_bandwidth_is_bounded_for_a_user_and_in_all() -> None:
    site = RelaySite(TurnLimits(octets_per_user=10_000, octets=15_000, challenge_burst=1000))
    clients = [RelayClient(site), RelayClient(site, BOB, user="other", password="word")]
    passed = []
    for client in clients:
        client.allocate()
        client.bind(0x4000, PEER)
        passed.append(sum(client.channel(0x4000, bytes(100)) is not None for _ in range(200)))
    assert passed == [100, 50]
    site.pass_time(0.5)
    assert clients[0].channel(0x4000, bytes(96)) is not None


def test_permissions_and_channels_are_bounded() -> None:
    site = RelaySite(TurnLimits(peers_per_allocation=4, peers=6, challenge_burst=1000))
    client, other = RelayClient(site), RelayClient(site, BOB)
    client.allocate()
    other.allocate()
    peers = [Endpoint(f"11.3.0.{number}", 5000) for number in range(2, 10)]
    assert client.permit(*peers[:5]) == 508
    assert client.permit(*peers[:4]) is None
    assert client.permit(*peers[:4]) is None, "these are no new ones"
    assert client.bind(0x4000, peers[0]) == 508
    assert other.permit(*peers[:3]) == 508, "all are taken"
    assert other.permit(*peers[:2]) is None
    site.pass_time(301)
    assert client.bind(0x4000, peers[5]) is None
    client.ask(c.REFRESH, lasting(0))
    assert site.quotas.peers.taken == 0


def test_the_end_of_a_connection_ends_its_allocation() -> None:
    site = RelaySite()
    client = RelayClient(site, transport="tcp")
    client.allocate()
    site.server.gone(client.client)
    site.close_over()
    assert site.ports[0].closed
    assert site.server.idle
    site.server.gone(client.client)


def test_a_client_that_goes_while_its_ports_are_opened() -> None:
    site = RelaySite()
    client = RelayClient(site, transport="tcp")
    client.ask(c.ALLOCATE)
    request = client.message(c.ALLOCATE, UDP, PAIR)
    order = client.put(client.login.sign(request))
    assert client.put(client.login.sign(request)) is None, "it is under way"
    site.server.gone(client.client)
    answer = stun.decode(site.open_ports(order))  # type: ignore[arg-type]
    assert error_of(answer) == 508
    assert all(port.closed for port in site.ports)
    assert len(site.ports) == 2
    for _ in range(GENEROUS.allocations_per_user):
        assert site.quotas.enter("user", ALICE) is None


def test_messages_that_are_harmed_or_none_get_no_answer() -> None:
    client = RelayClient(RelaySite())
    client.allocate()
    good = client.login.sign(client.message(c.REFRESH), fingerprint=True)
    assert client.put(good[:-1] + bytes((good[-1] ^ 1,))) is None
    assert isinstance(client.put(good), bytes)
    for kind in ("success", "error"):
        assert client.put(stun.encode(client.message(c.ALLOCATE, UDP, kind=kind))) is None  # type: ignore[arg-type]
    assert client.put(stun.encode(client.message(c.SEND, PEER))) is None, "Send is no request"
    assert client.put(stun.encode(client.message(c.REFRESH, kind="indication"))) is None


def test_datagrams_that_came_together_leave_together() -> None:
    site = RelaySite()
    client = RelayClient(site)
    client.allocate()
    client.bind(0x4000, PEER)
    client.bind(0x4001, BOB)
    allocation = client.allocation
    assert allocation is not None
    messages = [turn.encode_channel_data(0x4000, b"%4d" % number) for number in range(3)]
    others = [turn.encode_channel_data(0x4001, b"%4d" % number) for number in range(2)]
    strange = turn.encode_channel_data(0x4002, b"none")
    last = turn.encode_channel_data(0x4000, b"end")
    together = b"".join((*messages, *others, strange, last))
    assert site.server.peerings.from_channels(together, 8, allocation, site.now) == [
        ForwardedData(4, [b"   0", b"   1", b"   2"], PEER),
        ForwardedData(4, [b"   0", b"   1"], BOB),
        ForwardedData(4, [b"end"], PEER),
    ]
    back = allocation.from_peer(b"onetwotri4", 3, PEER, site.now)
    assert back == [turn.encode_channel_data(0x4000, each) for each in (b"one", b"two", b"tri", b"4")]
    assert allocation.from_peer(b"", 0, PEER, site.now) == [turn.encode_channel_data(0x4000, b"")]
