"""The processes of a lab, and their end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nattools.lab.netns.processes import reap

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the lab's processes are Linux's")


@pytest.mark.parametrize("waited", [False, True])
def test_a_program_is_reaped_whatever_befell_an_earlier_wait(waited: bool) -> None:
    """A second Ctrl-C within `Popen.wait` can leave its lock taken for good."""
    program = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    if waited:
        program.wait()
    lock = program._waitpid_lock  # type: ignore[attr-defined]
    assert lock.acquire(blocking=False)
    reap(program)
    assert program.returncode == 3
    reap(program)
