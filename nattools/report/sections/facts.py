"""What a helpdesk asks first: when, from where, with what address, and whose NAT that is."""

from __future__ import annotations

from nattools.model.report import Report
from nattools.report.document import Cell, Mood
from nattools.report.safetext import safe
from nattools.wording import terms

Fact = tuple[str, Cell]
_ABOUT_NAT = ("diagnose", "nat", "ipv6")
_OF_A_TECHNIQUE = ("lan", "libp2p", "tailscale")
_VERDICTS: dict[str, Mood] = {"works": "good", "fails": "bad"}
MOODS: dict[str, Mood] = {
    "directly": "good",
    "by punching": "good",
    "over tcp only": "unsure",
    "by relay only": "unsure",
    "unknown": "unsure",
    "offline": "bad",
}


def mood(report: Report) -> Mood:
    """That of the first line: is it good news?"""
    if report.punch is not None:
        return "good" if report.punch.connected else "bad"
    if report.ended is not None:
        return "bad"
    if report.command == "relay":
        return "good" if any(each.works for each in report.relays) else "bad"
    if report.command in _OF_A_TECHNIQUE:
        verdict = next((each.verdict for each in report.techniques if each.id == report.command), "unknown")
        return _VERDICTS.get(verdict, "unsure")
    return "plain" if report.advice is None else MOODS[report.advice.reachable]


def facts(report: Report) -> tuple[Fact, ...]:
    """Labels with what is known."""
    if report.matrix is not None:
        return (_measured(report),)
    found = (_outside(report), _share(report))
    wanted = report.command in _ABOUT_NAT
    return (_measured(report), *(each for each in found if wanted or each[1].mood != "unsure"))


def _measured(report: Report) -> Fact:
    when = safe(report.started, 40).replace("T", " ").replace("Z", " UTC")
    where = f" on {safe(report.host.measured_interface, 40)}" if report.host.measured_interface else ""
    return "Measured", Cell(f"{when}{where}, in {terms.seconds(report.duration_s)}")


def _outside(report: Report) -> Fact:
    nat = report.nat
    seen = [address for one in (nat.udp4, nat.tcp4, nat.udp6, nat.tcp6) if one for address in one.external]
    shown = ", ".join(safe(each, 60) for each in dict.fromkeys(seen[:8]))
    return "Outside address", Cell(shown) if shown else Cell("not known", "unsure")


def _share(report: Report) -> Fact:
    """Does the provider share the address among customers?"""
    nat = report.nat.over_ipv4()
    label = "Provider's NAT"
    if nat is None or nat.present is None:
        return label, Cell("not known", "unsure")
    if nat.present is False:
        return label, Cell("none: there is no NAT")
    if nat.cgnat:
        return label, Cell("yes: the address is shared among customers (CGNAT)", "unsure")
    if nat.cgnat is False:
        second = "; but a second NAT stands beyond the first" if nat.double_nat else ""
        return label, Cell(f"no{second}")
    return label, Cell("not known", "unsure")
