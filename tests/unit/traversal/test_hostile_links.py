"""A peer that has proven the secret, and then sends what no peer does: the link ends or goes on, and what it
keeps is bounded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from linked import paths, quic_links, read_exactly
from simulated import open_internet, pass_time, run

from nattools.lab.sim.simlab import SimLab
from nattools.traversal.links.quiclink import MOST_OF_PEER, QuicLink
from nattools.traversal.links.quicreceive import ACK, DATA, HEAD, WINDOW

Linked = Callable[[QuicLink, QuicLink], Awaitable[None]]


def linked(main: Linked) -> None:
    """Ours is the hostile one's, theirs an ordinary one."""

    async def with_links(lab: SimLab) -> None:
        one, other = await paths(lab.network("alice"), lab.network("bob"))
        await main(*await quic_links(one, other))

    run(open_internet(delay_ms=5), with_links)


async def flood(link: QuicLink, frames: list[bytes]) -> None:
    """Over the stream that it sends on, as fast as that takes them."""
    for number, frame in enumerate(frames):
        connection = link._control()
        if connection is None:
            return
        connection.write(frame)
        if number % 64 == 63:
            await pass_time(0.5)
    await pass_time(2)


def test_the_same_early_piece_again_and_again() -> None:
    async def main(ours: QuicLink, theirs: QuicLink) -> None:
        piece = bytes(16_384)
        await flood(ours, [HEAD.pack(DATA, len(piece), 1) + piece] * 1000)
        assert theirs._early.size <= 2 * WINDOW + len(piece)
        assert theirs.ended is None
        assert await ours_first(ours, theirs) == b"!" + piece

    async def ours_first(ours: QuicLink, theirs: QuicLink) -> bytes:
        await flood(ours, [HEAD.pack(DATA, 1, 0) + b"!"])
        return await read_exactly(theirs, 16_385)

    linked(main)


def test_a_hole_behind_each_byte() -> None:
    async def main(ours: QuicLink, theirs: QuicLink) -> None:
        frames = [HEAD.pack(DATA, 1, 2 * number + 1) + b"x" for number in range(70_000)]
        await flood(ours, [b"".join(frames[at : at + 1000]) for at in range(0, len(frames), 1000)])
        assert theirs.ended == "the peer sent in more pieces than anybody does"
        assert ours.ended == "the peer broke it off"

    linked(main)


def test_who_grants_everything_and_acknowledges_nothing_is_sent_a_window() -> None:
    async def main(ours: QuicLink, theirs: QuicLink) -> None:
        ours._report = lambda: None  # type: ignore[method-assign]
        await flood(ours, [HEAD.pack(ACK, 0xFFFFFFFF, 0)])
        for _ in range(100):
            theirs.write(bytes(WINDOW // 8))
            await pass_time(0.2)
        assert sum(len(piece) for _, piece in theirs._kept) <= WINDOW

    linked(main)


def test_connections_without_end() -> None:
    """Each of them proven."""

    async def main(ours: QuicLink, theirs: QuicLink) -> None:
        use = ours._own_use
        for _ in range(4 * MOST_OF_PEER):
            ours.connections.open(use)
            await pass_time(0.1)
        theirs_of_peer = [each for each in theirs._live if not each.is_client]
        assert len(theirs_of_peer) <= MOST_OF_PEER
        assert len(theirs.connections._by_id) < 20 * MOST_OF_PEER
        theirs.write(b"still here")
        assert await read_exactly(ours, 10) == b"still here"

    linked(main)


@pytest.mark.parametrize("times", [1000])
def test_connection_ids_changed_all_the_time(times: int) -> None:
    """Each makes the other side give out a new one."""

    async def main(ours: QuicLink, theirs: QuicLink) -> None:
        connection = ours._control()
        assert connection is not None
        for _ in range(times):
            connection.quic.change_connection_id()
            connection.ping()
            await pass_time(0.05)
        assert len(theirs.connections._by_id) < 100
        ours.write(b"still here")
        assert await read_exactly(theirs, 10) == b"still here"

    linked(main)
