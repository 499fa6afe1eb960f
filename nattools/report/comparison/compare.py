"""Two reports held against each other. What two measurements of one network differ in by chance is left out:
ports, identifiers, times within their spread, what one of them could not measure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from nattools.model.relay import Relay
from nattools.model.report import Report, Technique
from nattools.model.statement import Statement, statement
from nattools.report.comparison import lanes
from nattools.report.comparison.changes import Change, Comparison, is_known, one_sided, said
from nattools.report.redaction.knownwords import constants
from nattools.wording import comparedfields, sentence, terms

_PASSING = frozenset(
    {
        "time-over", "external-address-changed", "external-addresses-in-turn", "router-epoch",
        "server-overloaded",
    }
)  # fmt: skip
"""Warnings about the measurement, and not about the network."""
_PUNCH = ("connected", "path", "transport", "family", "strategy")
_BY_COMMAND = frozenset({"lan.proven"})
"""What a command says yes to, and the glance of another one cannot."""
_LEFT_OUT = ("direct_with", "unknowns")
"""What follows from the behaviour that is compared already, and why something is not known."""


def compare(before: Report, after: Report) -> Comparison:
    """What has changed, and what it means. Pure."""
    names_agree = before.redacted == after.redacted != ""
    changes = [
        *_ending(before, after),
        *_network(before, after),
        *_verdicts(before, after),
        *lanes.changes(before, after),
        *_relays(before, after),
        *_connection(before, after),
        *_sections(before, after),
        *_warnings(before, after),
    ]
    if not names_agree:
        changes = [each for each in changes if each.area != "network" or each.what == "ended"]
    once = {each.says.code + repr(each.says.values): each for each in reversed(changes)}
    changes = list(reversed(once.values()))
    unknown = [*_unknown_verdicts(before, after), *lanes.unknown(before, after)]
    meaning = _meaning(changes) if changes else _same(before, after)
    limits = () if names_agree else (statement("diff-redacted"),)
    return Comparison(changes=tuple(changes), meaning=meaning, unknown=tuple(unknown), limits=limits)


def _same(before: Report, after: Report) -> Statement:
    """Nothing has changed: in all of it, or in what two commands both measure."""
    if before.command == after.command:
        return statement("diff-same")
    return statement("diff-same-in-common", one=before.command, other=after.command)


def _meaning(changes: list[Change]) -> Statement:
    """What is behind the changes, the deepest reason first."""
    areas = {each.area for each in changes}
    ended = next((each.says for each in changes if each.what == "ended"), None)
    if ended is not None:
        return ended
    elsewhere = [each for each in changes if each.what in ("interface", "router")]
    if elsewhere:
        return statement(
            "diff-other-network", what=" and ".join(f"another {each.what}" for each in elsewhere)
        )
    verdicts = [each.better for each in changes if each.area in ("verdicts", "connection")]
    if any(each.area == "behaviour" and each.what.endswith(lanes.NATURE) for each in changes):
        return statement("diff-other-nat")
    if verdicts and all(better is True for better in verdicts):
        return statement("diff-opened")
    if verdicts and all(better is False for better in verdicts):
        return statement("diff-closed")
    if any(each.what.endswith(".external") for each in changes):
        return statement("diff-other-address")
    if areas == {"figures"}:
        worse = any(each.better is False for each in changes)
        return statement("diff-slower" if worse else "diff-faster")
    return changes[-1].says if areas == {"warnings"} else statement("diff-else")


def _ending(before: Report, after: Report) -> Iterator[Change]:
    """Did anything outside answer, and if not, why?"""
    one, other = (None if each.ended is None else each.ended.step for each in (before, after))
    if one == other or not all(map(_asked_outside, (before, after))):
        return
    texts = ["" if each.advice is None else each.advice.headline for each in (before, after)]
    if other is None:
        says = statement("diff-answers-again", text=texts[0])
    elif one is None:
        says = statement("diff-nothing-answers", text=texts[1])
    else:
        says = statement("diff-ends-otherwise", before=texts[0], after=texts[1])
    better = other is None if None in (one, other) else None
    yield Change(area="network", what="ended", before=one, after=other, better=better, says=says)


def _asked_outside(report: Report) -> bool:
    """Or could it not have ended for want of an answer, as `lan`?"""
    return report.ended is not None or bool(report.servers) or any(each.works for each in report.relays)


def _network(before: Report, after: Report) -> Iterator[Change]:
    """By what it was measured."""
    pairs = (
        ("interface", "diff-interface", before.host.measured_interface, after.host.measured_interface),
        ("router", "diff-router", _router(before), _router(after)),
        ("own address", "diff-own-address", _own_address(before), _own_address(after)),
    )
    for what, code, one, other in pairs:
        if one is not None and other is not None and one != other:
            says = statement(code, before=one, after=other)
            yield Change(area="network", what=what, before=one, after=other, says=says)


def _router(report: Report) -> str | None:
    """The default router of IPv4 on the interface that was measured."""
    wanted = report.host.measured_interface
    found = (each for each in report.host.gateways if each.family == 4 and each.interface == wanted)
    return next((each.address for each in found), None)


def _own_address(report: Report) -> str | None:
    """The machine's IPv4 address there. Those of IPv6 change by themselves (RFC 8981)."""
    for each in report.host.interfaces:
        if each.name == report.host.measured_interface:
            return next((address for address in each.addresses if ":" not in address), None)
    return None


