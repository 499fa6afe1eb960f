"""The forked children of a lab made of network namespaces (Linux).

They end when the lab's process does, however that does: the kernel kills them then (PDEATHSIG), and where a
filter or another kernel refuses that, the closing of a pipe does whose other end that process alone holds.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from nattools.defects import DEFECTS
from nattools.lab.netns import processes
from nattools.workers import die_with_parent, end_when_closed

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Children:
    """The forked children of one lab."""

    _held: ClassVar[set[int]] = set()
    """The ends of pipes that this process alone holds, of all its labs: no child may keep one."""

    def __init__(self) -> None:
        self._pids: dict[int, int] = {}
        self._guard: int | None = None

    def fork(self, name: str, main: Callable[[], None]) -> int:
        """Run `main` in a child process whose standard input is empty and whose output goes to standard
        error. It ends when `main` does, or when this process dies. Returns its process id."""

        def child(told: int) -> None:
            die_with_parent()
            with suppress(OSError):
                end_when_closed(told)
            main()

        return self._forked(name, child)

    def guard_programs(self, mark: str) -> None:
        """From now on a child waits for the death of this process, to end then every program that carries the
        lab's mark. Idempotent."""

        def child(told: int) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            _keep_only(told)
            os.read(told, 1)
            processes.kill_marked(mark)

        if self._guard is None:
            self._guard = self._forked("the end of programs", child)

    def _forked(self, name: str, main: Callable[[int], None]) -> int:
        """`main` is given what is closed at the other end by the death of this process."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        told, held = os.pipe()
        # a signal in between would find a child that nobody knows, or that takes it for its own
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            self._held.add(held)
            pid = os.fork()
            if pid == 0:
                _be_child(name, lambda: main(told), self._held)
            self._pids[pid] = held
        except OSError:
            self._let_go(held)
            raise
        finally:
            os.close(told)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid

    def _let_go(self, held: int) -> None:
        self._held.discard(held)
        os.close(held)

    def end(self, pid: int) -> None:
        """End one child now; nothing happens if it has ended."""
        held = self._pids.pop(pid, None)
        if held is not None:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            self._let_go(held)

    def kill(self) -> None:
        """End all children now, but for the guard of programs. Idempotent."""
        pids = [pid for pid in self._pids if pid != self._guard]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            self.end(pid)

    def end_guard(self) -> None:
        """All programs have ended. Idempotent."""
        if self._guard is not None:
            self.end(self._guard)
            self._guard = None


def _be_child(name: str, main: Callable[[], None], held: set[int]) -> None:
    """Never returns: nothing of the parent's may run twice, neither its buffers nor its exit handlers."""
    status = 1
    try:
        # a Ctrl-C at the terminal, or its end, reaches every process of the group: the parent decides when
        # children end
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        for end in held:
            os.close(end)
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.dup2(2, 1)
        main()
        status = 0
    except Exception as error:
        status = DEFECTS.note(error, f"in the process for {name}")
    finally:
        os._exit(status)


def _keep_only(descriptor: int) -> None:
    """Close all else that came with the fork, so that nobody waits for it to be closed here."""
    for stream in (1, 2):
        os.dup2(0, stream)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in (0, 1, 2, descriptor):
            with suppress(OSError):  # that of the listing itself
                os.close(int(name))
