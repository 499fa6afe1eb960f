"""A report as one row of a table: what is counted of it, and nothing that tells whose it is."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from nattools.errors import UsageError
from nattools.model.nat import (
    Classic,
    FilteringBehaviour,
    MappingBehaviour,
    Nat,
    NatByTransport,
    PortAllocation,
)
from nattools.model.provider import Provider
from nattools.model.report import SCHEMA, TECHNIQUE_IDS, Reachable, Verdict
from nattools.report.safetext import safe

_TEXT_LIMIT = 80
_MOST = 1e9
COLUMNS: dict[str, str] = {
    "file": "VARCHAR", "digest": "VARCHAR", "started": "VARCHAR", "version": "VARCHAR", "command": "VARCHAR",
    "reachable": "VARCHAR", "asn": "BIGINT", "provider": "VARCHAR", "country": "VARCHAR", "kind": "VARCHAR",
    "mapping": "VARCHAR", "filtering": "VARCHAR", "allocation": "VARCHAR", "cgnat": "BOOLEAN",
    "double_nat": "BOOLEAN", "ipv6": "BOOLEAN", "rtt_ms": "DOUBLE", "loss": "DOUBLE", "ends": "VARCHAR",
    **{name: "VARCHAR" for name in TECHNIQUE_IDS},
}  # fmt: skip
"""The table's columns with their SQL types; one for each technique."""


class _Lane(msgspec.Struct):
    """The fields of a NAT that the plan looks at, and those that are counted."""

    reachable: bool | None = None
    present: bool | None = None
    mapping: MappingBehaviour = "unknown"
    filtering: FilteringBehaviour = "unknown"
    port_allocation: PortAllocation = "unknown"
    port_step: int | None = None
    port_range: tuple[int, int] | None = None
    port_block: bool | None = None
    port_mask: tuple[int, int] | None = None
    external: tuple[str, ...] = ()
    pooling: str = "unknown"
    cgnat: bool | None = None
    double_nat: bool | None = None
    distance_hops: int | None = None
    classic: Classic = "unknown"
    rtt_ms: float | None = None
    loss: float | None = None


class _Lanes(msgspec.Struct):
    udp4: _Lane | None = None
    udp6: _Lane | None = None
    tcp4: _Lane | None = None
    tcp6: _Lane | None = None


class _Tool(msgspec.Struct):
    version: str = ""


class _Advice(msgspec.Struct):
    reachable: Reachable = "unknown"


class _Technique(msgspec.Struct):
    id: str
    verdict: Verdict


class _Counted(msgspec.Struct):
    """A report, as far as it is counted: what is not named here is skipped unread."""

    schema: Any
    tool: _Tool
    command: str
    started: str
    nat: _Lanes
    techniques: tuple[_Technique, ...] = ()
    advice: _Advice | None = None
    provider: Provider | None = None


_DECODER = msgspec.json.Decoder(_Counted)


def row_of(data: bytes, file: str) -> dict[str, Any]:
    """A report's row. UsageError: it is none, and why."""
    try:
        report = _DECODER.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except msgspec.ValidationError as error:
        raise UsageError(f"not a nattools report: {safe(str(error), 200)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"not JSON, or cut short: {safe(str(error), 200)}") from None
    if report.schema != SCHEMA:
        raise UsageError(f"its schema is {safe(str(report.schema), 60)!r}, not {SCHEMA}")
    main = report.nat.udp4 or report.nat.udp6
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "file": file,
        "digest": hashlib.blake2b(data, digest_size=16).hexdigest(),
        "started": report.started[:_TEXT_LIMIT],
        "version": report.tool.version[:_TEXT_LIMIT],
        "command": report.command[:_TEXT_LIMIT],
        "reachable": (report.advice or _Advice()).reachable,
        "ipv6": report.nat.udp6 is not None or report.nat.tcp6 is not None,
        "ends": msgspec.json.encode(_ends(report.nat)).decode(),
    }
    if report.provider is not None:
        where = report.provider
        row |= {"asn": _asn(where.asn), "provider": _short(where.name), "country": _short(where.country)}
    if main is not None:
        row |= _behaviour(main)
    known: dict[str, Verdict] = {each.id: each.verdict for each in report.techniques}
    row |= {name: known.get(name) for name in TECHNIQUE_IDS}
    return row


def _short(text: str | None) -> str | None:
    return None if text is None else text[:_TEXT_LIMIT]


def _behaviour(lane: _Lane) -> dict[str, Any]:
    return {
        "kind": lane.classic,
        "mapping": lane.mapping,
        "filtering": lane.filtering,
        "allocation": lane.port_allocation,
        "cgnat": lane.cgnat,
        "double_nat": lane.double_nat,
        "rtt_ms": _figure(lane.rtt_ms),
        "loss": _figure(lane.loss),
    }


def _asn(number: int | None) -> int | None:
    """Numbers have 32 bits (RFC 6793)."""
    return number if number is not None and 0 <= number < 2**32 else None


def _figure(value: float | None) -> float | None:
    """What can have been measured; sums of such values are finite."""
    return value if value is not None and 0 <= value < _MOST else None


def _ends(lanes: _Lanes) -> dict[str, Any]:
    """What the plan of a connection depends on, in one form for all networks that are alike to it."""
    found = {}
    for name in ("udp4", "udp6", "tcp4", "tcp6"):
        lane: _Lane | None = getattr(lanes, name)
        if lane is not None:
            found[name] = _alike(lane)
    return found


def _alike(lane: _Lane) -> dict[str, Any]:
    kept: dict[str, Any] = {
        "reachable": lane.reachable,
        "present": lane.present,
        "mapping": lane.mapping,
        "filtering": lane.filtering,
        "classic": lane.classic if lane.classic in ("symmetric", "unknown") else "unknown",
    }
    if lane.mapping not in ("none", "endpoint-independent"):
        kept["port_allocation"] = lane.port_allocation
        kept["port_step"] = lane.port_step
        if lane.port_block and lane.port_range is not None:
            size = max(1, min(lane.port_range[1] - lane.port_range[0] + 1, 65536 - 2048))
            kept["port_block"], kept["port_range"] = True, (2048, 2047 + size)
        if lane.pooling == "arbitrary":
            kept["pooling"], kept["external"] = "arbitrary", ("", "")
    return {key: value for key, value in kept.items() if value not in (None, "unknown")}


def nats_of(ends: str) -> NatByTransport:
    """The behaviour that a row's `ends` stand for."""
    lanes = msgspec.json.decode(ends, type=dict[str, dict[str, Any]])
    nats = {name: msgspec.convert(values, Nat) for name, values in lanes.items()}
    return NatByTransport(**nats)