def _pairs(before: Report, after: Report) -> Iterator[tuple[Technique, Technique]]:
    later = {each.id: each for each in after.techniques}
    for one in before.techniques:
        if one.id in later:
            yield one, later[one.id]


def _verdicts(before: Report, after: Report) -> Iterator[Change]:
    for one, other in _pairs(before, after):
        if {one.verdict, other.verdict} == {"works", "fails"}:
            now = other.verdict == "works"
            says = statement("diff-works-now" if now else "diff-works-no-more", technique=one.id)
            yield Change(
                area="verdicts", what=one.id, before=one.verdict, after=other.verdict, better=now, says=says
            )


def _unknown_verdicts(before: Report, after: Report) -> Iterator[Statement]:
    for one, other in _pairs(before, after):
        names = (terms.VERDICTS.get(each.verdict, each.verdict) for each in (one, other))
        first, second = (None if name in ("unknown", "skipped") else name for name in names)
        yield from one_sided(terms.TECHNIQUES.get(one.id, one.id), first, second)


def _relays(before: Report, after: Report) -> Iterator[Change]:
    later: dict[tuple[str, ...], Relay] = {
        (each.kind, each.uri, each.transport): each for each in after.relays
    }
    for one in before.relays:
        other = later.get((one.kind, one.uri, one.transport))
        if other is None:
            continue
        what = f"relay {one.uri} {one.transport}"
        which = {"uri": one.uri, "transport": one.transport}
        if is_known(one.works) and is_known(other.works) and one.works != other.works:
            word = "works now" if other.works else "works no more"
            yield Change(
                area="verdicts",
                what=what,
                before=one.works,
                after=other.works,
                better=other.works,
                says=statement("diff-relay", **which, after=word),
            )
        elif one.rtt_ms and other.rtt_ms and lanes.differs_ms(one.rtt_ms.median, other.rtt_ms.median):
            times = {"before": one.rtt_ms.median, "after": other.rtt_ms.median}
            yield Change(
                area="figures",
                what=what,
                **times,
                better=times["after"] < times["before"],
                says=statement("diff-relay-round-trip", **which, **times),
            )


def _connection(before: Report, after: Report) -> Iterator[Change]:
    if before.punch is None or after.punch is None:
        return
    for name in _PUNCH:
        one, other = getattr(before.punch, name), getattr(after.punch, name)
        if is_known(one) and is_known(other) and one != other:
            better = other if name == "connected" else None
            says = statement("diff-connection", what=name, before=said(one), after=said(other))
            yield Change(
                area="connection", what=f"punch.{name}", before=one, after=other, better=better, says=says
            )


def _sections(before: Report, after: Report) -> Iterator[Change]:
    """Changes of what other sections say in yes and no, or in words of closed sets."""
    for name in comparedfields.SECTIONS:
        one, other = (_leaves(getattr(each, name, None), name) for each in (before, after))
        for path in one:
            if path in _BY_COMMAND and before.command != after.command:
                continue
            if path in other and one[path] != other[path]:
                says = statement("diff-section", what=path, before=said(one[path]), after=said(other[path]))
                yield Change(area="behaviour", what=path, before=one[path], after=other[path], says=says)


def _leaves(part: Any, path: str) -> dict[str, str | bool]:
    if isinstance(part, msgspec.Struct):
        part = msgspec.to_builtins(part)
    if isinstance(part, dict):
        return {
            key: value
            for name, each in part.items()
            if name not in _LEFT_OUT
            for key, value in _leaves(each, f"{path}.{name}").items()
        }
    if isinstance(part, bool) or (isinstance(part, str) and part in constants()):
        return {path: part} if is_known(part) else {}
    return {}


def _warnings(before: Report, after: Report) -> Iterator[Change]:
    sides = [{each.code: each for each in report.notices} for report in (before, after)]
    for (old, new), code in ((sides, "diff-warned"), (sides[::-1], "diff-warned-no-more")):
        for name in (each for each in new if each not in old and each not in _PASSING):
            gone = code == "diff-warned-no-more"
            says = statement(code, text=sentence(new[name]))
            yield Change(
                area="warnings", what=name, before=gone, after=not gone, better=gone or None, says=says
            )
