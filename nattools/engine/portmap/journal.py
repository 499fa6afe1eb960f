"""The mappings that nattools has asked routers for and has not removed yet.

A mapping is written down before it is asked for, so that one whose answer was never seen can be removed too.
The journal is a file of JSON lines in the user's state folder; each line is one write at its end, under a
lock. Each process that makes mappings holds a lock of its own for as long as it lives: what a process made
that holds its lock no more, and did not mean to stay, is to be removed.

An entry stays until its mapping is known to be gone. That a lifetime is over is no proof: clocks are set, and
routers make lifetimes of their own.

It survives the death of a process, not a power cut: no line is forced onto the disk. A mapping whose line is
lost ends with its lifetime.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Literal, Self
from uuid import uuid4

import msgspec

from nattools.engine.portmap.journalentry import JournalEntry, Timestamp, is_same, shares_inside
from nattools.errors import CannotRun
from nattools.model.portmapping import MappingProtocol
from nattools.net.system.privatefiles import acquire_lock, locked, make_folder, open_own
from nattools.probes.portmap import Granted, MappingRequest

_COMPACT_BEYOND = 32768
_MOST_OVER = 256
"""Of mappings that seem to have ended, as on routers that are never met again, so many are remembered."""


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event: an entry made, an answer to it, or its end."""

    entry: JournalEntry | None = msgspec.field(default=None, name="note")
    id: str = ""
    granted: Granted | None = None
    at: Timestamp | None = None
    asked: int | None = None


def _now() -> Timestamp:
    unix_s = datetime.now(UTC).timestamp()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return Timestamp(unix_s, time.clock_gettime(time.CLOCK_BOOTTIME), boot)
    except (OSError, AttributeError):
        return Timestamp(unix_s)


