"""Files of this user alone, and locks between processes."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nattools.net.system import privatefiles
from nattools.net.system.privatefiles import acquire_lock, locked, make_folder, open_own


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make something for others")
def test_what_root_makes_in_a_users_home_is_the_users(tmp_path: Path) -> None:
    """With `sudo -E`: else the user's own nattools, and whoever else uses ~/.local, would be locked out."""
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 12345, 23456)
    folder = home / ".local" / "state" / "nattools"
    make_folder(folder)
    with locked(folder / "a.lock"):
        pass
    os.close(open_own(folder / "b", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    made = list(home.rglob("*"))
    assert len(made) == 5
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(12345, 23456)}
    assert folder.stat().st_mode & 0o777 == 0o700
    make_folder(folder)  # is there


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give away")
def test_what_was_roots_before_stays_roots(tmp_path: Path) -> None:
    """The user could have put it there, to get it."""
    os.chown(tmp_path, 12345, 23456)
    secret = tmp_path / "mappings.jsonl"
    secret.write_text("root's")
    (tmp_path / "kept").mkdir()
    os.close(open_own(secret, os.O_RDWR | os.O_CREAT))
    make_folder(tmp_path / "kept")
    assert secret.stat().st_uid == (tmp_path / "kept").stat().st_uid == 0


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file" / "below")
