"""What clients with right credentials take of a relay's permissions and channels, from many addresses and
under many names, and what an honest one has beside them. On a clock that the test moves."""

from __future__ import annotations

from itertools import islice, product

from relaysite import NOW_S, PEER, SECRET, RelayClient, RelaySite

from nattools.model.endpoint import Endpoint
from nattools.protocols.stun import constants as c
from nattools.protocols.turn.credentials import time_limited
from nattools.server.relay.turnlimits import TurnLimits

LIMITS = TurnLimits(challenge_rate=1e6, challenge_burst=1e6)
HONEST = Endpoint("11.9.0.1", 4000)
AT_ONCE = 64


def taken(client: RelayClient, most: int = 1024) -> int:
    """How many permissions it is given, of those that an allocation may have; the last are asked for one by
    one."""
    hosts = (f"11.7.{block}.{last}" for block, last in product(range(16), range(AT_ONCE)))
    peers = [Endpoint(host, 5000) for host in islice(hosts, most)]
    blocks = [peers[at : at + AT_ONCE] for at in range(0, most, AT_ONCE)]
    given = 0
    for block in blocks:
        if client.permit(*block) is None:
            given += len(block)
            continue
        for peer in block:
            if client.permit(peer) is not None:
                return given
            given += 1
    return given


def is_served(site: RelaySite) -> bool:
    """Can somebody else, who has nothing yet, meet a peer and bind a channel to it?"""
    client = RelayClient(site, HONEST, user="other", password="word")
    client.allocate()
    return client.permit(PEER) is None and client.bind(0x4000, PEER) is None


def test_one_user_at_many_addresses_cannot_take_all_permissions() -> None:
    """64 allocations from 16 addresses of two networks had all 65,536 that there are."""
    site = RelaySite(LIMITS)
    places = [f"11.{network}.0.{last}" for network, last in product((1, 2), range(2, 10))]
    clients = [RelayClient(site, Endpoint(host, port)) for host, port in product(places, range(5000, 5004))]
    given = 0
    for client in clients:
        client.allocate()
        given += taken(client)
    assert given == LIMITS.peers_per_user
    assert is_served(site)
    for client in clients:
        client.ask(c.REFRESH, (c.LIFETIME, bytes(4)))
    assert site.quotas.peers.taken == 2, "those of the honest one"
    again = RelayClient(site)
    again.allocate()
    assert taken(again) == LIMITS.peers_per_allocation, "who gave them back may have as many again"


def test_many_users_at_many_addresses_leave_some_for_others() -> None:
    """16 sources, each under names of its own as the mailbox hands them out, had all."""
    site = RelaySite(LIMITS)
    given = []
    for source in range(20):
        had = 0
        for number in range(4):
            user, password = time_limited(SECRET, f"{source}-{number}", NOW_S + 3600)
            place = Endpoint(f"11.1.{source}.2", 5000 + number)
            client = RelayClient(site, place, user=user, password=password)
            client.allocate()
            had += taken(client)
        given.append(had)
    assert given == [4096] * 14 + [AT_ONCE] * 6
    assert is_served(site)


def test_who_has_many_may_renew_them_where_few_are_left() -> None:
    site = RelaySite(TurnLimits(peers=1024, challenge_burst=1e6))
    client = RelayClient(site)
    client.allocate()
    assert taken(client) == 1024 - 1024 // 8
    assert taken(client, 1024 - 1024 // 8) == 1024 - 1024 // 8
    assert is_served(site)
