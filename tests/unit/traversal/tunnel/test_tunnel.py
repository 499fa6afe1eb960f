from __future__ import annotations

import asyncio
import random

import pytest
from links import Pair, run_pair
from simulated import pass_time
from streamends import echo, read_all, write_all

from nattools.errors import CannotRun
from nattools.protocols.tunnel import MAX_STREAMS, Bench, Pipe, TcpTo, TunnelSession
from nattools.traversal.tunnel import Tunnel, TunnelStream


def echoing(tunnel: Tunnel) -> list[TunnelStream]:
    """Every pipe that is opened says back what it is told."""
    opened: list[TunnelStream] = []

    async def answer(stream: TunnelStream) -> None:
        opened.append(stream)
        await echo(stream)

    tunnel.serve(Pipe, answer)
    return opened


def test_a_stream_carries_bytes_both_ways_and_ends_each_for_itself() -> None:
    async def main(pair: Pair) -> tuple[bytes, str | None]:
        echoing(pair.other)
        stream = pair.one.open(Pipe())
        await write_all(stream, b"x" * 300_000 + b"end")
        received = await read_all(stream)
        return received, await stream.finished()

    assert run_pair(main) == (b"x" * 300_000 + b"end", None)


def test_megabytes_survive_ten_breaks_anywhere() -> None:
    data = random.Random(4).randbytes(6_000_000)

    async def keep_joined(pair: Pair) -> int:
        breaks, chance = 0, random.Random(5)
        while pair.one.ended is None:
            links = pair.join(0.01, 10e6)
            if breaks < 10:
                links[breaks % 2].breaks_after = chance.randrange(600_000)
            await pair.one.present.wait() if breaks == 10 else None
            while links[0].ended is None and pair.one.ended is None:
                await pass_time(0.05)
            if links[0].ended is not None:
                breaks += 1
        return breaks

    async def main(pair: Pair) -> tuple[bytes, str | None, int]:
        echoing(pair.other)
        stream = pair.one.open(Pipe())
        joining = asyncio.ensure_future(keep_joined(pair))
        writing = asyncio.ensure_future(write_all(stream, data))
        received = await read_all(stream)
        await writing
        failed = await stream.finished()
        pair.one.stop("done")
        return received, failed, await joining

    received, failed, breaks = run_pair(main, joined=False)
    assert received == data
    assert failed is None
    assert breaks >= 10


def test_a_new_link_takes_the_place_of_one_that_still_works() -> None:
    async def main(pair: Pair) -> bytes:
        echoing(pair.other)
        stream = pair.one.open(Pipe())
        writing = asyncio.ensure_future(write_all(stream, bytes(500_000)))
        for _ in range(5):
            await pass_time(0.015)
            pair.join()
        received = await read_all(stream)
        await writing
        return received

    assert run_pair(main) == bytes(500_000)


def test_what_nobody_serves_is_refused_with_a_reason_that_both_sides_are_told() -> None:
    async def main(pair: Pair) -> tuple[list[str], str | None]:
        told: list[str] = []
        pair.other.on_refused = lambda purpose, reason: told.append(reason)
        stream = pair.one.open(Pipe())
        assert await stream.read() == b""
        return told, stream.failed

    told, failed = run_pair(main)
    assert failed == "the other side was not started with --pipe"
    assert told == [failed]


def test_a_handler_that_cannot_run_resets_the_stream() -> None:
    async def main(pair: Pair) -> str | None:
        async def refuse(stream: TunnelStream) -> None:
            raise CannotRun("not today")

        pair.other.serve(Bench, refuse)
        return await pair.one.open(Bench("up", 1.0)).finished()

    assert run_pair(main) == "not today"


def test_streams_are_bounded_and_can_be_had_again_once_they_are_over() -> None:
    async def main(pair: Pair) -> None:
        echoing(pair.other)
        streams = [pair.one.open(Pipe()) for _ in range(MAX_STREAMS)]
        with pytest.raises(CannotRun, match="256 streams"):
            pair.one.open(Pipe())
        for stream in streams:
            stream.end()
        for stream in streams:
            assert await stream.finished() is None
        again = pair.one.open(Pipe())
        again.end()
        assert await again.finished() is None

    run_pair(main)


def test_echoes_are_timed_and_none_comes_without_a_link() -> None:
    async def main(pair: Pair) -> tuple[float | None, float | None]:
        await pair.one.present.wait()
        there = await pair.one.echo(1.0)
        assert pair.one.link is not None
        pair.one.link.abort()
        await pair.one.lost.wait()
        return there, await pair.one.echo(1.0)

    there, lost = run_pair(main)
    assert there == pytest.approx(0.02)
    assert lost is None


def test_an_echo_on_its_way_when_the_link_is_lost_does_not_come() -> None:
    async def main(pair: Pair) -> float | None:
        await pair.one.present.wait()
        asking = asyncio.ensure_future(pair.one.echo(100.0))
        await pass_time(0.015)
        assert pair.one.link is not None
        pair.one.link.abort()
        return await asking

    assert run_pair(main) is None


def test_both_sides_say_goodbye_and_it_ended_well() -> None:
    async def main(pair: Pair) -> tuple[str | None, str | None]:
        await pair.one.present.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(pair.one.finish())
            group.create_task(pair.other.finish())
        return pair.one.ended, pair.other.ended

    assert run_pair(main) == ("", "")


