"""What the relay does not do, for whom it does nothing, and how much it says to those it does not know."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from typing import Final

import pytest
from relaysite import (
    ALICE,
    BOB,
    NOW_S,
    PEER,
    SECRET,
    SERVER,
    TCP,
    UDP,
    RelayClient,
    RelaySite,
    error_of,
)

from nattools.model.endpoint import Endpoint
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import LongTermAuthentication, long_term_key
from nattools.protocols.turn.credentials import time_limited, time_limited_password
from nattools.server.relay.relayallocation import ForwardedData
from nattools.server.relay.turnconnections import ConnectOrder
from nattools.server.relay.turnlimits import TurnLimits
from nattools.server.relay.turnpeers import ipv4_within

OWN: Final = "11.201.0.3"
"""Another address of the relay's machine."""
FORBIDDEN: Final = [
    # this network, and the unspecified address
    "0.0.0.0", "0.1.2.3", "::",
    # loopback
    "127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "64:ff9b:1:ffff::7f00:1", "2002:7f00:1::", "2002:7f00:1::1",
    "2001:0:7f00:1::", "2001:0:b00:1:0:3fff:80ff:fffe",
    # link-local, and where clouds have their secrets
    "169.254.0.1", "169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "2002:a9fe:a9fe::",
    "64:ff9b::a9fe:a9fe",
    # private and unique local
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fd00::1", "::ffff:10.0.0.1",
    "::10.0.0.1", "64:ff9b::c0a8:1", "2002:a00:1::", "2001:0:0:0:0:0:f5ff:fffe",
    # between a provider and its customers
    "100.64.0.1", "100.127.255.255", "::ffff:100.64.0.1", "64:ff9b::6440:1",
    # multicast and broadcast
    "224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1", "255.255.255.255", "::ffff:224.0.0.1",
    "64:ff9b::e000:1", "2002:ffff:ffff::",
    # reserved, for documentation, for measurements
    "240.0.0.1", "192.0.2.1", "198.18.0.1", "2001:db8::1", "4000::1",
    # this machine, however it is spelled
    OWN, f"::ffff:{OWN}", f"::{OWN}", "64:ff9b::bc9:3", "2002:bc9:3::", "::ffff:11.201.0.2", "2002:bc9:2::1",
    # what is public, as another family spells it
    "::ffff:11.3.0.2", "64:ff9b::b03:2",
]  # fmt: skip


def relay_with_client(transport: str = "udp", **options: object) -> tuple[RelaySite, RelayClient]:
    """A client with an allocation of both families (over TCP: RFC 6062's, of the one that is asked for)."""
    site = RelaySite(own=(OWN,), **options)  # type: ignore[arg-type]
    client = RelayClient(site, transport=transport)  # type: ignore[arg-type]
    if transport == "udp":
        client.allocate(UDP, (c.ADDITIONAL_ADDRESS_FAMILY, turn.pack_family(6)))
    return site, client


@pytest.mark.parametrize("host", FORBIDDEN)
def test_nothing_is_relayed_to_a_forbidden_peer(host: str) -> None:
    """By CreatePermission, Send, ChannelBind and Connect."""
    peer = Endpoint(host, 5000)
    site, client = relay_with_client()
    allocation = client.allocation
    assert allocation is not None
    assert client.permit(peer) == 403
    assert client.bind(0x4000, peer) == 403
    assert client.channel(0x4000, b"x") is None
    assert client.send(peer, b"x") is None
    allocation.permissions[host] = site.now + 300  # whatever let it in
    assert client.send(peer, b"x") is None
    over_tcp = RelayClient(site, transport="tcp")
    over_tcp.allocate(TCP, (c.REQUESTED_ADDRESS_FAMILY, turn.pack_family(peer.family)))
    assert over_tcp.connect(peer) == 403


