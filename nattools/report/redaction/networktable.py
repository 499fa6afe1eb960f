"""Whose network an address is of, by a table that the user has: in the form of iptoasn.com, first and last
address, AS number, country and name with tabs between, also compressed. Nothing is asked of anybody."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO, cast

from nattools.errors import UsageError
from nattools.model.provider import Provider

_LINE_LIMIT = 4096


def provider_of(table: Path, address: str) -> Provider | None:
    """The narrowest row that holds the address; None: no row does. UsageError: the file is no such table, or
    the address is none."""
    try:
        wanted = ip_address(address)
    except ValueError:
        raise UsageError(f"the report's outside address is none: {address[:40]!r}") from None
    best: tuple[int, Provider] | None = None
    for number, line in enumerate(_lines(table), 1):
        first, last, asn, country, name = _fields(line, table, number)
        try:
            low, high = ip_address(first), ip_address(last)
        except ValueError:
            raise UsageError(f"{table}, line {number}: it does not begin with two addresses") from None
        if low.version != wanted.version or not int(low) <= int(wanted) <= int(high):
            continue
        size = int(high) - int(low)
        if best is None or size < best[0]:
            best = size, Provider(asn=_number(asn), name=name or None, country=_country(country))
    return None if best is None or not best[1].asn else best[1]


def _lines(table: Path) -> Iterator[str]:
    try:
        with _opened(table) as file:
            while line := file.readline(_LINE_LIMIT):
                yield line.decode("utf-8", "replace").rstrip("\r\n")
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot read {table}: {getattr(error, 'strerror', None) or error}") from None


def _opened(table: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(table, "rb") if table.suffix == ".gz" else table.open("rb"))


def _fields(line: str, table: Path, number: int) -> tuple[str, str, str, str, str]:
    parts = line.split("\t")
    if len(parts) < 5:
        raise UsageError(
            f"{table}, line {number}: write first and last address, AS number, country and name, with tabs "
            "between, as the tables of iptoasn.com are"
        )
    return parts[0], parts[1], parts[2], parts[3], parts[4][:80]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _country(text: str) -> str | None:
    """Two letters; "None" and "Unknown" are none."""
    return text.upper() if len(text) == 2 and text.isascii() and text.isalpha() else None
