"""Reports as JSON (RFC 8259), written and read. Saved ones come from bug trackers and strangers: every byte
is suspect."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nattools.descriptors import standard_input_bytes
from nattools.errors import ProtocolError, UsageError
from nattools.model.punch import Punch
from nattools.model.report import SCHEMA, Report
from nattools.protocols.givenfiles import as_utf8, unpacked
from nattools.report.safetext import json_escape, safe

SIZE_LIMIT = 32 * 1024 * 1024
_FAMILY = SCHEMA.rpartition("/")[0]
_NUMBER = int(SCHEMA.rpartition("/")[2])

_CAPTURE = "a packet capture and no report: give the .json that -o writes"
_PAGE = "a page made of a report: give the .json that -o writes"
_OTHER_FILES = {
    b"\x0a\x0d\x0d\x0a": _CAPTURE,  # pcapng
    b"\xd4\xc3\xb2\xa1": _CAPTURE,  # pcap, of a machine with little-endian numbers
    b"\xa1\xb2\xc3\xd4": _CAPTURE,
    b"<!DOCTYPE": _PAGE,
    b"## nattools": _PAGE,
}
"""How files begin that are given by mistake."""

_SEVERAL = (
    "something follows the first JSON document: of several reports, one on a line, nattools report merge "
    "reads all (.jsonl)"
)
_MERGED = "nattools.fleet/"

T = TypeVar("T")


class _Head(msgspec.Struct):
    schema: Any = None


def render_json(report: Report) -> str:
    """Exactly one JSON document, indented, ending in a newline. Control characters are escaped."""
    document = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
    return escaped_controls(document) + "\n"


def escaped_controls(document: str) -> str:
    """JSON lets DEL, C1 controls and marks of direction stand as they are; a terminal would obey them."""
    if document.isascii() and "\x7f" not in document:
        return document
    return "".join(c if c.isprintable() or c == "\n" else json_escape(c) for c in document)


def load_file(path: Path) -> Report:
    """Read a report from a file, or from standard input if it is called `-`; UsageError says what is wrong
    with it and what would help."""
    try:
        data = _bytes_of(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        return load(data)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _bytes_of(path: Path) -> bytes:
    if str(path) == "-":
        return standard_input_bytes(SIZE_LIMIT + 1)
    with path.open("rb") as file:
        return file.read(SIZE_LIMIT + 1)


def load(data: bytes) -> Report:
    """A report from its JSON, in UTF-8 or UTF-16, compressed by gzip or not; UsageError for anything else.
    Unknown fields are ignored."""
    try:
        data = unpacked(data, SIZE_LIMIT)
    except ProtocolError as error:
        raise UsageError(str(error)) from None
    if len(data) > SIZE_LIMIT:
        raise UsageError(f"larger than {SIZE_LIMIT // 1024 // 1024} MiB: too large for a nattools report")
    data = as_utf8(data)
    for beginning, what in _OTHER_FILES.items():
        if data.startswith(beginning):
            raise UsageError(what)
    if not data:
        raise UsageError("the file is empty")
    _check_schema(_decoded(data, _Head).schema)
    return _decoded(data, Report)


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"not a nattools report: {safe(str(error), 300)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if "recursion" in str(error):
            raise UsageError("nested too deeply for a nattools report") from None
        if "trailing characters" in str(error):
            raise UsageError(_SEVERAL) from None
        raise UsageError(f"not JSON, or cut short: {safe(str(error), 300)}") from None
    except RecursionError:
        raise UsageError("nested too deeply for a nattools report") from None


def _check_schema(schema: object) -> None:
    if schema == SCHEMA:
        return
    if not isinstance(schema, str) or not schema.startswith(f"{_FAMILY}/"):
        if isinstance(schema, str) and schema.startswith(_MERGED):
            raise UsageError("many reports, merged: it is none itself")
        raise UsageError(f'not a nattools report: it does not say "schema": "{SCHEMA}"')
    number = schema.removeprefix(f"{_FAMILY}/")
    if number.isascii() and number.isdigit() and len(number) < 6 and int(number) > _NUMBER:
        raise UsageError(f"written by a later nattools ({schema}; this one reads {SCHEMA}): update nattools")
    raise UsageError(f"unknown schema {safe(schema, 60)!r}: this nattools reads {SCHEMA}")


def problems(report: Report) -> list[str]:
    """What is inconsistent in a well-formed report: one sentence each, at most 20."""
    found: list[str] = []
    ids = [observation.id for observation in report.observations]
    if len(set(ids)) != len(ids):
        found.append("two observations have the same id")
    known = set(ids)
    for place, evidence in _evidence(report):
        missing = [one for one in evidence if one not in known]
        if missing:
            found.append(f"{place} refers to observation {missing[0]}, which does not exist")
    for technique in report.techniques:
        if not 0 <= technique.confidence <= 1:
            found.append(f"technique {technique.id}: its confidence is not between 0 and 1")
    if report.connection is not None:
        found += _about_punch(report.connection)
    return found[:20]


def _about_punch(punch: Punch) -> list[str]:
    odds = [punch.odds, *(step.odds for step in punch.plan)]
    found = []
    if any(not 0 <= each <= 1 for each in odds if each is not None):
        found.append("punch: odds that are not between 0 and 1")
    if punch.connected and punch.path is None:
        found.append("punch: connected, but without a path")
    return found


def _evidence(report: Report) -> list[tuple[str, tuple[int, ...]]]:
    nats = (report.nat.udp4, report.nat.udp6, report.nat.tcp4, report.nat.tcp6)
    return [
        *((f"technique {one.id}", one.evidence) for one in report.techniques),
        *((f"requirement {safe(one.number, 20)}", one.evidence) for one in report.requirements),
        *((f"finding {safe(name, 40)}", ids) for nat in nats if nat for name, ids in nat.evidence.items()),
    ]
