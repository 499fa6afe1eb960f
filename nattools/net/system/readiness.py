"""Which of many sockets can be read, asked of the kernel without a turn of the event loop for each answer.

A turn of asyncio's loop costs several times what it takes to pass a datagram on. So on Linux the loop watches
one epoll instance, which watches the sockets; when that is ready its sockets are served, and again those that
have become readable meanwhile: what one socket sends on this machine another one often gets.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary, ref

_ROUNDS: Final = 8
"""So often in a turn of the loop, which has other work, too."""
_AT_ONCE: Final = 64

_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, ReadWatch] = WeakKeyDictionary()


class ReadWatch:
    """The sockets of a loop. `turn` counts the loop's turns in which any of them was readable."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.turn = 0
        self._loop = ref(loop)  # or the table of them would keep every loop
        self._handlers: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll()
        loop.add_reader(self._epoll.fileno(), self._serve)

    def add(self, descriptor: int, handler: Callable[[], None]) -> None:
        """Call the handler whenever this can be read, or has an error."""
        if descriptor in self._handlers:
            self._epoll.modify(descriptor, select.EPOLLIN)
        else:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._handlers[descriptor] = handler

    def remove(self, descriptor: int) -> None:
        """Idempotent. Without any socket nothing is left."""
        if self._handlers.pop(descriptor, None) is None:
            return
        self._epoll.unregister(descriptor)
        if not self._handlers:
            self.close()

    def close(self) -> None:
        """Idempotent."""
        loop = self._loop()
        if self._epoll.closed or loop is None:
            return
        loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        _watches.pop(loop, None)

    def _serve(self) -> None:
        self.turn += 1
        handlers = self._handlers
        for _ in range(_ROUNDS):
            if not handlers or not (ready := self._epoll.poll(0, _AT_ONCE)):
                return
            for descriptor, _ in ready:
                handler = handlers.get(descriptor)
                if handler is not None:
                    self._call(handler)

    def _call(self, handler: Callable[[], None]) -> None:
        """As the loop itself calls one."""
        try:
            handler()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            loop = self._loop()
            if loop is not None:
                told = {"message": f"Exception in callback {handler!r}", "exception": error}
                loop.call_exception_handler(told)


def read_watch(loop: asyncio.AbstractEventLoop) -> ReadWatch | None:
    """The loop's; None where the system has no epoll."""
    if not hasattr(select, "epoll"):
        return None
    watch = _watches.get(loop)
    if watch is None:
        watch = _watches[loop] = ReadWatch(loop)
    return watch
