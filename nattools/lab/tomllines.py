"""Where in a TOML text a key stands. tomllib keeps no positions, and an error without a line helps little."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"^\s*\[\[?\s*({_KEY})\s*\]")
_ASSIGNMENT = re.compile(rf"^\s*({_KEY})\s*=(.*)$")
_INLINE = re.compile(rf"[{{,]\s*({_KEY})\s*=")

Path = tuple[str, ...]


def line_of(text: str, path: Sequence[str]) -> int:
    """The line, from 1, of the key with this path, or of the nearest table or key around it.

    Text inside multi-line strings is taken for keys as well: then the line may be wrong, and nothing else.
    """
    best, found = 0, 1
    for number, candidate in _keys(text):
        common = _common(candidate, path)
        if common > best:
            best, found = common, number
    return found


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return index
    return min(len(one), len(other))


def _keys(text: str) -> Iterator[tuple[int, Path]]:
    """Each key with its line: headers, assignments, and the keys of inline tables, one level deep."""
    table: Path = ()
    for number, line in enumerate(text.split("\n"), start=1):
        header = _HEADER.match(line)
        if header:
            table = _parts(header[1])
            yield number, table
            continue
        assignment = _ASSIGNMENT.match(line)
        if assignment:
            key = table + _parts(assignment[1])
            yield number, key
            for inline in _INLINE.finditer(assignment[2]):
                yield number, key + _parts(inline[1])


def _parts(key: str) -> Path:
    return tuple(part.strip("\"'") for part in re.findall(_PART, key))
