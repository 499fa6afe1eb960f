"""The journal's folder is deleted, or its disk becomes read-only, while a mapping is kept: that goes on, and
is removed at the end."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from routerkinds import OddHome, behind

from nattools.engine.measureoptions import MapOptions
from nattools.engine.portmap import journal as journals
from nattools.engine.portmap.journal import Journal
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.net.system import privatefiles

KEPT = MapOptions(ports=(5000,), transports=("udp",), lifetime_s=600)
each_protocol = pytest.mark.parametrize("protocol", ["upnp", "pcp", "nat-pmp"])


def kept(protocol: str, folder: Path, happens: Callable[[], object]) -> list[str]:
    """What is told of a mapping, while after 100 s something happens."""

    async def main(home: OddHome) -> list[str]:
        with Journal(folder) as home.journal:
            loop = asyncio.get_running_loop()
            loop.call_later(100, happens)
            seen: list[list[int]] = []
            for at in range(200, 2900, 300):
                loop.call_later(at, lambda: seen.append(home.ports))
            _, changes = await home.keep(3000.0, KEPT)
            assert seen == [[5000]] * 9
            assert home.ports == []
            return [each.happening for each in changes]

    return behind(RouterBehaviour(protocols=(protocol,)), main)  # type: ignore[arg-type]


@each_protocol
def test_a_folder_that_is_deleted(protocol: str, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "nattools"
    assert kept(protocol, folder, lambda: shutil.rmtree(folder.parent)) == ["made"]
    with Journal(folder) as journal:
        assert journal.entries() == []


@each_protocol
def test_a_disk_that_becomes_read_only(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = privatefiles.open_own

    def open_own(path: Path, flags: int) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return really(path, flags)

    def happens() -> None:
        monkeypatch.setattr(privatefiles, "open_own", open_own)
        monkeypatch.setattr(journals, "open_own", open_own)

    assert kept(protocol, tmp_path, happens) == ["made"]
