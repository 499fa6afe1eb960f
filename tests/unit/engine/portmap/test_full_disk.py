"""A journal that cannot be written any more: nothing is made that is not noted, nothing stays open, and what
is kept goes on."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest
from routerkinds import OddHome, behind

from nattools.engine.measureoptions import MapOptions
from nattools.engine.portmap.journal import Journal
from nattools.lab.routers.routerbehaviour import RouterBehaviour

BOTH = MapOptions(ports=(5000, 5001), transports=("udp", "tcp"))
each_protocol = pytest.mark.parametrize("protocol", ["upnp", "pcp", "nat-pmp"])


class FullDisk(Journal):
    """There is room for so many lines more."""

    room = 1000

    def _append(self, line: Any) -> None:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= 1
        super()._append(line)


def router(protocol: str) -> RouterBehaviour:
    return RouterBehaviour(protocols=(protocol,))  # type: ignore[arg-type]


@each_protocol
@pytest.mark.parametrize("room", range(4))
def test_what_cannot_be_noted_is_not_made_and_nothing_stays(protocol: str, room: int, tmp_path: Path) -> None:
    async def main(home: OddHome) -> None:
        with FullDisk(tmp_path) as home.journal:
            home.journal.room = room
            try:
                report = await home.add()
            except OSError:
                assert home.ports == []
            else:
                assert [each.created for each in report.mappings] == [True]
                assert home.ports == [5000]

    behind(router(protocol), main)


@each_protocol
def test_delete_removes_all_of_them(protocol: str, tmp_path: Path) -> None:
    async def main(home: OddHome) -> None:
        with Journal(tmp_path) as home.journal:
            await home.add(BOTH)
            assert len(home.ports) == 4
        with FullDisk(tmp_path) as home.journal:
            home.journal.room = 0
            report = await home.delete_mine()
            assert [each.removed for each in report.mappings] == [True] * 4
            assert home.ports == []

    behind(router(protocol), main)


@each_protocol
def test_keep_goes_on_and_removes_it_at_the_end(protocol: str, tmp_path: Path) -> None:
    async def main(home: OddHome) -> None:
        with FullDisk(tmp_path) as home.journal:
            full = home.journal
            loop = asyncio.get_running_loop()
            loop.call_later(100, lambda: setattr(full, "room", 0))
            seen: list[list[int]] = []
            for at in range(200, 2900, 300):
                loop.call_later(at, lambda: seen.append(home.ports))
            wish = MapOptions(ports=(5000,), transports=("udp",), lifetime_s=600)
            _, changes = await home.keep(3000.0, wish)
            assert [each.happening for each in changes] == ["made"]
            assert seen == [[5000]] * 9
            assert home.ports == []

    behind(router(protocol), main)


def test_half_a_line_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel writes as much as there is room for, and says how much that was."""

    async def main(home: OddHome) -> None:
        with Journal(tmp_path) as home.journal:
            await home.add()
            really = Journal._opened

            class Half:
                def __init__(self, file: Any) -> None:
                    self.file = file

                def __enter__(self) -> Half:
                    return self

                def __exit__(self, *error: object) -> None:
                    self.file.close()

                def write(self, data: bytes) -> int:
                    return int(self.file.write(data[: len(data) // 2]))

                def __getattr__(self, name: str) -> Any:
                    return getattr(self.file, name)

            def opened(journal: Journal, flags: int, mode: Any) -> Any:
                file = really(journal, flags, mode)
                return file if mode == "rb" else Half(file)

            with monkeypatch.context() as patch:
                patch.setattr(Journal, "_opened", opened)
                with pytest.raises(OSError, match="space"):
                    await home.add(MapOptions(ports=(5001,), transports=("udp",)))
            assert home.ports == [5000]
            (entry,) = home.journal.entries()
            assert entry.wanted.internal.port == 5000
            report = await home.delete_mine()
            assert [each.removed for each in report.mappings] == [True]

    behind(router("upnp"), main)
