"""The fields of a scenario file: the type and the bounds of each value, and what is wrong with it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from ipaddress import IPv4Network
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from nattools.errors import UsageError

S = TypeVar("S", bound=msgspec.Struct)
KeyPath = tuple[str, ...]


class InvalidValue(UsageError):  # noqa: N818 -- it says what the value is
    """A value, at `path` in the file, that makes no sense, and why. The loader adds the file and the line."""

    def __init__(self, path: KeyPath, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


def convert(value: object, kind: type[S], path: KeyPath) -> S:
    """A table of the file as a struct; `InvalidValue` names the first field that is wrong."""
    table = table_of(value, path)
    hints, required = _fields_of(kind)
    check_keys(table, hints, path)
    for name in required:
        if name not in table:
            raise InvalidValue(path, f"{name!r} is missing")
    return kind(**{key: field(each, hints[key], (*path, key)) for key, each in table.items()})


@cache
def _fields_of(kind: type[msgspec.Struct]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The types of all fields, and the names of those that a table must have: to find them out takes ten
    times as long as to read a scenario."""
    required = tuple(each.name for each in msgspec.structs.fields(kind) if each.required)
    return get_type_hints(kind), required


def table_of(value: object, path: KeyPath) -> dict[str, Any]:
    """The value, which must be a table."""
    if not isinstance(value, dict):
        raise InvalidValue(path, f"expected a table, not {shown(value)}")
    return value


def check_keys(table: Mapping[str, object], known: Iterable[str], path: KeyPath) -> None:
    """Every key is one that we know; else the message names the one that was probably meant."""
    names = list(known)
    for key in table:
        if key not in names:
            raise InvalidValue((*path, key), f"unknown key; {suggestion(key, names)}")


def suggestion(word: str, known: Iterable[str]) -> str:
    """A suggestion: the nearest known word, or all of them."""
    names = list(known)
    near = get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(names) or 'none'}"


def field(value: object, kind: Any, path: KeyPath) -> Any:
    """A single value in the type and within the bounds of its field."""
    struct = _struct_of(kind)
    if struct is not None:
        return convert(value, struct, path)
    choices = choices_of(kind)
    if choices and value is not None:
        if value not in choices:
            raise InvalidValue(path, f"{shown(value)} is not one of {', '.join(map(repr, choices))}")
        return value
    try:
        converted = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InvalidValue(path, f"{shown(value)} has the wrong type: {plain(error)}") from None
    check = _CHECKS.get(path[-1])
    reason = check(converted) if check and converted is not None else None
    if reason:
        raise InvalidValue(path, f"{shown(value)} is {reason}")
    return converted


def choices_of(kind: Any) -> tuple[str, ...]:
    """The values of a Literal, also of one that may be None; () for other types."""
    if get_origin(kind) is Literal:
        return tuple(choice for choice in get_args(kind) if isinstance(choice, str))
    found = [choices_of(part) for part in get_args(kind) if part is not type(None)]
    return found[0] if len(found) == 1 and get_origin(kind) not in (tuple, dict, list) else ()


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a table in a table is read as."""
    parts = (kind, *get_args(kind)) if get_origin(kind) not in (tuple, dict, list) else ()
    return next((part for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)), None)


def shown(value: object) -> str:
    """A value for a message, cut to a length that fits there."""
    try:
        text = ascii(value)
    except ValueError:
        # Python refuses to write out integers of thousands of digits.
        return "a huge number"
    return text if len(text) <= 60 else text[:57] + "..."


_PLAIN = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}


def plain(error: msgspec.ValidationError) -> str:
    """msgspec's reason in TOML's terms."""
    text = str(error).partition(" - at ")[0]
    words = re.sub(r"`([^`]*)`", lambda found: _plain_types(found[1]), text)
    return words[:1].lower() + words[1:]


def _plain_types(types: str) -> str:
    names = [_PLAIN.get(name.strip(), name.strip()) for name in types.split("|")]
    return " or ".join(name for name in names if name != "nothing")


def _within(low: float, high: float) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        return None if low <= value <= high else f"not between {low:g} and {high:g}"

    return check


def _above_zero(high: float) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        return None if 0 < value <= high and math.isfinite(value) else f"not above 0 and at most {high:g}"

    return check


def _port_set(value: tuple[int, int]) -> str | None:
    mask, wanted = value
    right = 0 < mask < 65536 and 0 <= wanted == wanted & mask
    return None if right else "not a mask within 16 bits and a value within the mask"


def _port_range(value: tuple[int, int]) -> str | None:
    low, high = value
    return None if 1 <= low <= high <= 65535 else "not a range of ports [low, high] within 1 to 65535"


def _inside_network(value: str) -> str | None:
    """Layout numbers the nodes from .1 on; whether there is room for all, `lab.validation` asks."""
    try:
        network = IPv4Network(value)
    except ValueError:
        return 'not an IPv4 network such as "10.0.0.0/24"'
    if not 8 <= network.prefixlen <= 29:
        return "not a network with a prefix of /8 to /29"
    special = network.is_multicast or network.is_loopback or network.is_reserved
    if special or network.overlaps(IPv4Network("0.0.0.0/8")) or network.overlaps(IPv4Network("11.0.0.0/8")):
        return "not usable as an inside network (11.0.0.0/8 is the lab's internet)"
    return None


def _open_ports(value: tuple[str, ...]) -> str | None:
    for text in value:
        found = re.fullmatch(r"(tcp|udp)/(\d{1,5})", text, re.ASCII)
        if not found or not 1 <= int(found[2]) <= 65535:
            return f'not a list of ports such as "udp/53" and "tcp/443": {shown(text)}'
    return None


_PORT = _within(1, 65535)
_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "delay_ms": _within(0, 60_000),
    "jitter_ms": _within(0, 60_000),
    "loss": _within(0, 1),
    "reorder": _within(0, 1),
    "mtu": _within(576, 65535),
    "rate_mbps": _above_zero(100_000),
    "rate_up_mbps": _above_zero(100_000),
    "queue_ms": _within(0, 60_000),
    "good_s": _above_zero(1e6),
    "bad_s": _above_zero(1e6),
    "bad_loss": _within(0, 1),
    "step": _PORT,
    "block": _PORT,
    "range": _port_range,
    "port_set": _port_set,
    "lifetime_s": _above_zero(1e6),
    "tcp_lifetime_s": _above_zero(1e6),
    "session_limit": _within(1, 1_000_000),
    "foreign_sessions": _within(0, 1000),
    "address": _inside_network,
    "open_ports": _open_ports,
    "ports": _port_range,
    "shortest_s": _within(1, 604_800),
    "longest_s": _within(1, 604_800),
    "port": _within(1, 65534),
    "addresses": _within(1, 2),
    "pool": _within(1, 8),
    "max_lifetime_s": _above_zero(1e6),
    "timeout_s": _above_zero(1e6),
}


_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"^\s*\[\[?\s*({_KEY})\s*\]")
_ASSIGNMENT = re.compile(rf"^\s*({_KEY})\s*=(.*)$")
_INLINE = re.compile(rf"[{{,]\s*({_KEY})\s*=")


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


def _keys(text: str) -> Iterator[tuple[int, KeyPath]]:
    """Each key with its line: headers, assignments, and the keys of inline tables, one level deep."""
    table: KeyPath = ()
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


def _parts(key: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in re.findall(_PART, key))