@pytest.mark.parametrize("host", ["11.3.0.2", "2a10:3::2"])
def test_others_are_relayed_to(host: str) -> None:
    peer = Endpoint(host, 5000)
    site, client = relay_with_client()
    assert client.permit(peer) is None
    assert client.send(peer, b"x") == ForwardedData(peer.family, [b"x"], peer)
    assert client.bind(0x4000, peer) is None
    over_tcp = RelayClient(site, transport="tcp")
    over_tcp.allocate(TCP, (c.REQUESTED_ADDRESS_FAMILY, turn.pack_family(peer.family)))
    assert isinstance(over_tcp.connect(peer), ConnectOrder)


@pytest.mark.parametrize("low_ports", [False, True])
def test_low_ports_are_for_those_who_allow_them(low_ports: bool) -> None:
    _, client = relay_with_client(low_ports=low_ports)
    client.permit(PEER)
    for port in (0, 1, 53, 1023):
        peer = Endpoint(PEER.host, port)
        reached = low_ports and port > 0
        assert (client.send(peer, b"x") is not None) == reached
        assert client.bind(0x4000 + port, peer) == (None if reached else 403)


def test_the_relays_own_ports_are_no_peers_but_what_it_relays_is() -> None:
    site, client = relay_with_client()
    other = RelayClient(site, BOB)
    relayed = other.allocate()
    assert client.permit(relayed) is None
    assert client.bind(0x4000, relayed) is None
    assert client.send(relayed, b"x") == ForwardedData(4, [b"x"], relayed)
    assert client.channel(0x4000, b"x") == ForwardedData(4, [b"x"], relayed)
    for control in (SERVER, Endpoint(SERVER.host, 3479), Endpoint(SERVER.host, relayed.port + 1)):
        assert client.send(control, b"x") is None
        assert client.bind(0x4001, control) == 403
    other.ask(c.REFRESH, (c.LIFETIME, bytes(4)))
    assert client.send(relayed, b"x") is None, "somebody else may have the port by now"
    assert client.channel(0x4000, b"x") is None
    assert client.bind(0x4000, relayed) == 403


def test_which_addresses_hold_ipv4() -> None:
    assert not ipv4_within("11.3.0.2")
    assert not ipv4_within("2a10:3::2")
    assert ipv4_within("::11.3.0.2")
    assert ipv4_within("fe80::1%eth0") is False


# --- credentials


def limited(expires: int = NOW_S + 100, secret: str = SECRET) -> dict[str, str]:
    user, password = time_limited(secret, "alice", expires)
    return {"user": user, "password": password}


@pytest.mark.parametrize(
    "credentials",
    [
        {"user": "user", "password": "guess"},
        {"user": "nobody", "password": "pass"},
        limited(NOW_S),
        limited(NOW_S - 1),
        limited(secret="another secret"),
        {
            "user": f"{NOW_S + 100}:alice",
            "password": time_limited_password(SECRET, f"{NOW_S + 101}:alice"),
        },
        {"user": f"{NOW_S + 100}", "password": "x"},
        {"user": f"-{NOW_S + 100}:alice", "password": time_limited_password(SECRET, "alice")},
        {"user": "alice", "password": time_limited_password(SECRET, "alice")},
    ],
)
def test_credentials_that_are_none(credentials: dict[str, str]) -> None:
    site = RelaySite()
    assert error_of(RelayClient(site, **credentials).ask(c.ALLOCATE, UDP)) == 401
    assert site.server.allocations == 0


def test_time_limited_credentials() -> None:
    site = RelaySite()
    client = RelayClient(site, **limited())
    client.allocate()
    site.pass_time(500)
    assert error_of(client.ask(c.REFRESH)) is None, "who has an allocation keeps it"
    assert error_of(RelayClient(site, BOB, **limited()).ask(c.ALLOCATE, UDP)) == 401
    issued = site.users.issue(60)
    assert issued is not None
    RelayClient(site, BOB, user=issued.username, password=issued.password).allocate()


