"""Files of this user alone, and locks between processes."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nattools.engine.portmap import privatefiles
from nattools.engine.portmap.privatefiles import acquire_lock


def test_a_lock_is_one_holders(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert acquire_lock(path, wait=False, create=False) is None
    held = acquire_lock(path)
    assert held is not None
    assert acquire_lock(path, wait=False) is None
    os.close(held)
    again = acquire_lock(path, wait=False)
    assert again is not None
    os.close(again)


@pytest.mark.skipif(sys.platform == "win32", reason="the real thing is there")
def test_windows_locks_the_first_byte(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import fcntl

    asked: list[tuple[int, int]] = []

    def locking(descriptor: int, mode: int, size: int) -> None:
        asked.append((mode, size))
        fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if mode == 2 else 0))

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_LOCK=1, LK_NBLCK=2, locking=locking))
    monkeypatch.setattr(sys, "platform", "win32")
    spec = importlib.util.spec_from_file_location("ownfiles_on_windows", privatefiles.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    held = module.acquire_lock(tmp_path / "lock")
    assert held is not None
    assert module.acquire_lock(tmp_path / "lock", wait=False) is None
    assert asked == [(1, 1), (2, 1)]
    os.close(held)
