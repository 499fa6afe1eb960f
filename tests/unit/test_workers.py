"""Workers: what they give comes in order, what they raise is raised, and they end with whom they work for,
also where the kernel is not allowed to see to that (prctl(2), PR_SET_PDEATHSIG)."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from nattools.errors import CannotRun, UsageError
from nattools.workers import in_processes

TESTS = Path(__file__).parents[1]
LIMIT_S = 60.0
AT_WORK = """
import errno, os, signal, sys
from crippled import refuse
from nattools.workers import end_with_parent, in_processes

def work(number):
    if sys.argv[1] != "own":
        end_with_parent()
    os.write(1, f"{os.getpid()}\\n".encode())
    while True:
        signal.pause()

if __name__ == "__main__":
    for what in sys.argv[2:]:
        refuse("prctl", errno.EPERM, 0, int(what))
    if sys.argv[1] == "own":
        list(in_processes(work, range(3), 3))
    else:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        with ProcessPoolExecutor(3, mp_context=get_context(sys.argv[1])) as pool:
            list(pool.map(work, range(3)))
"""
PDEATHSIG = "1"


def twice(number: int) -> int:
    return 2 * number


def fails_at_three(number: int) -> int:
    if number == 3:
        raise UsageError("three")
    return number


class UnportableError(Exception):
    """One that cannot be made anew from what it says."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def raises_unportable(number: int) -> int:
    raise UnportableError(number, number)


def is_killed(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_results_come_in_order(jobs: int) -> None:
    assert list(in_processes(twice, range(40), jobs)) == [2 * number for number in range(40)]
    assert list(in_processes(twice, [], jobs)) == []
    assert list(in_processes(twice, [1], jobs)) == [2]


def test_what_is_raised_there_is_raised_here() -> None:
    with pytest.raises(UsageError, match="three") as raised:
        list(in_processes(fails_at_three, range(40), 2))
    assert "fails_at_three" in "".join(raised.value.__notes__)
    with pytest.raises(RuntimeError, match=r"UnportableError: 0 and 0"):
        list(in_processes(raises_unportable, [0], 2))


def about_ctrl_c(number: int) -> tuple[bool, bool]:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN, signal.SIGINT in mask


@pytest.mark.skipif(os.name != "posix", reason="Windows has no masks of signals")
def test_ctrl_c_is_left_to_the_parent() -> None:
    """It is ignored there, not kept for what a worker starts; and here it is as it was."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert list(in_processes(about_ctrl_c, range(4), 2)) == [(True, False)] * 4
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


@pytest.mark.skipif(os.name != "posix", reason="it is killed by a signal")
def test_a_worker_that_is_killed_is_waited_for_no_longer() -> None:
    """As the kernel does where memory is short: the command waited for its result for ever."""
    with pytest.raises(CannotRun, match="by signal 9") as raised:
        list(in_processes(is_killed, range(4), 2))
    assert "--jobs" in raised.value.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="what refuses is a filter of Linux, what waits as well")
@pytest.mark.parametrize("refused", [(), (PDEATHSIG,)])
@pytest.mark.parametrize("how", ["own", "fork", "forkserver", "spawn"])
def test_they_end_when_their_parent_is_killed(how: str, refused: tuple[str, ...], tmp_path: Path) -> None:
    """One that was started later has inherited the end of a pipe by which an earlier one is told."""
    program = tmp_path / "program.py"
    program.write_text(AT_WORK)
    path = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    with ExitStack() as stack:
        parent = stack.enter_context(
            subprocess.Popen(
                [sys.executable, str(program), how, *refused],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "PYTHONPATH": path},
            )
        )
        assert parent.stdout is not None
        workers = [os.pidfd_open(int(parent.stdout.readline())) for _ in range(3)]
        for worker in workers:
            stack.callback(os.close, worker)
        parent.kill()
        for worker in workers:
            ended = select.poll()
            ended.register(worker, select.POLLIN)
            left = not ended.poll(LIMIT_S * 1000)
            if left:
                signal.pidfd_send_signal(worker, signal.SIGKILL)
            assert not left, "it has stayed behind"
