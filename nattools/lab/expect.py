"""What a scenario says of a correct report, and whether a report says it.

Expectations are a subset of the report, per host:

    [expect.alice.nat.udp4]
    mapping = "endpoint-independent"
    binding_lifetime_s = { min = 28, max = 32 }
    [expect.alice.technique]
    udp-punch = "works"
    [expect.alice]
    warnings_contain = ["VPN"]

A value is what the report must hold; `"null"` stands for JSON's null, `">= 5"` and `"<= 5"` bound a number,
and so does a table with `min` or `max` (of a pair, both ends); `{ contains = 30 }` wants a pair of bounds
around a number, null being open; `{ any_of = [...] }` leaves a choice. In a list of tables, each must be
found among the report's.

Of a punch between two hosts, what both of their reports must say of it:

    [expect.pair.alice-bob]
    strategy = "birthday"

And the same where the first one listens and the second one calls by `nattools pwnat`:

    [expect.pwnat.alice-bob]
    connected = false
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from nattools.lab.tomlfields import InvalidValue, check_keys, choices_of, plain, shown, suggestion, table_of
from nattools.model.punch import Punch
from nattools.model.pwnat import Pwnat
from nattools.model.report import TECHNIQUE_IDS, Report, Verdict

Path = tuple[str, ...]
TECHNIQUE = "technique"
WARNINGS = "warnings_contain"
PAIR = "pair"
PWNAT = "pwnat"
_CONNECTIONS: dict[str, type[Punch]] = {PAIR: Punch, PWNAT: Pwnat}
_PUNCH_KEYS = (
    "connected",
    "path",
    "transport",
    "family",
    "strategy",
    "odds",
    "elapsed_s",
    "probes_sent",
    "mtu",
    "relay",
    "reasons",
    "remedies",
)
_BOUND = re.compile(r"(>=|<=)\s*(-?\d{1,15}(?:\.\d{1,15})?)", re.ASCII)
_MATCHERS = ("min", "max", "contains", "any_of")


def check(report: Report, expected: Mapping[str, Any]) -> list[str]:
    """What of one host's expectations (`scenario.expect[host]`) the report does not meet, a sentence each."""
    wrong: list[str] = []
    for key, wanted in expected.items():
        if key == TECHNIQUE:
            verdicts = {each.id: each.verdict for each in report.techniques}
            wrong += _compare(verdicts, wanted, (TECHNIQUE,))
        elif key == WARNINGS:
            missing = [text for text in wanted if not any(text in each for each in report.warnings)]
            wrong += [f"no warning contains {text!r}" for text in missing]
        else:
            wrong += _compare(msgspec.to_builtins(getattr(report, key, None)), wanted, (key,))
    return wrong


def pairs(
    expected: Mapping[str, Any], hosts: Sequence[str], kind: str = PAIR
) -> dict[tuple[str, str], dict[str, Any]]:
    """The two hosts of each pair that a scenario expects something of, and what; `kind` is PAIR or PWNAT."""
    if kind in hosts:
        return {}
    return {_named(hosts)[key]: table for key, table in expected.get(kind, {}).items()}


def _named(hosts: Sequence[str]) -> dict[str, tuple[str, str]]:
    return {f"{one}-{other}": (one, other) for one in hosts for other in hosts if one != other}


def check_pair(reports: Mapping[str, Report], expected: Mapping[str, Any]) -> list[str]:
    """What of a pair's expectations the reports, by host, do not meet: a sentence each. Expected is a
    connection, unless it says otherwise. `mtu` is as the first host has it: up is from there."""
    wanted, wrong = {"connected": True, **expected}, []
    for host, report in reports.items():
        found = _compare(msgspec.to_builtins(report.connection), wanted, (report.command,))
        wrong += [f"{host}: {sentence}" for sentence in found]
        if "mtu" in wanted:
            wanted = {**wanted, "mtu": _turned(wanted["mtu"])}
    return wrong


def _turned(mtu: Any) -> Any:
    """As the other side has it, which does not know who tells its peer."""
    if not isinstance(mtu, dict):
        return mtu
    ways = {"up": "down", "down": "up"}
    known = {way: {k: v for k, v in each.items() if k != "too_big_from"} for way, each in mtu.items()}
    return {ways.get(way, way): each for way, each in known.items()}


def _compare(found: Any, wanted: Any, path: Path) -> list[str]:
    if isinstance(wanted, dict) and not _is_matcher(wanted):
        if not isinstance(found, dict):
            return [f"{'.'.join(path)} should be a table, but is {_words(found)}"]
        return [
            sentence
            for key, each in wanted.items()
            for sentence in _compare(found.get(key), each, (*path, key))
        ]
    return [] if _meets(found, wanted) else [_mismatch(path, wanted, found)]


def _mismatch(path: Path, wanted: Any, found: Any) -> str:
    return f"{'.'.join(path)} should be {_words(wanted)}, but is {_words(found)}"


