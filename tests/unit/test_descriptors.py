"""Standard streams that another program has made non-blocking: nothing is lost, nothing taken for an end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from nattools.descriptors import PatientFile, read_some, write_some
from nattools.traversal.tunnel.pipe import DescriptorSink, DescriptorSource

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the mark is that of POSIX")
ROOT = Path(__file__).parents[2]
DATA = bytes(range(256)) * 2000
"""More than a pipe holds."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends, none of which blocks."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        os.close(end)


def read_whole(reading: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (more := read_some(reading, size)):
        data += more
    return bytes(data)


def filled(writing: int) -> int:
    """Nothing more has room in it; how many bytes it holds."""
    held = 0
    while True:
        try:
            held += os.write(writing, bytes(4096))
        except BlockingIOError:
            return held


def leave(end: int) -> None:
    """The test has this end no more: others' use of it is over when they end."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, end)
    os.close(nowhere)


def test_what_comes_late_is_waited_for(pipe: tuple[int, int]) -> None:
    """It was taken for the end of what is piped through: the rest was lost without a word."""
    reading, writing = pipe

    async def main() -> bytes:
        source = DescriptorSource(reading)
        first = asyncio.ensure_future(source.read())
        await asyncio.sleep(0)
        Thread(target=write_some, args=(writing, b"late"), daemon=True).start()
        data = await first
        leave(writing)
        assert await source.read() == b"", "its thread would read what gets the number next"
        return data

    assert asyncio.run(main()) == b"late"


def test_what_has_no_room_waits_for_it(pipe: tuple[int, int]) -> None:
    """It was an error, and ended the connection."""
    reading, writing = pipe
    held = filled(writing)
    got = bytearray()
    reader = Thread(target=lambda: got.extend(read_whole(reading, held + len(DATA))), daemon=True)

    async def main() -> str | None:
        sink = DescriptorSink(os.dup(writing))
        problem = await sink.write(DATA)
        reader.start()
        return problem or await sink.close()

    assert asyncio.run(main()) is None
    reader.join()
    assert bytes(got[held:]) == DATA


def test_a_file_writes_all_of_it(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    held = filled(writing)
    got = bytearray()
    reader = Thread(target=lambda: got.extend(read_whole(reading, held + len(DATA))), daemon=True)
    reader.start()
    with PatientFile(writing, "w", closefd=False) as file:
        assert file.write(DATA) == len(DATA)
    reader.join()
    assert bytes(got[held:]) == DATA


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_command_writes_and_reads_all(unbuffered: str, pipe: tuple[int, int]) -> None:
    """It ended with "Resource temporarily unavailable", or a defect; its output was cut."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    whole = subprocess.run(
        [sys.executable, "-m", "nattools", "explain", "--json"],
        stdout=subprocess.PIPE,
        env=environment,
        check=True,
        timeout=60,
    ).stdout
    reading, writing = pipe
    held = filled(writing)
    assert len(whole) > held
    command = [sys.executable, "-m", "nattools", "explain", "--json"]
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, env=environment) as process:
        leave(writing)
        assert read_whole(reading, held + len(whole))[held:] == whole
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == 0


def test_a_report_may_come_late(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    command = [sys.executable, "-m", "nattools", "report", "validate", "-"]
    with subprocess.Popen(
        command,
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        write_some(writing, b"{}")
        leave(writing)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 1, said
        assert b'it does not say "schema"' in said
