"""Whoever sees the way, and adds packets to it before what is true, prevents no secure connection by one of
them, and makes none by any number."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from linked import SECRET, WatchedPath, as_it_is, both, paths, quic_links
from quicforger import CLOSE, NO_HELLO, PING, Known, begun, other_versions, retry, to_client, to_server
from simulated import open_internet, run

from nattools.lab.sim.simlab import SimLab
from nattools.model.statement import Statement
from nattools.traversal.links.quiclink import QuicLink
from nattools.traversal.links.quicopening import TRIES, quic_link

Forged = tuple[bytes, bytes]
"""What the client and the server get."""
ATTACKS: dict[str, Callable[[Known], Forged]] = {
    "closed to the client": lambda known: (to_client(known, CLOSE), b""),
    "closed to the server": lambda known: (b"", to_server(known, CLOSE)),
    "closed to both": lambda known: (to_client(known, CLOSE), to_server(known, CLOSE)),
    "no hello to the client": lambda known: (to_client(known, NO_HELLO), b""),
    "no hello to the server": lambda known: (b"", to_server(known, NO_HELLO)),
    "another name": lambda known: (to_client(known, PING), b""),
    "other versions": lambda known: (other_versions(known), b""),
    "retry": lambda known: (retry(known), b""),
}


class Onlooker:
    """Begins with the first `most` connections that it sees on two paths."""

    def __init__(self, attack: Callable[[Known], Forged], most: int) -> None:
        self.attack, self.most = attack, most
        self.seen: list[Known] = []

    def watch(self, client: WatchedPath, server: WatchedPath) -> None:
        def leaves(data: bytes) -> list[bytes]:
            known = begun(data, self.seen)
            if known is None:
                return [data]
            self.seen.append(known)
            if len(self.seen) > self.most:
                return [data]
            answer, before = self.attack(known)
            if answer:
                server.send_on(answer)
            return [each for each in (before, data) if each]

        client.fate = leaves


def watched(attack: str, most: int) -> int:
    """Two that want a connection; whether it succeeds, and afterwards another one without the onlooker. The
    connections that were begun."""
    onlooker = Onlooker(ATTACKS[attack], most)

    async def main(lab: SimLab) -> None:
        one, other = await paths(lab.network("alice"), lab.network("bob"))
        onlooker.watch(one, other)
        answers = await both(
            quic_link(one, SECRET, leads=True, timeout_s=10),
            quic_link(other, SECRET, leads=False, timeout_s=10),
        )
        assert lab.loop.time() < 10.1
        if most == 1:
            assert all(isinstance(each, QuicLink) for each in answers), answers
        await use(*answers)
        one.fate = as_it_is
        await use(*await quic_links(one, other))

    run(open_internet(delay_ms=20), main)
    return len(onlooker.seen)


async def use(ours: QuicLink | Statement, theirs: QuicLink | Statement) -> None:
    """Both have a connection, and it is the same one, or neither has."""
    assert isinstance(ours, QuicLink) == isinstance(theirs, QuicLink)
    if isinstance(ours, QuicLink) and isinstance(theirs, QuicLink):
        ours.write(b"hello")
        assert await theirs.read() == b"hello"
        await both(ours.close(), theirs.close())


@pytest.mark.parametrize("attack", ATTACKS)
def test_one_forged_packet_does_not_prevent_a_connection(attack: str) -> None:
    assert watched(attack, 1) > 0


@pytest.mark.parametrize("attack", ATTACKS)
def test_who_forges_all_the_time_is_no_peer_and_costs_little(attack: str) -> None:
    assert watched(attack, 1000) <= 2 * TRIES
