"""Sockets that are watched together: served until none is readable, each left alone once it is removed."""

from __future__ import annotations

import asyncio
import gc
import select
import socket
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from nattools.net.system.readiness import ReadWatch, read_watch

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="the system has no epoll")


class Ends:
    """Pairs of sockets: what is told to `say` can be read at the descriptor of the same number."""

    def __init__(self, stack: ExitStack, count: int) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(count)]
        self.near = [stack.enter_context(near) for near, _ in pairs]
        self.far = [stack.enter_context(far) for _, far in pairs]
        for each in (*self.near, *self.far):
            each.setblocking(False)

    def say(self, number: int) -> None:
        self.far[number].send(b"x")

    def read(self, number: int) -> bytes:
        return self.near[number].recv(10)

    def descriptor(self, number: int) -> int:
        return self.near[number].fileno()


@pytest.fixture
def ends() -> Iterator[Ends]:
    with ExitStack() as stack:
        yield Ends(stack, 3)


def run(main: Callable[[ReadWatch], Awaitable[None]]) -> list[dict[str, Any]]:
    """The faults that the loop was told of. Nothing is watched at the end."""
    faults: list[dict[str, Any]] = []

    async def whole() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context))
        watch = read_watch(loop)
        assert watch is not None
        assert read_watch(loop) is watch
        async with asyncio.timeout(60):
            await main(watch)
        assert read_watch(loop) is not watch, "it stays though nothing is watched"
        again = read_watch(loop)
        assert again is not None
        again.close()

    asyncio.run(whole())
    return faults


def test_what_one_handler_sends_another_gets_in_the_same_turn(ends: Ends) -> None:
    async def main(watch: ReadWatch) -> None:
        got: list[tuple[int, int]] = []
        done = asyncio.Event()

        def handler(number: int) -> Callable[[], None]:
            def readable() -> None:
                ends.read(number)
                got.append((number, watch.turn))
                if number == 2:
                    done.set()
                else:
                    ends.say(number + 1)

            return readable

        for number in range(3):
            watch.add(ends.descriptor(number), handler(number))
        ends.say(0)
        await done.wait()
        assert [number for number, _ in got] == [0, 1, 2]
        assert len({turn for _, turn in got}) == 1
        for number in range(3):
            watch.remove(ends.descriptor(number))

    assert run(main) == []


def test_a_handler_that_fails_is_told_to_the_loop_and_the_others_go_on(ends: Ends) -> None:
    async def main(watch: ReadWatch) -> None:
        done = asyncio.Event()

        def failing() -> None:
            ends.read(0)
            raise ValueError("no")

        def fine() -> None:
            ends.read(1)
            done.set()

        watch.add(ends.descriptor(0), failing)
        watch.add(ends.descriptor(1), fine)
        ends.say(0)
        ends.say(1)
        await done.wait()
        await asyncio.sleep(0)
        for number in range(2):
            watch.remove(ends.descriptor(number))
            watch.remove(ends.descriptor(number))

    (fault,) = run(main)
    assert isinstance(fault["exception"], ValueError)


def test_who_is_removed_by_another_handler_is_not_called(ends: Ends) -> None:
    async def main(watch: ReadWatch) -> None:
        called: list[int] = []
        done = asyncio.Event()

        def handler(number: int) -> Callable[[], None]:
            def readable() -> None:
                called.append(number)
                for each in range(2):
                    watch.remove(ends.descriptor(each))
                done.set()

            return readable

        for number in range(2):
            watch.add(ends.descriptor(number), handler(number))
            ends.say(number)
        await done.wait()
        await asyncio.sleep(0)
        assert len(called) == 1

    assert run(main) == []


def test_the_loop_has_its_turn_though_a_socket_is_never_read_empty(ends: Ends) -> None:
    async def main(watch: ReadWatch) -> None:
        calls = 0
        often, over = asyncio.Event(), asyncio.Event()

        def readable() -> None:
            nonlocal calls
            calls += 1
            if calls == 50:
                often.set()

        def last() -> None:
            watch.remove(ends.descriptor(0))
            over.set()

        watch.add(ends.descriptor(0), readable)
        ends.say(0)
        await often.wait()
        assert watch.turn > 1
        watch.add(ends.descriptor(0), last)
        await over.wait()

    assert run(main) == []


def test_a_loop_that_is_gone_is_kept_by_nothing(ends: Ends) -> None:
    """Not even where a socket of it was never closed."""
    loop = asyncio.new_event_loop()
    watch = read_watch(loop)
    assert watch is not None
    watch.add(ends.descriptor(0), lambda: None)
    loop.close()
    gone = weakref.ref(loop)
    del loop, watch
    gc.collect()
    assert gone() is None
