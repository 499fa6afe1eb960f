"""Where many reports are: files, folders, patterns, compressed or one on each line."""

from __future__ import annotations

import glob
import gzip
import os
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from nattools.errors import UsageError
from nattools.protocols.givenfiles import as_utf8
from nattools.report.safetext import valid_text
from nattools.report.savedreport import SIZE_LIMIT

_MOST_BLANK = 100_000
_BY_LINE = (".jsonl", ".ndjson")
SUFFIXES = (".json", ".json.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")


FileIdentity = tuple[int, int]


def identities(paths: Iterable[os.PathLike[str]]) -> frozenset[FileIdentity]:
    """What tells those of them that are there from all other files, whatever name leads to them."""
    return frozenset(each for each in map(_identity, paths) if each is not None)


def _identity(path: str | os.PathLike[str]) -> FileIdentity | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def found_files(named: Sequence[str], apart: frozenset[FileIdentity] = frozenset()) -> Iterator[str]:
    """Each file once. Of a folder, all with the suffixes of reports, in all folders within; a name with `*`,
    `?` or `[` is a pattern (`**`: any folders). `apart`: files that are passed over, since they are written.
    UsageError: there is nothing."""
    seen: set[str] = set()
    for name in named:
        some = False
        for path in _of(name):
            if apart and _identity(path) in apart:
                continue
            some = True
            if path not in seen:
                seen.add(path)
                yield path
        if not some:
            raise UsageError(f"no report is found at {name}: name files, folders or patterns")


def _of(name: str) -> Iterator[str]:
    if os.path.isdir(name):
        for folder, folders, files in os.walk(name):
            folders.sort()
            yield from (os.path.join(folder, file) for file in sorted(files) if file.endswith(SUFFIXES))
    elif os.path.isfile(name):
        yield name
    elif glob.has_magic(name):
        yield from (path for path in sorted(glob.iglob(name, recursive=True)) if os.path.isfile(path))


def documents(path: str) -> Iterator[tuple[str, bytes | UsageError]]:
    """The documents in a file with their names: one, or with the suffix .jsonl or .ndjson one on each line.
    What cannot be read is the error in its place. Names are text, though a file's may be any bytes."""
    name = valid_text(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            yield name, UsageError("is not a file")
            return
        with _opened(path) as file:
            if not path.removesuffix(".gz").endswith(_BY_LINE):
                yield name, _bounded(file.read(SIZE_LIMIT + 1))
                return
            number = blank = 0
            while line := file.readline(SIZE_LIMIT + 1):
                number += 1
                blank = 0 if line.strip() else blank + 1
                if blank > _MOST_BLANK:
                    yield name, UsageError(f"more than {_MOST_BLANK:,} lines without anything: not read on")
                    return
                if not blank:
                    yield f"{name}:{number}", _bounded(line)
                if len(line) > SIZE_LIMIT:
                    return  # what follows is the rest of it
    except (OSError, EOFError, zlib.error) as error:
        yield name, UsageError(f"cannot be read: {getattr(error, 'strerror', None) or error}")


def _opened(path: str) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb") if path.endswith(".gz") else Path(path).open("rb"))


def _bounded(data: bytes) -> bytes | UsageError:
    if len(data) <= SIZE_LIMIT:
        return as_utf8(data).strip()
    return UsageError(f"larger than {SIZE_LIMIT // 1024 // 1024} MiB: too large for a nattools report")
