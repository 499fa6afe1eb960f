"""What follows for Tailscale and headscale from what was seen of their servers and of this network."""

from __future__ import annotations

from nattools.engine.analysis.findings import Findings
from nattools.engine.analysis.libp2p.announcementchecks import announces
from nattools.engine.analysis.overlays import netchecks
from nattools.engine.analysis.overlays.overlaypeers import explained
from nattools.engine.analysis.overlays.overlaystates import is_down, own_state
from nattools.engine.analysis.overlays.tailnetclashes import JoinedTailnet, conflicts, overlaps
from nattools.engine.analysis.overlays.tailscaleadvice import actions, beyond_netcheck, overall
from nattools.engine.analysis.overlays.tailscalepaths import direct_with
from nattools.model.overlay import OverlayProgram
from nattools.model.relay import Relay
from nattools.model.statement import Reason, Statement, statement, unique
from nattools.model.tailnetseen import ControlCause, ControlTrial, TailnetAsked, TailnetStatus
from nattools.model.tailscale import DerpRegionRow, Tailnet, Tailscale, TailscaleWay
from nattools.net.addresses import is_this_machine

_CONTROL: dict[ControlCause, tuple[str, str]] = {
    "unresolved": ("ts-control-unresolved", "ts-check-dns"),
    "timeout": ("ts-control-silent", "ts-let-https-out"),
    "refused": ("ts-control-refused", "ts-check-control"),
    "unreachable": ("ts-control-unreachable", "ts-let-https-out"),
    "prohibited": ("ts-control-prohibited", "ts-let-https-out"),
    "closed": ("ts-control-closed", "ts-exempt-from-inspection"),
    "not-tls": ("ts-control-not-tls", "ts-exempt-from-inspection"),
    "certificate": ("ts-control-certificate", "ts-exempt-from-inspection"),
    "captive-portal": ("ts-control-portal", "relay-log-in"),
    "error": ("ts-control-error", "ts-check-control"),
    "not-a-control": ("ts-control-other", "ts-check-control"),
}
"""By cause: what it means, what to do."""
_SILENCE: frozenset[ControlCause] = frozenset(("unresolved", "timeout", "unreachable", "closed"))
"""What a cable that is out looks like as well."""


def tailscale(findings: Findings) -> Tailscale:
    """The section of a measurement that is about Tailscale too."""
    ways = direct_with(findings)
    seen = findings.measurement.observations
    asked = [one for one in seen if isinstance(one, TailnetAsked)]
    joined = [JoinedTailnet(_name(asked, one.number), one.status) for one in _statuses(findings)]
    tailnets = tuple(_tailnet(findings, ways, one) for one in asked)
    programs: frozenset[OverlayProgram] = frozenset({each.program for each in tailnets} or {"tailscale"})
    shared, wanted = overlaps(findings, joined), conflicts(findings, joined)
    clashes = [each for each in (*shared, *wanted) if each.remedy]
    first = [each for tailnet in tailnets for each in tailnet.remedy]
    first += [each for clash in clashes for each in clash.remedy]
    return Tailscale(
        tailnets=tailnets,
        address_overlaps=shared,
        conflicts=wanted,
        direct_with=ways,
        reason=(
            *(statement("client-down", name=one.name) for one in joined if is_down(one.status)),
            *([statement("ts-clashes")] if clashes else []),
            *overall(findings, ways, programs),
        ),
        actions=unique((*first, *actions(findings, ways, tailnets, programs))),
        beyond_netcheck=beyond_netcheck(findings, [one.netcheck for one in tailnets])
        if asked and "tailscale" in programs
        else (),
    )


def _statuses(findings: Findings) -> list[TailnetStatus]:
    return [one for one in findings.measurement.observations if isinstance(one, TailnetStatus)]


def _name(asked: list[TailnetAsked], number: int) -> str:
    return next((one.name for one in asked if one.number == number), f"tailnet {number}")


