"""What a NAT does to ICMP errors, and at them, as its report shows it."""

from __future__ import annotations

from nattools.lab.redraw.drawing import Drawing
from nattools.model.nat import Nat
from nattools.model.observation import AnyObservation, BirthdayTrial, PunchTrial
from nattools.model.report import Report

_ERRORS_OUT = {"pwnat-caller-passes": "translated", "pwnat-caller-untranslated": "untranslated"}


def draw_errors(drawing: Drawing, report: Report, place: tuple[str, ...], nat: Nat) -> None:
    """Into the table at `place`, by the trials for pwnat, and by those of hole punching that an error can
    have ended."""
    table = drawing.table(*place)
    quotes = {"translated": "translated", "removed": "zero"}.get(nat.quoted_checksum or "unknown")
    if quotes is not None:
        table["quotes"] = quotes
    if sign := _sign_of_ends(report, nat):
        table["icmp_ends_mapping"] = True
        drawing.mark(place, "icmp_ends_mapping", sign)
    trick = next((each for each in report.techniques if each.id == "pwnat"), None)
    codes = {each.code for each in trick.reason} if trick is not None else set()
    if "pwnat-listener-icmp-blocked" in codes:
        table["errors_in"] = "blocked"
    elif "pwnat-listener-invalid-dropped" in codes and nat.mapping == "endpoint-independent":
        table["quotes"] = "short"
        drawing.mark(
            place, "quotes", "the errors that were made up do not get in, for a reason that is not told"
        )
    for code in codes & _ERRORS_OUT.keys():
        table["errors_out"] = _ERRORS_OUT[code]


def _sign_of_ends(report: Report, nat: Nat) -> str:
    """What speaks for mappings that end at errors (against RFC 4787 REQ-12); "": nothing does."""
    if any(isinstance(seen, BirthdayTrial) and seen.outcome == "silent" for seen in report.observations):
        return "birthday probes did not get in, for a reason that is not told"
    if nat.mapping == "endpoint-independent" and any(map(_has_moved, report.observations)):
        return "a port got another outside port while a hole was punched in vain"
    return ""


def _has_moved(seen: AnyObservation) -> bool:
    return isinstance(seen, PunchTrial) and seen.outcome == "silent" and seen.seen not in (None, seen.mapped)