class _OtherRealm(LongTermAuthentication):
    """Has the key of another realm, as of another server with the same users."""

    def renew(self, response: stun.Message) -> str | None:
        attributes = tuple(
            (number, b"else") if number == c.REALM else (number, value)
            for number, value in response.attributes
        )
        return super().renew(
            stun.Message(response.method, response.kind, response.transaction_id, attributes)
        )


def test_credentials_of_another_realm() -> None:
    site = RelaySite()
    client = RelayClient(site)
    client.login = _OtherRealm("user", "pass")
    assert error_of(client.ask(c.ALLOCATE, UDP)) == 401


def signed_allocate(client: RelayClient) -> bytes:
    challenge = client.say(client.message(c.ALLOCATE, UDP))
    assert isinstance(challenge, stun.Message)
    client.login.renew(challenge)
    return client.login.sign(client.message(c.ALLOCATE, UDP))


@pytest.mark.parametrize(
    "elsewhere",
    [
        lambda site: RelayClient(site, BOB),
        lambda site: RelayClient(site, Endpoint(ALICE.host, ALICE.port + 1)),
        lambda site: RelayClient(site, ALICE, "tcp"),
        lambda site: RelayClient(site, Endpoint("2a10:1::2", ALICE.port)),
    ],
)
def test_a_request_replayed_from_elsewhere(elsewhere: Callable[[RelaySite], RelayClient]) -> None:
    site = RelaySite()
    request = signed_allocate(RelayClient(site))
    answer = elsewhere(site).put(request)
    assert isinstance(answer, bytes)
    assert error_of(stun.decode(answer)) == 438
    assert site.server.allocations == 0


def test_a_request_replayed_later() -> None:
    site = RelaySite()
    client = RelayClient(site)
    request = signed_allocate(client)
    site.pass_time(3700)
    answer = client.put(request)
    assert isinstance(answer, bytes)
    assert error_of(stun.decode(answer)) == 438
    client.allocate()


def test_every_nonce_that_was_not_given_is_stale() -> None:
    site = RelaySite()
    client = RelayClient(site)
    request = stun.decode(signed_allocate(client))
    nonce = request.nonce
    assert nonce is not None
    key = long_term_key("user", "turn", "pass")
    for other in (b"", nonce[:3], nonce[:-1], nonce + b"AAAA", nonce.swapcase(), b"obMatJos2gAAB" + nonce):
        attributes = (UDP, (c.USERNAME, b"user"), (c.REALM, b"turn"), (c.NONCE, other))
        answer = client.put(stun.encode(client.message(c.ALLOCATE, *attributes), key=key))
        assert isinstance(answer, bytes)
        assert error_of(stun.decode(answer)) == 438
    assert site.server.allocations == 0


def test_sha256_is_offered_where_there_is_room_and_cannot_be_bidden_down() -> None:
    site = RelaySite()
    client = RelayClient(site)
    long = (0x8030, bytes(60))
    client.allocate(UDP, long)
    assert client.allocation is not None
    assert len(client.allocation.user.key) == 32
    assert client.allocation.user.algorithm == "sha256"
    assert client.permit(PEER) is None
    other = RelayClient(site, BOB)
    challenge = other.say(other.message(c.ALLOCATE, UDP, long))
    assert isinstance(challenge, stun.Message)
    other.login.renew(challenge)
    signed = stun.decode(other.login.sign(other.message(c.ALLOCATE, UDP)))
    only_md5 = stun.pack_algorithms(((c.MD5, b""),))
    for left_out in ({c.PASSWORD_ALGORITHM}, {c.PASSWORD_ALGORITHMS}, {c.PASSWORD_ALGORITHMS: only_md5}):
        changed = [
            (number, left_out.get(number, value) if isinstance(left_out, dict) else value)
            for number, value in signed.attributes
            if number not in left_out or isinstance(left_out, dict)
        ]
        message = stun.Message(c.ALLOCATE, "request", signed.transaction_id, tuple(changed))
        key = long_term_key("user", "turn", "pass", c.SHA256)
        answer = other.put(stun.encode(message, key=key, algorithm="sha256"))
        assert isinstance(answer, bytes)
        assert error_of(stun.decode(answer)) == 400