class Journal:
    """The journal in a folder, opened by one owner. Use it as a context manager.

    CannotRun: the folder cannot be written. What the file holds that cannot be read is left out.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], Timestamp] = _now) -> None:
        self._folder = folder
        self._file = folder / "mappings.jsonl"
        self._guard = folder / "mappings.lock"
        self._clock = clock
        self._owner = ""
        self._hold: int | None = None

    def __enter__(self) -> Self:
        try:
            make_folder(self._folder)
            with self._locked():
                owner = f"owner-{uuid4().hex}.lock"
                self._hold = acquire_lock(self._folder / owner)
                self._owner = owner
                self._tidy()
        except OSError as error:
            self._leave()
            raise CannotRun(
                f"cannot keep a journal of port mappings in {self._folder}: {error.strerror or error}",
                "Without it, a mapping could be left behind. Make that folder writable, or name another "
                "one in the environment variable XDG_STATE_HOME.",
            ) from error
        return self

    def __exit__(self, *error: object) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._hold is not None:
            with contextlib.suppress(OSError):
                (self._folder / self._owner).unlink()
            os.close(self._hold)
            self._hold = None

    def now(self) -> Timestamp:
        """By its clock."""
        return self._clock()

    # --- writing

    def add(
        self,
        wanted: MappingRequest,
        protocol: MappingProtocol,
        *,
        interface: str,
        gateway: str,
        stays: bool,
        router: str = "",
    ) -> JournalEntry:
        """Write down what is about to be asked for."""
        entry = JournalEntry(
            id=uuid4().hex,
            owner=self._owner,
            stays=stays,
            made=self._clock(),
            interface=interface,
            gateway=gateway,
            router=router,
            protocol=protocol,
            wanted=wanted,
        )
        self._append(_Line(entry=entry))
        return entry

    def granted(self, entry: JournalEntry, granted: Granted) -> None:
        """The router said yes, the first time or to a renewal."""
        self._append(_Line(id=entry.id, granted=granted, at=self._clock()))

    def asking(self, entry: JournalEntry, port: int) -> None:
        """An external port is about to be asked for, where nothing is or a mapping of ours."""
        self._append(_Line(id=entry.id, asked=port))

    def gone(self, entry: JournalEntry) -> None:
        """There is no such mapping any more, or there never was one. On a full disk it stays noted."""
        with contextlib.suppress(OSError):
            self._append(_Line(id=entry.id))

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        """Nobody else reads or writes the file meanwhile. The folder may have been deleted."""
        if self._hold is not None and not self._folder.is_dir():
            make_folder(self._folder)
        return locked(self._guard)

    def _append(self, line: _Line) -> None:
        data = msgspec.json.encode(line) + b"\n"
        with self._locked(), self._opened(os.O_RDWR | os.O_CREAT | os.O_APPEND, "ab+") as file:
            # it may end in the middle of a line, as after a full disk
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                data = data if file.read(1) == b"\n" else b"\n" + data
            if file.write(data) != len(data):  # a part of it had room
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._file))

    def _opened(self, flags: int, mode: Literal["rb", "ab+"]) -> FileIO:
        return os.fdopen(open_own(self._file, flags), mode, 0)

    # --- reading

    def entries(self) -> list[JournalEntry]:
        """All mappings that are not known to be gone, the oldest first, whoever made them."""
        try:
            with self._locked():
                return self._read()
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            return self._read()  # the disk cannot be written any more, by nobody

    def in_force(
        self, epochs: Mapping[MappingProtocol, int] | None = None, age_s: float = 0.0
    ) -> list[JournalEntry]:
        """Those that should be there now: granted, their lifetime not over, and by `epochs`, what the routers
        here have said in the last `age_s`, nothing lost since."""
        now = self._clock()
        granted = [
            entry for entry in self.entries() if entry.granted is not None and not entry.seems_over(now)
        ]
        return [entry for entry in granted if entry.outlived(now, (epochs or {}).get(entry.protocol), age_s)]

    def left_behind(self) -> list[JournalEntry]:
        """Those whose maker is dead and that were not meant to stay, or were never granted to it."""
        entries = [entry for entry in self.entries() if not entry.stays or entry.granted is None]
        return [entry for entry in entries if not self._lives(entry.owner)]

    def others(self, entry: JournalEntry, granted: Granted | None) -> list[JournalEntry]:
        """Entries of the same mapping that are in force: meant to stay, or of a process that lives."""
        same = [each for each in self.entries() if is_same(entry, granted, each)]
        return [each for each in same if self.is_in_use(each)]

    def is_in_use(self, entry: JournalEntry) -> bool:
        """Is it meant to be there: was it made to stay, or does its maker live?"""
        return (entry.stays and entry.granted is not None) or self._lives(entry.owner)

    def in_use_at_same_inside(self, entry: JournalEntry) -> list[JournalEntry]:
        """Entries of the same inside, by whatever protocol, that are meant to be there."""
        return [each for each in self.entries() if shares_inside(entry, each) and self.is_in_use(each)]

    def stays_for(self, entry: JournalEntry) -> int:
        """How many seconds what was made to stay with the same inside, by the same protocol, was to be there
        from now on; 0: nothing was."""
        now = self._clock()
        same = [
            each for each in self.entries() if each.protocol == entry.protocol and shares_inside(entry, each)
        ]
        left = (
            each.wanted.lifetime_s - max(0.0, now.since(each.made))
            for each in same
            if each.stays and each.granted is not None
        )
        return max((0, *map(int, left)))

    def _lives(self, owner: str) -> bool:
        if owner == self._owner:
            return True
        if Path(owner).name != owner:
            return False
        try:
            held = acquire_lock(self._folder / owner, wait=False, create=False)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            return True  # nobody can know
        if held is None:
            return (self._folder / owner).exists()
        os.close(held)
        return False

    def _read(self) -> list[JournalEntry]:
        found: dict[str, JournalEntry] = {}
        for line in self._lines():
            if line.entry is not None:
                found[line.entry.id] = line.entry
            elif line.asked is not None:
                known = found.get(line.id)
                if known is not None:
                    asked = tuple(dict.fromkeys((*known.asked, line.asked)))
                    found[line.id] = msgspec.structs.replace(known, asked=asked, asked_since=True)
            elif line.granted is None:
                found.pop(line.id, None)
            elif line.id in found:
                changed = {"granted": line.granted, "granted_at": line.at, "asked_since": False}
                found[line.id] = msgspec.structs.replace(found[line.id], **changed)
        return list(found.values())

    def _lines(self) -> Iterator[_Line]:
        try:
            with self._opened(os.O_RDONLY, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return
        for text in data.splitlines():
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                yield msgspec.json.decode(text, type=_Line)

    def _tidy(self) -> None:
        """Drop the lines of what is gone, and the locks of the dead."""
        if os.path.lexists(self._file):
            entries, now = self._read(), self._clock()
            over = [entry.id for entry in entries if entry.seems_over(now)]
            lost = set(over[: max(0, len(over) - _MOST_OVER)])
            data = b"".join(
                msgspec.json.encode(_Line(entry=entry)) + b"\n" for entry in entries if entry.id not in lost
            )
            if not data or self._file.stat().st_size > _COMPACT_BEYOND + len(data):
                fresh = self._file.with_suffix(".new")
                fresh.unlink(missing_ok=True)
                with os.fdopen(open_own(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
                    file.write(data)
                fresh.replace(self._file)
        for path in self._folder.glob("owner-*.lock"):
            if path.name != self._owner and not self._lives(path.name):
                with contextlib.suppress(OSError):
                    path.unlink()


class MemoryJournal(Journal):
    """The same for a network that ends with this process, as a lab does: nothing can be left behind."""

    def __init__(self) -> None:
        super().__init__(Path(), clock=lambda: Timestamp(0.0))
        self._kept: list[_Line] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._kept.clear()

    def _append(self, line: _Line) -> None:
        self._kept.append(line)

    def _lines(self) -> Iterator[_Line]:
        return iter(self._kept)

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def state_folder() -> Path:
    """Where the journal of this user is."""
    from platformdirs import user_state_path

    return user_state_path("nattools", appauthor=False)