def _words(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _is_matcher(table: Mapping[str, Any]) -> bool:
    return bool(table) and all(key in _MATCHERS for key in table)


def _meets(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        if not _is_matcher(wanted):
            return isinstance(found, dict) and all(_meets(found.get(k), each) for k, each in wanted.items())
        return all(_matches(found, kind, each) for kind, each in wanted.items())
    if wanted == "null":
        return found is None
    bound = _BOUND.fullmatch(wanted) if isinstance(wanted, str) else None
    if bound:
        return _matches(found, "min" if bound[1] == ">=" else "max", float(bound[2]))
    if isinstance(wanted, list) and any(isinstance(each, dict) for each in wanted):
        return isinstance(found, (list, tuple)) and all(any(_meets(f, w) for f in found) for w in wanted)
    if isinstance(found, (list, tuple)):
        return bool(list(found) == wanted)
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def _matches(found: Any, kind: str, limit: Any) -> bool:
    if kind == "any_of":
        return any(_meets(found, each) for each in limit)
    if kind == "contains":
        return _pair_contains(found, limit)
    numbers = found if isinstance(found, (list, tuple)) and found else [found]
    if not all(isinstance(number, (int, float)) for number in numbers):
        return False
    return all(number >= limit if kind == "min" else number <= limit for number in numbers)


def _pair_contains(found: Any, number: float) -> bool:
    if not isinstance(found, (list, tuple)) or len(found) != 2:
        return False
    low, high = found
    return (low is None or low <= number) and (high is None or number <= high)


# --- validation, when the scenario is read


def validate(expected: Mapping[str, Any], hosts: Sequence[str]) -> None:
    """Raises `InvalidValue` for a host, a field or a value that no report can have."""
    for host, table in expected.items():
        path = ("expect", host)
        table_of(table, path)
        if host in _CONNECTIONS and host not in hosts:
            _validate_pairs(host, table, hosts)
        elif host not in hosts:
            known = [*hosts, *_CONNECTIONS]
            raise InvalidValue(path, f"no host is called {shown(host)}; {suggestion(host, known)}")
        else:
            _validate_host(table, path)


@cache
def _hints_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The types of its fields. Python makes each from its text, anew for everyone who asks."""
    return get_type_hints(struct)


def _validate_pairs(kind: str, pairs: Mapping[str, Any], hosts: Sequence[str]) -> None:
    hints = _hints_of(_CONNECTIONS[kind])
    check_keys(pairs, list(_named(hosts)), ("expect", kind))
    for pair, table in pairs.items():
        path = ("expect", kind, pair)
        check_keys(table_of(table, path), _PUNCH_KEYS, path)
        for key, wanted in table.items():
            _validate_value(wanted, hints[key], (*path, key))


def _validate_host(table: Mapping[str, Any], path: Path) -> None:
    hints = _hints_of(Report)
    check_keys(table, [TECHNIQUE, WARNINGS, *hints], path)
    for key, wanted in table.items():
        if key == TECHNIQUE:
            _validate_techniques(wanted, (*path, key))
        elif key == WARNINGS:
            if not isinstance(wanted, list) or not all(isinstance(text, str) for text in wanted):
                raise InvalidValue((*path, key), "expected a list of texts")
        else:
            _validate_value(wanted, hints[key], (*path, key))


def _validate_techniques(table: object, path: Path) -> None:
    techniques = table_of(table, path)
    check_keys(techniques, TECHNIQUE_IDS, path)
    for key, wanted in techniques.items():
        _validate_value(wanted, Verdict, (*path, key))


def _validate_value(wanted: object, kind: Any, path: Path) -> None:
    if isinstance(wanted, dict):
        _validate_table(wanted, kind, path)
    elif wanted == "null":
        if not _may_be_null(kind):
            raise InvalidValue(path, "this field is never null")
    elif isinstance(wanted, str) and _BOUND.fullmatch(wanted):
        if not _has_numbers(kind):
            raise InvalidValue(path, "this field is not a number, so it takes no bounds")
    elif isinstance(wanted, list) and any(isinstance(each, dict) for each in wanted):
        _validate_elements(wanted, kind, path)
    else:
        _validate_plain(wanted, kind, path)


def _validate_table(wanted: Mapping[str, Any], kind: Any, path: Path) -> None:
    if _is_matcher(wanted):
        _validate_matcher(wanted, kind, path)
        return
    struct = _struct_of(kind)
    hints = _hints_of(struct) if struct else {}
    if struct is None:
        raise InvalidValue(
            path, f"the report has no table here; a table of {', '.join(_MATCHERS)} would compare"
        )
    check_keys(wanted, hints, path)
    for key, each in wanted.items():
        _validate_value(each, hints[key], (*path, key))


def _validate_matcher(wanted: Mapping[str, Any], kind: Any, path: Path) -> None:
    for key, each in wanted.items():
        if key == "any_of":
            if not isinstance(each, list) or not each:
                raise InvalidValue((*path, key), "expected a list of values")
            for value in each:
                _validate_value(value, kind, path)
        elif isinstance(each, bool) or not isinstance(each, (int, float)) or not _has_numbers(kind):
            raise InvalidValue((*path, key), "only numbers can be compared")


def _validate_elements(wanted: list[Any], kind: Any, path: Path) -> None:
    element = next((get_args(part)[0] for part in _parts(kind) if get_origin(part) is tuple), None)
    if element is None:
        raise InvalidValue(path, "the report has no list here")
    for each in wanted:
        _validate_value(each, element, path)


def _validate_plain(wanted: object, kind: Any, path: Path) -> None:
    choices = choices_of(kind)
    if choices and wanted not in choices:
        raise InvalidValue(path, f"{shown(wanted)} is not one of {', '.join(map(repr, choices))}")
    if choices:
        return
    try:
        msgspec.convert(wanted, kind)
    except msgspec.ValidationError as error:
        raise InvalidValue(
            path, f"{shown(wanted)} is not a value that the report can have: {plain(error)}"
        ) from None


def _parts(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _may_be_null(kind: Any) -> bool:
    return any(part in (None, NoneType) for part in _parts(kind))


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:
    structs = [part for part in _parts(kind) if isinstance(part, type) and issubclass(part, msgspec.Struct)]
    return structs[0] if len(structs) == 1 else None


def _has_numbers(kind: Any) -> bool:
    parts = [p for part in _parts(kind) for p in (get_args(part) if get_origin(part) is tuple else (part,))]
    return any(part in (int, float) for each in parts for part in _parts(each))