def _tailnet(findings: Findings, ways: dict[str, TailscaleWay], asked: TailnetAsked) -> Tailnet:
    status = next((one.status for one in _statuses(findings) if one.number == asked.number), None)
    seen = findings.measurement.observations
    control = next(
        (one for one in seen if isinstance(one, ControlTrial) and one.number == asked.number), None
    )
    codes = {region.code: region.id for region in asked.regions}
    before = codes.get(status.relay, 0) if status is not None else 0
    check = netchecks.netcheck(findings, asked.number, asked.regions, before) if asked.regions else None
    names = {region.id: region.code or str(region.id) for region in asked.regions}
    home = None if check is None else names.get(check.PreferredDERP)
    rows = netchecks.region_rows(findings, asked.number, asked.regions)
    relay = _home_relay(findings, asked, 0 if check is None else check.PreferredDERP)
    doubted = findings.left and control is not None and control.cause in _SILENCE
    control_said = _control(None if doubted else control)
    said = [control_said] if status is None else [own_state(status), announces(status), control_said]
    reason, remedy = [each for one, _ in said for each in one], [each for _, one in said for each in one]
    if doubted:
        reason.append(statement("ts-control-left", url=asked.control))
        remedy.append(statement("relay-run-again"))
    if asked.problem:
        reason.append(statement("ts-map-missing", map=asked.map, detail=asked.problem))
        remedy.append(statement("ts-name-map"))
    if check is not None:
        reason += _home(rows, check.PreferredDERP, status.relay if status is not None else "", home)
    verifies = relay is not None and _verifies(relay)
    of_relay, for_relay = _of_relay(relay)
    reason += of_relay
    remedy += for_relay
    trials = netchecks.of_tailnet(findings, asked.number)
    return Tailnet(
        name=asked.name,
        program="tailscale" if status is None else status.program,
        control=asked.control,
        reachable=None if control is None or doubted else control.answers,
        logs_in=None if control is None else control.upgrade,
        steps=() if control is None else control.steps,
        map=asked.map,
        home_region=home,
        relays=None if relay is None or verifies else relay.works,
        regions=rows,
        netcheck=check,
        peers=()
        if status is None
        else tuple(explained(findings, ways, status, peer) for peer in status.peers),
        reason=tuple(reason),
        remedy=unique(remedy),
        evidence=tuple(one.id for one in (asked, *([control] if control else []), *trials[:5])),
    )


def _of_relay(relay: Relay | None) -> tuple[Reason, Reason]:
    """What is to be said of the home region's, and what to do."""
    if relay is not None and _verifies(relay):
        return (statement("ts-relay-verifies", uri=relay.uri),), ()
    if relay is not None and relay.works is False and relay.error is not None:
        return (statement("ts-relay-fails", uri=relay.uri), *relay.error.reason), relay.error.remedy
    return (), ()


def _control(trial: ControlTrial | None) -> tuple[Reason, Reason]:
    """What came of asking the control server, and what to do."""
    if trial is None or trial.answers is None:
        return (), ()
    where = {"url": trial.url, "detail": trial.detail or "no reason given", "issuer": trial.issuer}
    here = _leads_here(trial)
    if trial.cause is not None and here:
        return (statement("ts-control-here", url=trial.url, address=here),), (statement("ts-unblock-name"),)
    if trial.cause is not None:
        meaning, advice = _CONTROL[trial.cause]
        if trial.cause == "certificate" and trial.issuer:
            meaning = "ts-control-certificate-by"
        return (statement(meaning, **where),), (statement(advice, url=trial.url),)
    if trial.upgrade is False:
        return (statement("ts-upgrade-lost", url=trial.url),), (statement("ts-pass-upgrade"),)
    return (statement("ts-control-answers", url=trial.url),), ()


def _leads_here(trial: ControlTrial) -> str:
    """The address of this machine itself that the server's name has, and no other; "" if it has others."""
    looked_up = next((step.detail for step in trial.steps if step.step == "resolve" and step.ok), "")
    found = looked_up.split(", ")
    return found[0] if looked_up and all(map(is_this_machine, found)) else ""


def _home(rows: tuple[DerpRegionRow, ...], home: int, said: str, code: str | None) -> list[Statement]:
    """Which region, how far away, and how that was measured."""
    row = next((each for each in rows if each.id == home), None)
    if row is None:
        return [statement("ts-no-region")]
    name = row.name or row.code or str(row.id)
    told = "ts-home" if row.by == "stun" else "ts-home-without-udp"
    found = [statement(told, region=name, rtt_ms=row.rtt_ms)]
    if said and said != code:
        found.append(statement("ts-home-differs", said=said, region=name))
    return found


def _home_relay(findings: Findings, asked: TailnetAsked, home: int) -> Relay | None:
    """The relay of the home region, or of whichever was tried in its place."""
    names = {name for region in asked.regions for name in (region.name, region.code) if name}
    own = next((region for region in asked.regions if region.id == home), None)
    tried = [row for row in findings.relays if row.kind == "derp" and row.region in names]
    tried = [row for row in tried if row.works is not None]
    exact = [row for row in tried if own is not None and row.region in (own.name, own.code)]
    return next(iter(exact or tried), None)


def _verifies(relay: Relay) -> bool:
    """Does it let in its own tailnet's machines alone, of which this program is none?"""
    return relay.error is not None and any(each.code == "relay-verifies" for each in relay.error.reason)
