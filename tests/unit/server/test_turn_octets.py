"""Whom the relay carries bytes for: one who has many users, allocations or addresses takes no more than the
share of one, and others have theirs beside it. Bytes are counted, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import pytest
from relaysite import GENEROUS, NOW_S, PEER, SECRET, RelayClient, RelaySite

from nattools.model.endpoint import Endpoint
from nattools.protocols.stun import constants as c
from nattools.protocols.turn.credentials import time_limited

HONEST = Endpoint("11.9.0.1", 4000)
TICK_S = 0.01
LARGE = bytes(64_000)
SMALL = bytes(1200)
SOURCE = [Endpoint("11.1.0.2", 5000 + number) for number in range(20)]
WIDE4 = [Endpoint(f"11.1.0.{number}", 5000) for number in range(2, 22)]
WIDE6 = [Endpoint(f"2a10:1:1:{number:x}::2", 5000) for number in range(0, 20 * 16, 16)]
_NAMES = count(1)


def with_channel(site: RelaySite, remote: Endpoint) -> RelayClient:
    """A client with credentials of its own, as the mailbox hands them out to whoever meets somebody."""
    user, password = time_limited(SECRET, f"name{next(_NAMES)}", NOW_S + 3600)
    client = RelayClient(site, remote, user=user, password=password)
    client.allocate()
    assert client.bind(0x4000, PEER) is None
    return client


def flood(clients: Sequence[RelayClient], data: bytes) -> int:
    """What passes of three messages of each."""
    return sum(len(data) for client in clients for _ in range(3) if client.channel(0x4000, data) is not None)


@pytest.mark.parametrize(
    ("places", "octets"),
    [
        (SOURCE, GENEROUS.octets_per_source),
        (WIDE4, GENEROUS.octets / 2),
        (WIDE6, GENEROUS.octets / 2),
    ],
    ids=["address", "/24", "/48"],
)
def test_one_with_many_users_leaves_others_theirs(places: Sequence[Endpoint], octets: float) -> None:
    """20 users had 20 times as much as one, which is more than there is for all."""
    site = RelaySite(GENEROUS)
    attackers = [with_channel(site, place) for place in places]
    honest = with_channel(site, HONEST)
    taken = 0
    for tick in range(300):
        taken += flood(attackers, LARGE)
        for _ in range(10):
            assert honest.channel(0x4000, SMALL) is not None, f"1.2 MB/s, lost after {tick * TICK_S:.2f} s"
        site.now += TICK_S
    elapsed_s = 300 * TICK_S
    assert 0.9 * octets * elapsed_s < taken <= octets * (1 + elapsed_s)


def test_what_peers_send_counts_as_what_the_client_sends() -> None:
    site = RelaySite(GENEROUS)
    attackers = [with_channel(site, place) for place in SOURCE]
    honest = with_channel(site, HONEST)
    assert honest.allocation is not None
    passed = 0
    for attacker in attackers:
        allocation = attacker.allocation
        assert allocation is not None
        for _ in range(300):
            passed += len(LARGE) * len(allocation.from_peer(LARGE, len(LARGE), PEER, site.now))
    assert passed == GENEROUS.octets_per_source // len(LARGE) * len(LARGE)
    assert honest.allocation.from_peer(SMALL, len(SMALL), PEER, site.now)


def test_one_user_has_no_more_by_many_allocations() -> None:
    site = RelaySite(GENEROUS)
    clients = [RelayClient(site, place) for place in SOURCE]
    for client in clients:
        client.allocate()
        client.bind(0x4000, PEER)
    passed = sum(flood(clients, LARGE) for _ in range(20))
    assert passed == GENEROUS.octets_per_user // len(LARGE) * len(LARGE)


def test_who_begins_anew_has_nothing_anew() -> None:
    """An allocation that ended took the memory of what had passed with it: a burst for each new one."""
    site = RelaySite(GENEROUS)
    passed = 0
    for _ in range(5):
        client = RelayClient(site)
        client.allocate()
        client.bind(0x4000, PEER)
        passed += sum(flood([client], LARGE) for _ in range(100))
        client.ask(c.REFRESH, (c.LIFETIME, bytes(4)))
        site.server.sweep(site.now)
    assert passed == GENEROUS.octets_per_user // len(LARGE) * len(LARGE)
    site.pass_time(1)
    assert site.quotas.remembered == 0, "who may have all again is forgotten"


def test_what_is_refused_costs_nobody_anything() -> None:
    """Neither the source nor all: a user beyond his own share takes nothing of others' there."""
    site = RelaySite(GENEROUS)
    greedy, other = with_channel(site, SOURCE[0]), with_channel(site, SOURCE[1])
    for _ in range(500):
        flood([greedy], LARGE)
    assert sum(flood([other], LARGE) for _ in range(50)) == 150 * len(LARGE)
