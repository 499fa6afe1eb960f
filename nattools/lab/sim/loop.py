"""An asyncio event loop on a virtual clock: when nothing is left to do now, time jumps to what comes next.

It has no selector, no threads and no real sockets. Besides asyncio's own scheduling it offers `post` and
`soon`, which cost a tuple each: the simulator's packets travel by them.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import events
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, TypeVar, TypeVarTuple
from weakref import ref

import msgspec

Event = tuple[float, int, Callable[[Any], object], Any]
T = TypeVar("T")
Args = TypeVarTuple("Args")
DAY_S = 86_400.0
MANY = 500
"""Cancelled timers that the heap may hold, and tasks that are over in the list of all."""


class Deadlock(RuntimeError):  # noqa: N818 -- it is one, and named as such everywhere
    """Nothing is scheduled any more and the work is not done: on a real machine it would hang for ever."""


_NO_CONTEXT = Context()


class _Handle(msgspec.Struct, eq=False):
    """asyncio's handle without what only its debug mode needs: it is made several times per packet."""

    callback: Callable[..., object] | None
    args: tuple[Any, ...]
    context: Context

    def cancel(self) -> None:
        """As asyncio's."""
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        """As asyncio's."""
        return self.callback is None


class _Timer(_Handle, eq=False):
    """The same for timers. `loop` is None once the heap no longer holds it."""

    due: float
    loop: SimLoop | None

    def when(self) -> float:
        """As asyncio's."""
        return self.due

    def cancel(self) -> None:
        """As asyncio's. Many timers are, long before they are due: what they hold is let go of at once."""
        if self.callback is not None:
            self.callback = None
            self.args = ()
            self.context = _NO_CONTEXT
            loop = self.loop
            if loop is not None:
                loop.cancelled += 1
                if loop.cancelled > MANY:
                    loop.forget_cancelled()


class _NumberedTask(asyncio.Task[T]):
    """asyncio keeps tasks in sets (those of a group, those that are waited for) and cancels them in the set's
    order, which would follow from addresses in memory; here it follows from the order they were made in."""

    __slots__ = ("_number",)
    _number: int

    def __init__(
        self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], loop: SimLoop, **options: Any
    ) -> None:
        self._number = loop.number()  # before asyncio puts it into a set
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self._number


