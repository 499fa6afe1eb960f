from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from links import Pair, run_pair
from simulated import pass_time

from nattools.protocols.tunnel import Pipe
from nattools.traversal.tunnel.pipe import USE, DescriptorSink, DescriptorSource, PipeOutcome, PipeUse

DATA = bytes(range(256)) * 3000


class Given:
    """A source of what it was made with; with a gate it ends only once that is opened."""

    def __init__(self, *pieces: bytes, gate: asyncio.Event | None = None) -> None:
        self._pieces = list(pieces)
        self._gate = gate

    async def read(self) -> bytes:
        if not self._pieces and self._gate is not None:
            await self._gate.wait()
        return self._pieces.pop(0) if self._pieces else b""


class Taken:
    """A sink that keeps what it gets, until it is full."""

    def __init__(self, most: int | None = None, closes: str | None = None) -> None:
        self.data = bytearray()
        self.closed = False
        self._most = most
        self._closes = closes

    async def write(self, data: bytes) -> str | None:
        if self._most is not None and len(self.data) + len(data) > self._most:
            return "Broken pipe"
        self.data += data
        return None

    async def close(self) -> str | None:
        self.closed = True
        return self._closes


async def both(
    pair: Pair, mine: tuple[Given, Taken], theirs: tuple[Given, Taken]
) -> tuple[PipeOutcome, PipeOutcome]:
    one, other = PipeUse(pair.one), PipeUse(pair.other)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(one.run(*mine))
        second = group.create_task(other.run(*theirs))
        pair.join()
    return first.result(), second.result()


def piped(mine: tuple[Given, Taken], theirs: tuple[Given, Taken]) -> tuple[PipeOutcome, PipeOutcome]:
    return run_pair(lambda pair: both(pair, mine, theirs), uses=(USE,), other_uses=(USE,), joined=False)


def test_each_sides_input_comes_out_at_the_other_and_both_end() -> None:
    one, other = Taken(), Taken()
    outcomes = piped((Given(DATA, b"mine"), one), (Given(b"theirs"), other))
    assert outcomes == (PipeOutcome(len(DATA) + 4, 6), PipeOutcome(6, len(DATA) + 4))
    assert one.data == b"theirs"
    assert other.data == DATA + b"mine"
    assert one.closed
    assert other.closed


def test_one_direction_ends_and_the_other_goes_on() -> None:
    async def main(pair: Pair) -> tuple[bool, bytearray]:
        gate, sink = asyncio.Event(), Taken()
        running = asyncio.ensure_future(
            both(pair, (Given(b"question"), Taken()), (Given(b"answer", gate=gate), sink))
        )
        await pass_time(5.0)
        closed = sink.closed
        assert not running.done()
        gate.set()
        await running
        return closed, sink.data

    assert run_pair(main, uses=(USE,), other_uses=(USE,), joined=False) == (True, b"question")


def test_a_pipe_without_one_on_the_other_side_says_so() -> None:
    async def main(pair: Pair) -> tuple[str | None, str | None]:
        mine = await PipeUse(pair.one).run(Given(b"x"), Taken())
        stream = pair.one.open(Pipe())  # one that has not heard what the other was started for
        return mine.failed, await stream.finished()

    assert run_pair(main, uses=(USE,)) == ("the other side was not started with --pipe",) * 2


@pytest.mark.parametrize("leads", [True, False])
def test_an_output_that_breaks_ends_the_pipe_for_both_and_is_named(leads: bool) -> None:
    broken = (Given(gate=asyncio.Event()), Taken(most=100_000))
    sender = (Given(*[bytes(50_000)] * 20, gate=asyncio.Event()), Taken())
    mine, theirs = piped(broken, sender) if leads else reversed(piped(sender, broken))
    assert mine == PipeOutcome(0, mine.received, "standard output cannot be written to: Broken pipe")
    assert mine.received <= 100_000
    assert theirs.failed == "the other side's standard output cannot be written to: Broken pipe"


def test_an_output_that_cannot_be_closed_is_no_success() -> None:
    mine, theirs = piped((Given(), Taken(closes="No space left on device")), (Given(b"x"), Taken()))
    assert "No space left" in str(mine.failed)
    assert mine.received == 1
    # it arrived; what became of it there, the goodbye tells
    assert theirs == PipeOutcome(1, 0)


def test_a_pipe_that_waits_ends_with_the_tunnel() -> None:
    async def main(pair: Pair) -> str | None:
        running = asyncio.ensure_future(PipeUse(pair.other).run(Given(), Taken()))
        await pass_time(1.0)
        pair.other.stop("no way was found")
        return (await running).failed

    assert run_pair(main, joined=False) == "no way was found"


# Descriptors, on a real loop.


def copied(source: int | None, sink: int | None) -> tuple[bytes, str | None]:
    """Read a descriptor to its end, writing it to another; what was read, and what closing said."""

    async def main() -> tuple[bytes, str | None]:
        reading, writing = DescriptorSource(source), DescriptorSink(sink)
        whole = bytearray()
        while data := await reading.read():
            whole += data
            await writing.write(data)
        return bytes(whole), await writing.close()

    return asyncio.run(main())


def test_files_are_read_and_written_whole(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(DATA)
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
        assert copied(source.fileno(), os.dup(sink.fileno())) == (DATA, None)
    assert (tmp_path / "out").read_bytes() == DATA


def test_what_comes_through_a_pipe_goes_through_a_pipe() -> None:
    with subprocess.Popen([sys.executable, "-c", "print('x' * 200000)"], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        with tempfile.TemporaryFile() as out:
            data, failed = copied(program.stdout.fileno(), os.dup(out.fileno()))
            out.seek(0)
            assert out.read() == data
    assert (len(data), failed) == (200_001, None)


def test_a_closed_input_is_at_its_end_and_a_closed_output_is_named() -> None:
    assert copied(None, None) == (b"", "it is closed")


def test_a_descriptor_that_cannot_be_read_is_at_its_end(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as not_readable:
        assert copied(not_readable.fileno(), os.dup(not_readable.fileno())) == (b"", None)


def test_a_reader_that_went_away_is_named() -> None:
    async def main() -> str | None:
        reading, writing = os.pipe()
        os.close(reading)
        sink = DescriptorSink(writing)
        await sink.write(b"nobody there")
        failed = await sink.close()
        os.close(writing)
        return failed

    assert asyncio.run(main()) == "Broken pipe"


def test_a_loop_can_end_while_its_input_waits() -> None:
    reading, writing = os.pipe()

    async def main() -> None:
        source = DescriptorSource(reading)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await source.read()

    asyncio.run(main())
    os.write(writing, b"too late")
    os.close(writing)
