"""The ends of a pipe."""

from __future__ import annotations

import asyncio
import sys

import pytest

from nattools.cli.punchsession import Conversation, pipe_ends


class Typing:
    """Somebody who types two lines, and then thinks."""

    def __init__(self) -> None:
        self._lines = [b"two\n", b"one\n"]

    async def read(self) -> bytes:
        if not self._lines:
            await asyncio.Event().wait()
        return self._lines.pop()


class Screen:
    def __init__(self) -> None:
        self.shown = b""
        self.closed = False

    async def write(self, data: bytes) -> str | None:
        self.shown += data
        return None

    async def close(self) -> str | None:
        self.closed = True
        return "the disk is full"


def test_a_conversation_ends_with_the_other_side() -> None:
    async def main() -> None:
        screen = Screen()
        both = Conversation(Typing(), screen)
        assert [await both.read(), await both.read()] == [b"one\n", b"two\n"]
        assert await both.write(b"hello") is None
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            waiting = group.create_task(both.read())
            group.create_task(both.close())
        assert waiting.result() == b""
        assert (screen.shown, screen.closed) == (b"hello", True)
        assert await both.close() == "the disk is full"

    asyncio.run(main())


def test_a_file_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        source, sink = pipe_ends()
        assert source is not sink

    monkeypatch.setattr(sys, "stdin", open("/dev/null"))  # noqa: SIM115
    asyncio.run(main())
    sys.stdin.close()