def test_a_goodbye_with_a_reason_ends_it_for_both() -> None:
    async def main(pair: Pair) -> tuple[str | None, str | None]:
        await pair.one.present.wait()
        await pair.one.finish("the disk is full")
        while pair.other.ended is None:
            await pair.other.changed()
        return pair.one.ended, pair.other.ended

    one, other = run_pair(main)
    assert one == "the disk is full"
    assert other == "the disk is full"


def test_who_is_done_waits_for_the_other_and_not_for_ever() -> None:
    async def main(pair: Pair) -> tuple[bool, float, str | None]:
        await pair.one.present.wait()
        began = asyncio.get_running_loop().time()
        await pair.one.finish(timeout_s=7.0)
        return pair.other.peer_done, asyncio.get_running_loop().time() - began, pair.one.ended

    assert run_pair(main) == (True, pytest.approx(7.0), "")


def test_streams_fail_when_the_tunnel_is_stopped() -> None:
    async def main(pair: Pair) -> tuple[str | None, bytes]:
        stream = pair.one.open(Pipe())
        reading = asyncio.ensure_future(stream.read())
        await pass_time(1.0)
        pair.one.stop("no way was found again")
        return await stream.finished(), await reading

    echoed = run_pair(lambda pair: main(pair), joined=False)
    assert echoed == ("no way was found again", b"")


def test_a_peer_of_another_session_is_refused_by_name() -> None:
    async def main(pair: Pair) -> tuple[str | None, str | None]:
        pair.other._session._session = bytes(16)
        pair.join()
        while pair.one.ended is None or pair.other.ended is None:
            await pass_time(1.0)
        return pair.one.ended, pair.other.ended

    for ended in run_pair(main, joined=False):
        assert "the hello of another session" in str(ended)


def test_garbage_from_the_peer_ends_the_tunnel_and_names_it() -> None:
    async def main(pair: Pair) -> str | None:
        await pair.one.present.wait()
        assert pair.other.link is not None
        pair.other.link.write(b"\xff" * 10)
        while pair.one.ended is None:
            await pair.one.changed()
        return pair.one.ended

    assert "4294967295 bytes" in str(run_pair(main))


def test_a_link_without_a_hello_is_given_up() -> None:
    async def main(pair: Pair) -> float:
        mine, _ = pair_of_silence()
        pair.one.attach(mine)
        while mine.ended is None:
            await pass_time(1.0)
        return asyncio.get_running_loop().time()

    from links import link_pair as pair_of_silence

    assert run_pair(main, joined=False) == pytest.approx(15.0, abs=1.0)


def test_datagrams_go_to_their_stream_and_nowhere_once_it_is_over() -> None:
    async def main(pair: Pair) -> tuple[list[bytes], bool, bool]:
        got: list[bytes] = []
        opened = echoing(pair.other)
        stream = pair.one.open(Pipe())
        await pass_time(0.1)
        opened[0].on_datagram = got.append
        assert stream.send_datagram(b"hello")
        large = stream.send_datagram(bytes(pair.one.max_datagram + 1))
        await pass_time(0.1)
        stream.reset("over")
        return got, large, stream.send_datagram(b"late")

    assert run_pair(main) == ([b"hello"], False, False)


def test_what_the_other_side_was_started_for_is_known() -> None:
    async def main(pair: Pair) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        await pair.one.present.wait()
        await pair.other.present.wait()
        return pair.one.peer_uses, pair.other.peer_uses

    assert run_pair(main, uses=("pipe",), other_uses=("bench", "echo")) == (("bench", "echo"), ("pipe",))


def test_a_slow_reader_holds_the_sender_back() -> None:
    async def main(pair: Pair) -> tuple[int, bytes]:
        held: list[TunnelStream] = []
        gate = asyncio.Event()

        async def slow(stream: TunnelStream) -> None:
            held.append(stream)
            await gate.wait()

        pair.other.serve(TcpTo, slow)
        stream = pair.one.open(TcpTo("localhost", 1))
        writing = asyncio.ensure_future(write_all(stream, bytes(12_000_000)))
        await pass_time(10.0)
        assert not writing.done()
        waiting = sum(len(piece) for piece in held[0]._received)
        received = await read_all(held[0])
        await writing
        return waiting, received

    waiting, received = run_pair(main)
    assert waiting <= 4 << 20
    assert received == bytes(12_000_000)


def test_streams_opened_and_reset_in_a_flood_leave_bounded_work() -> None:
    async def main(pair: Pair) -> tuple[int, str | None]:
        gate = asyncio.Event()

        async def linger(stream: TunnelStream) -> None:
            await gate.wait()

        pair.other.serve(Pipe, linger)
        await pair.one.present.wait()
        for _ in range(12):
            for stream in [pair.one.open(Pipe()) for _ in range(200)]:
                stream.reset("changed my mind")
            await pass_time(0.1)
        left = len(pair.other._tasks)
        failed = await pair.one.open(Pipe()).finished()
        gate.set()
        return left, failed

    assert run_pair(main) == (4 * MAX_STREAMS, "too many requests at once")


def test_bytes_that_come_one_by_one_are_kept_together() -> None:
    """A peer whose reader is stuck could otherwise fill memory fifty times over."""

    async def main() -> None:
        session = TunnelSession(bytes(16), leads=True)
        stream = TunnelStream(0, Pipe(), session, lambda: None, lambda number, data: True)
        for _ in range(100_000):
            stream.note_data(b"x")
        assert len(stream._received) < 200
        assert await stream.read(1 << 20) == b"x" * 100_000

    asyncio.run(main())
