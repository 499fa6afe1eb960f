"""Running an event loop that any number of Ctrl-C interrupts once, SIGTERM and SIGHUP as well, and waiting
on it: a time limit, and events with a deadline.

`asyncio.run` cancels at the first Ctrl-C and raises KeyboardInterrupt at the second, wherever the loop is: a
task that was about to run may then never run again, and the loop's own clean-up waits for it for ever. Here
every further one is ignored until the clean-up is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
_FILES = 8192
_GARBAGE_AFTER = 10_000
_CALLS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, Callable[[], object]]] = WeakKeyDictionary()
_INTERRUPTING = ("SIGINT", "SIGTERM", "SIGHUP")


def run_interruptibly(main: Callable[[], Awaitable[T]], *, for_long: bool = False) -> T:
    """Run to completion on a new event loop; raises what `main` raises. `for_long`: on uvloop's, where it is
    installed, which takes longer to start and less for each event; and looking for garbage more often, but
    not among what is there already.

    It may open many files: each socket is one, a birthday has hundreds, and a mailbox one for each peer.
    After Ctrl-C, SIGTERM or SIGHUP (the terminal is gone) `main` is cancelled once, and KeyboardInterrupt
    raised when it has ended. Where a loop cannot handle signals (Windows, other threads) it is `asyncio.run`.
    """
    allow_many_files()
    if for_long:
        gc.freeze()
        gc.set_threshold(_GARBAGE_AFTER)
    interrupted = False

    async def whole() -> T:
        task = asyncio.current_task()
        assert task is not None

        def interrupt() -> None:
            nonlocal interrupted
            if not interrupted:
                interrupted = True
                task.cancel()

        on_signal(interrupt, *_INTERRUPTING)
        return await main()

    try:
        with asyncio.Runner(loop_factory=_fast_loop() if for_long else None) as runner:
            result = runner.run(whole())
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise
    if interrupted:
        raise KeyboardInterrupt
    return result


def on_signal(call: Callable[[], object], *names: str) -> Callable[[], None]:
    """Have the running loop call this when one of these signals comes, in place of what it did until now;
    what is returned puts that back. Nothing changes where the system or the loop has no such signal, nor
    for a SIGHUP that this process was started to survive (nohup)."""
    loop = asyncio.get_running_loop()
    calls = _CALLS.setdefault(loop, {})
    before: dict[int, Callable[[], object] | None] = {}
    for name in names:
        number = getattr(signal, name, None)
        if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
            continue
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, call)
            before[number], calls[number] = calls.get(number), call

    def put_back() -> None:
        for number, earlier in before.items():
            if earlier is None:
                loop.remove_signal_handler(number)
                del calls[number]
            else:
                loop.add_signal_handler(number, earlier)
                calls[number] = earlier

    return put_back


@contextlib.contextmanager
def ending_as_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt in the block, as Ctrl-C does: where no loop listens to them,
    as in the simulator. Nothing changes in other threads, nor for a SIGHUP that is ignored (nohup)."""
    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            with contextlib.suppress(ValueError):
                before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def sigterm_without_loop(call: Callable[[], object]) -> Iterator[None]:
    """SIGTERM calls this in the block, between two instructions: where no loop listens to it, as in the
    simulator. Nothing changes in other threads."""
    before = None
    with contextlib.suppress(ValueError):
        before = signal.signal(signal.SIGTERM, lambda *_: call())
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


def allow_many_files() -> int:
    """Many systems start programs with 1,024 and leave it to them to take more (setrlimit(2)). How many there
    may be now."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has neither limit nor module
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            return most
        return _FILES if soft == resource.RLIM_INFINITY else soft
    return _FILES


class TimeLimit:
    """`async with` leaves its block when `seconds` are over; then `expired()` of what it gives is True.

    A TimeoutError from inside (a socket's ETIMEDOUT is one) passes: it says nothing about this time."""

    def __init__(self, seconds: float | None) -> None:
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> asyncio.Timeout:
        return await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            return True
        return False


class TimedEvent:
    """An event whose `wait` may have a deadline; one waiter at a time. (An asyncio.Event with a timeout scope
    costs several times as much, and simulated measurements wait thousands of times a second; and one that
    nobody waits for takes 0.8 KB, of which a server would hold one for each connection.)"""

    __slots__ = ("_waiter", "among", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self.among: AllEvents | None = None
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """It has happened."""
        if self.among is not None and not self.is_set:
            self.among.one_set()
        self.is_set = True
        _release(self._waiter)

    def clear(self) -> None:
        """Wait for the next one."""
        self.is_set = False

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait at most so many seconds, without a figure until it happens; has it happened?"""
        if self.is_set:
            return True
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = None if timeout_s is None else loop.call_later(timeout_s, _release, waiter)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
            if self._waiter is waiter:  # and not already the next one's, where this one was cancelled
                self._waiter = None
        return self.is_set


class AllEvents(TimedEvent):
    """Set with the last of several events. An event belongs to the latest of these that it was given to."""

    __slots__ = ("_missing",)

    def __init__(self, events: Iterable[TimedEvent]) -> None:
        super().__init__()
        self._missing = 0
        for event in events:
            if not event.is_set:
                event.among = self
                self._missing += 1
        self.is_set = not self._missing

    def one_set(self) -> None:
        """For the events to call."""
        self._missing -= 1
        if not self._missing:
            self.set()


def _release(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