def test_attributes_behind_the_integrity_are_ignored() -> None:
    site = RelaySite()
    client = RelayClient(site)
    client.allocate()
    request = client.message(c.CREATE_PERMISSION, PEER)
    signed = client.login.sign(request)
    number = request.transaction_id
    extra = stun.pack_attribute(c.XOR_PEER_ADDRESS, stun.pack_xor_address(BOB, number))
    both = signed[:2] + (len(signed) - 20 + len(extra)).to_bytes(2, "big") + signed[4:] + extra
    assert isinstance(client.put(both), bytes)
    assert client.send(PEER, b"x") is not None
    assert client.send(BOB, b"x") is None


@pytest.mark.parametrize("missing", [c.USERNAME, c.REALM, c.NONCE])
def test_signed_and_without_who_it_is(missing: int) -> None:
    site = RelaySite()
    client = RelayClient(site)
    signed = stun.decode(signed_allocate(client))
    attributes = tuple(item for item in signed.attributes if item[0] != missing)
    message = stun.Message(c.ALLOCATE, "request", signed.transaction_id, attributes)
    answer = client.put(stun.encode(message, key=b"key"))
    assert isinstance(answer, bytes)
    assert error_of(stun.decode(answer)) == 400


# --- floods


def test_what_the_unproven_get_is_never_more_than_1_6_times_what_they_sent() -> None:
    site = RelaySite()
    worst = 0.0
    for method in range(0x010):
        for size in range(0, 400, 4):
            client = RelayClient(site)
            padding = [] if size < 4 else [(0x8030, bytes(size - 4))]
            for items in ([UDP], []):
                bare = stun.encode(client.message(method, *items, *padding))
                login = LongTermAuthentication("user", "wrong")
                login.renew(
                    stun.Message(c.ALLOCATE, "error", bytes(12), ((c.REALM, b"turn"), (c.NONCE, b"AAAA")))
                )
                signed = login.sign(client.message(method, *items, *padding))
                unnamed = stun.encode(client.message(method, *items, *padding), key=b"key")
                for request in (bare, signed, unnamed):
                    answer = client.put(request)
                    assert answer is None or isinstance(answer, bytes)
                    worst = max(worst, len(answer or b"") / len(request))
    assert 1.5 < worst <= 1.6
    assert site.server.allocations == 0


def test_the_shortest_request_is_worth_a_challenge() -> None:
    client = RelayClient(RelaySite())
    request = stun.encode(client.message(c.ALLOCATE, UDP))
    assert len(request) == 28
    answer = client.put(request)
    assert isinstance(answer, bytes)
    assert len(answer) == 44
    client.allocate()


def test_challenges_are_rate_limited() -> None:
    site = RelaySite(TurnLimits())
    answers = [RelayClient(site, Endpoint(ALICE.host, port)).say_bare() for port in range(2000, 3000)]
    assert sum(answer is not None for answer in answers) == TurnLimits().challenge_burst
    assert RelayClient(site, BOB).say_bare() is not None, "others go on"
    site.pass_time(1)
    assert RelayClient(site).say_bare() is not None


def test_guesses_are_not_even_looked_at_beyond_the_limit() -> None:
    site = RelaySite(TurnLimits())
    tries = [error_of(RelayClient(site, password=f"{number}").ask(c.ALLOCATE, UDP)) for number in range(51)]
    assert tries[:50] == [401] * 50
    assert RelayClient(site).ask(c.ALLOCATE, UDP) is None, "not even the right one"
    client = RelayClient(site, BOB)
    client.allocate()
    assert client.permit(PEER) is None


