"""Processes that work for another one, which end when that does, however it does."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nattools.errors import CannotRun

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Work = TypeVar("Work")
Result = TypeVar("Result")
_PR_SET_PDEATHSIG = 1
_END_S = 10.0
"""For how long a worker may take to end when it is told to."""


def in_processes(function: Callable[[Work], Result], work: Iterable[Work], jobs: int) -> Iterator[Result]:
    """What the function gives for each, in order, `jobs` at a time; what it raises is raised. Leaving the
    iteration ends the workers, and with them what they run. CannotRun: a worker was killed."""
    if jobs == 1:
        yield from map(function, work)
        return
    from multiprocessing.connection import wait

    waiting = enumerate(work)
    workers: list[_Worker[Work, Result]] = []
    done: dict[int, Result] = {}
    told = 0
    try:
        for _, item in zip(range(jobs), waiting, strict=False):
            workers.append(_Worker(function, workers))
            workers[-1].give(*item)
        busy: dict[Any, _Worker[Work, Result]] = {worker.end: worker for worker in workers}
        while busy:
            for end in wait(list(busy)):
                worker = busy[end]
                number, result = worker.take()
                done[number] = result
                following = next(waiting, None)
                if following is None:
                    del busy[end]
                    worker.end.close()
                else:
                    worker.give(*following)
            while told in done:
                yield done.pop(told)
                told += 1
    finally:
        for worker in workers:
            worker.interrupt()
        for worker in workers:
            worker.finish()


class _Worker(Generic[Work, Result]):
    """A process with a pipe of its own. (multiprocessing's Pool has one for all and a lock for it: a worker
    that is killed while it holds the lock keeps all others waiting, for ever if their parent is gone.)"""

    def __init__(self, function: Callable[[Work], Result], before: Sequence[_Worker[Work, Result]]) -> None:
        from multiprocessing import Pipe, Process

        self.end, theirs = Pipe()
        ours = [self.end, *(worker.end for worker in before)]
        self._process = Process(target=_serve, args=(function, theirs, ours), daemon=True)
        with _without_ctrl_c():
            self._process.start()
        theirs.close()

    def give(self, number: int, item: Work) -> None:
        """Have it work at this. CannotRun as for `take`."""
        try:
            self.end.send((number, item))
        except ConnectionError:
            raise self._gone() from None

    def take(self) -> tuple[int, Result]:
        """What came of it, when it is there. CannotRun: the process is no more."""
        try:
            number, result, error = self.end.recv()
        except (EOFError, ConnectionError):
            raise self._gone() from None
        if error is not None:
            raise error
        return number, result

    def _gone(self) -> CannotRun:
        self._process.join(_END_S)
        code = self._process.exitcode
        how = f"by signal {-code}" if code is not None and code < 0 else f"with {code}"
        return CannotRun(
            f"a process that did a part of the work has ended {how}",
            "Memory may have been short: give it more, or have it do less at a time with --jobs.",
        )

    def interrupt(self) -> None:
        """Have it end what it does. Idempotent."""
        self._process.terminate()

    def finish(self) -> None:
        """Wait for its end, and bring it about if that takes long. Idempotent."""
        self._process.join(_END_S)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self.end.close()


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """A Ctrl-C at the terminal comes to a process that starts meanwhile, too, and it would end in a traceback
    if it did not yet ignore that. Here it comes a moment later."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(function: Callable[[Work], Result], end: Connection, others: Sequence[Connection]) -> None:
    """What a worker does: it is given work until nobody holds the pipe's other end any more. `others`: ends
    that are for its parent alone, and came with the fork."""
    for other in others:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and tells of it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    end_with_parent()
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):
        while True:
            number, item = end.recv()
            end.send((number, *_outcome(function, item)))


def _outcome(function: Callable[[Work], Result], item: Work) -> tuple[Result | None, Exception | None]:
    try:
        return function(item), None
    except Exception as error:
        return None, _portable(error)


def _portable(error: Exception) -> Exception:
    """An error with the place where it was raised, as another process can have it."""
    import pickle
    import traceback

    error.add_note("in a worker:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception_only(error)))
    return error


def end_with_parent() -> None:
    """For a process of multiprocessing: have the kernel end it when the one that started it is gone."""
    if sys.platform == "linux":
        with suppress(ImportError, OSError):
            die_with_parent()
    if sys.platform != "win32":
        with suppress(ImportError, OSError):
            from multiprocessing import parent_process

            parent = parent_process()
            if parent is not None:
                end_when_closed(parent.sentinel)


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends (Linux). Nothing happens where a
    filter refuses that."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def end_when_closed(pipe: int) -> None:
    """End this process when the other end of a pipe is closed, which the one that forked it holds for as long
    as that lives. SIGIO comes then, and ends a process that does not listen to it. It may have been closed
    before: then it is over at once. OSError: the kernel has nothing of the kind.

    A process that was forked later may have inherited that end: it is ended first, as nobody has inherited
    its own. A thread that waits would keep this process from entering namespaces."""
    import fcntl
    import select

    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGIO,))
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    closed = select.poll()
    closed.register(pipe, select.POLLIN)
    if closed.poll(0):
        os._exit(1)