class SimLoop(asyncio.BaseEventLoop):
    """`now` is the virtual time in seconds; it starts at 0 and never goes back.

    An exception in a plain callback (a datagram handler, say) ends the run and comes out of it, so that no
    mistake is only logged. A run that goes on for `patience_s` of virtual time raises Deadlock as well:
    a periodic timer alone would otherwise keep it alive for ever.
    """

    def __init__(self, patience_s: float = 10 * DAY_S) -> None:
        self._running = False
        super().__init__()
        self.create_future = partial(asyncio.Future, loop=self)  # type: ignore[method-assign]
        self.now = 0.0
        self.patience_s = patience_s
        # a function and its argument, or None and a handle
        self.queue: deque[tuple[Callable[[Any], object] | None, Any]] = deque()
        self.heap: list[Event] = []
        self.number = count().__next__
        self._halted = False
        self.cancelled = 0
        self._shut = False
        self._tasks: list[ref[asyncio.Task[Any]]] = []
        self._room = MANY

    def time(self) -> float:
        """The virtual time."""
        return self.now

    get_debug = staticmethod(bool)
    """As asyncio's: False, always. It is asked for each future and task."""

    def soon(self, function: Callable[[Any], object], argument: Any) -> None:
        """Call `function(argument)` once the present call has returned, before time moves on."""
        self.queue.append((function, argument))

    def post(self, when: float, function: Callable[[Any], object], argument: Any) -> None:
        """Call `function(argument)` at the virtual time `when`; it cannot be cancelled."""
        heappush(self.heap, (when, self.number(), function, argument))

    def call_soon(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        """As asyncio's."""
        if self._shut:
            self._refuse()
        handle = _Handle(callback, args, copy_context() if context is None else context)
        self.queue.append((None, handle))
        return handle  # type: ignore[return-value]  # it has all of the interface

    def call_soon_threadsafe(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        """As `call_soon`: there are no other threads here."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's, in virtual seconds."""
        if self._shut:
            self._refuse()
        when = self.now + delay
        handle = _Timer(callback, args, copy_context() if context is None else context, when, self)
        heappush(self.heap, (when, self.number(), _due, handle))
        return handle  # type: ignore[return-value]  # it has all of the interface

    def call_at(
        self, when: float, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's, in virtual time."""
        if self._shut:
            self._refuse()
        handle = _Timer(callback, args, copy_context() if context is None else context, when, self)
        heappush(self.heap, (when, self.number(), _due, handle))
        return handle  # type: ignore[return-value]  # it has all of the interface

    def create_task(
        self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], **options: Any
    ) -> asyncio.Task[T]:
        """As asyncio's."""
        if self._shut:
            return super().create_task(coro, **options)
        task = _NumberedTask(coro, self, **options)
        if len(self._tasks) >= self._room:
            self._tasks = [ref(each) for each in self.pending()]
            self._room = MANY + 2 * len(self._tasks)
        self._tasks.append(ref(task))
        return task

    def pending(self) -> list[asyncio.Task[Any]]:
        """The tasks that are not done, in the order they were made in. (`asyncio.all_tasks` looks through
        those of all loops that there were, until their memory is used again.)"""
        tasks = (each() for each in self._tasks)
        return [task for task in tasks if task is not None and not task.done()]

    def run_in_executor(self, executor: Any, func: Callable[[*Args], T], *args: *Args) -> asyncio.Future[T]:
        """RuntimeError: a thread would run on the real clock and the real network."""
        raise RuntimeError(f"no threads in the simulator (asked to run {func!r})")

    def run_forever(self) -> None:
        """Run until `stop`; Deadlock when nothing is left that could ever call it."""
        self._enter(self._turn)

    def _enter(self, turn: Callable[[], None]) -> None:
        if self._shut:
            self._refuse()
        if self._running or events._get_running_loop() is not None:
            raise RuntimeError("an event loop is running already")
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._finish_generator)
        events._set_running_loop(self)
        self._running, self._halted = True, False
        try:
            turn()
        finally:
            self._running = False
            events._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)

    def settle(self) -> None:
        """Run what is due now, and what comes of it, without moving the clock."""
        self._enter(self._turn_now)

    def is_running(self) -> bool:
        """As asyncio's."""
        return self._running

    def stop(self) -> None:
        """End `run_forever` after what is due now."""
        self._halted = True

    def close(self) -> None:
        """Drop all that is scheduled. Idempotent."""
        self._shut = True
        self.queue.clear()
        self.heap.clear()
        self._tasks.clear()
        vars(self).pop("create_future", None)  # it holds the loop that holds it
        super().close()

    def __del__(self) -> None:
        """Quiet: a loop that was not closed holds nothing of the system's."""

    def _refuse(self) -> None:
        raise RuntimeError("the simulator's event loop is closed")

    def _finish_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self.is_closed():
            self.call_soon(self.create_task, generator.aclose())

    def _turn_now(self) -> None:
        queue = self.queue
        while queue and not self._halted:
            function, argument = queue.popleft()
            if function is not None:
                function(argument)
            elif argument.callback is not None:
                argument.context.run(argument.callback, *argument.args)

    def _turn(self) -> None:
        queue, heap, latest = self.queue, self.heap, self.now + self.patience_s
        popleft = queue.popleft
        while not self._halted:
            for _ in range(len(queue)):
                function, argument = popleft()
                if function is not None:
                    function(argument)
                elif argument.callback is not None:
                    argument.context.run(argument.callback, *argument.args)
            now = self.now if queue or self._halted else self._advance(latest)
            while heap and heap[0][0] <= now:
                _, _, function, argument = heappop(heap)
                function(argument)

    def _advance(self, latest: float) -> float:
        """Move the clock to the next event that was not cancelled."""
        heap = self.heap
        while heap and heap[0][2] is _due and heap[0][3].callback is None:
            heappop(heap)
            self.cancelled -= 1
        if not heap:
            raise Deadlock(f"nothing is scheduled and the work is not done{self._waiting()}")
        if heap[0][0] > latest:
            raise Deadlock(f"not done after {self.patience_s / DAY_S:.0f} simulated days{self._waiting()}")
        if heap[0][0] > self.now:
            self.now = heap[0][0]
        return self.now

    def _waiting(self) -> str:
        """Where the pending tasks stand, for the message."""
        places = []
        for task in self.pending():
            frames = task.get_stack(limit=1)
            where = f"{frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else "unknown"
            places.append(f"{task.get_name()} at {where}")
        return "; waiting: " + ", ".join(sorted(places)) if places else ""

    def forget_cancelled(self) -> None:
        """Of the timers in the heap, many were cancelled: make room if they are more than half."""
        if self.cancelled * 2 > len(self.heap):
            self.heap[:] = [
                event for event in self.heap if event[2] is not _due or event[3].callback is not None
            ]
            heapify(self.heap)
            self.cancelled = 0


def _due(handle: _Timer) -> None:
    """A timer leaves the heap."""
    loop, handle.loop = handle.loop, None
    assert loop is not None
    if handle.callback is None:
        loop.cancelled -= 1
    else:
        loop.queue.append((None, handle))


class Waiters:
    """Coroutines that wait for the same thing."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Until the next `wake`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def wake(self) -> None:
        """Let all of them go on."""
        if self._waiting:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiting.clear()