def test_ten_thousand_attempts_leave_nothing_behind() -> None:
    site = RelaySite(TurnLimits())

    def attempts(count: int) -> None:
        for number in range(count):
            remote = Endpoint(f"11.{1 + number % 100}.{number // 100 % 256}.2", 1024 + number)
            RelayClient(site, remote).say_bare()
            client = RelayClient(site, remote, user="user", password="pass" if number % 2 else "guess")
            client.ask(c.ALLOCATE, UDP)

    attempts(500)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    attempts(10_000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert site.server.allocations == TurnLimits().allocations_per_user
    assert sum(not port.closed for port in site.ports) == site.server.allocations
    assert grown < 15e6, "a table of sources, which is bounded, and nothing else"
    site.pass_time(3601)
    assert site.server.idle
    assert site.quotas.peers.taken == 0


def test_an_allocation_is_small() -> None:
    site = RelaySite(
        TurnLimits(allocations_per_user=10**6, allocations_per_source=10**6, challenge_burst=1e6)
    )
    clients = [RelayClient(site, Endpoint(ALICE.host, 1024 + number)) for number in range(200)]
    clients[0].allocate()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for client in clients[1:]:
        client.allocate()
    each = (tracemalloc.get_traced_memory()[0] - before) / 199
    tracemalloc.stop()
    assert each < 8000, f"{each:.0f} bytes, those of its client among them, on {sys.version}"


def test_nothing_of_the_program_is_told_to_strangers() -> None:
    site = RelaySite()
    client = RelayClient(site)
    answer = client.say(client.message(c.ALLOCATE, UDP, (0x8030, bytes(300))))
    assert isinstance(answer, stun.Message)
    assert answer.software is None
    assert answer.error == (401, "")


def test_one_source_cannot_take_all_permissions() -> None:
    """64 allocations with 1,024 each were all that there are, and nobody else could be relayed for."""
    site = RelaySite(TurnLimits(challenge_rate=1e6, challenge_burst=1e6))
    given = 0
    for number in range(64):
        client = RelayClient(site, Endpoint(ALICE.host, 30_000 + number))
        client.allocate()
        for block in range(16):
            peers = [Endpoint(f"11.7.{block}.{last}", 5000) for last in range(64)]
            given += 64 * (client.permit(*peers) is None)
    assert given == 4096
    honest = RelayClient(site, Endpoint("11.9.0.1", 4000), user="other", password="word")
    honest.allocate()
    assert honest.permit(PEER) is None
    assert honest.bind(0x4000, PEER) is None


def test_ten_thousand_channels() -> None:
    """An allocation has 1,024 channels and permissions; renewing them takes no more."""
    site = RelaySite()
    client = RelayClient(site)
    client.allocate()
    answers = [
        client.bind(0x4000 + number, Endpoint(f"11.7.{number % 200}.9", 1024 + number))
        for number in range(10_000)
    ]
    assert answers.count(None) == 1024 - 200
    assert set(answers) == {None, 508}
    assert client.bind(0x4000, Endpoint("11.7.0.9", 1024)) is None
    assert site.quotas.peers.taken == 1024
    assert error_of(client.ask(c.REFRESH, (c.LIFETIME, bytes(4)))) is None
    assert site.quotas.peers.taken == 0


def test_one_source_cannot_take_all_connections_to_peers() -> None:
    site = RelaySite(TurnLimits(challenge_rate=1e6, challenge_burst=1e6))
    orders = 0
    for number in range(40):
        client = RelayClient(site, Endpoint(ALICE.host, 30_000 + number), "tcp")
        client.allocate(TCP)
        for last in range(16):
            orders += isinstance(client.connect(Endpoint(f"11.7.{number}.{last}", 5000)), ConnectOrder)
    assert orders == 32
    honest = RelayClient(site, Endpoint("11.9.0.1", 4000), "tcp", user="other", password="word")
    honest.allocate(TCP)
    assert isinstance(honest.connect(PEER), ConnectOrder)
