"""Verdicts on what programs make of a network: libp2p, Tailscale, and those that look for their like on the
local network."""

from __future__ import annotations

from nattools.engine.analysis.areas import AreaFindings
from nattools.engine.analysis.findings import technique
from nattools.engine.analysis.libp2p.directupgrade import open_to_all, upgrades
from nattools.engine.analysis.obstacles import remedies, true_mappings
from nattools.engine.analysis.overlays import tailscaleadvice
from nattools.engine.analysis.overlays.tailscalepaths import direct_with
from nattools.model.endpoint import family_of
from nattools.model.report import Technique
from nattools.model.statement import Statement, statement
from nattools.net.addresses import is_public


def lan_verdict(findings: AreaFindings) -> Technique:
    """As one of the techniques: do machines here reach each other?"""
    found = findings.lan
    settle = (statement("settle-lan"),)
    if found is None:
        return technique("lan", "unknown", 0.0, _not_asked(findings), remedy=settle)
    if found.isolated or found.unicast is False:
        return technique("lan", "fails", 0.8, *found.reason, remedy=found.actions, evidence=found.evidence)
    if found.unicast:
        return technique("lan", "works", 0.9, *found.reason, remedy=found.actions, evidence=found.evidence)
    return technique("lan", "unknown", 0.0, *found.reason, remedy=found.actions, evidence=found.evidence)


def _not_asked(findings: AreaFindings) -> Statement:
    """Why nobody was."""
    host = findings.measurement.host
    used = next((each for each in host.interfaces if each.name == host.measured_interface), None)
    public = [each for each in used.addresses if family_of(each) == 4 and is_public(each)] if used else []
    if used is not None and public:
        return statement("lan-strangers", interface=used.name, address=public[0])
    return statement("lan-not-asked")


def libp2p_verdict(findings: AreaFindings) -> Technique:
    """Do peers reach a node here, and how?"""
    seen, upgrade = findings.libp2p, upgrades(findings)
    reached = next((row for row in seen.autonat if row.reachable), None) if seen is not None else None
    nat = findings.nat("udp", findings.main)
    ids = () if nat is None else (*nat.evidence.get("mapping", ()), *nat.evidence.get("filtering", ()))
    if reached is not None:
        why = statement("libp2p-reached", address=reached.address)
        return technique("libp2p", "works", 0.99, why, evidence=reached.evidence)
    if true_mappings(findings):
        return technique("libp2p", "works", 0.9, statement("libp2p-mapped"), evidence=ids)
    if upgrade is None or upgrade.dcutr == "unknown":
        return technique("libp2p", "unknown", 0.0, statement("libp2p-unknown"), evidence=ids)
    direct, kinds = sum(row.path == "direct" for row in upgrade.kinds), len(upgrade.kinds)
    if nat is not None and nat.reachable and open_to_all(nat):
        return technique("libp2p", "works", 0.9, statement("libp2p-open"), evidence=ids)
    if upgrade.dcutr == "possible" and direct:
        why = statement("libp2p-upgraded", direct=direct, kinds=kinds)
        return technique("libp2p", "works", 0.9, why, evidence=ids)
    why = statement("libp2p-relayed", direct=direct, kinds=kinds)
    return technique("libp2p", "fails", 0.9, why, remedy=remedies(findings), evidence=ids)


def tailscale_verdict(findings: AreaFindings) -> Technique:
    """Will a client connect here at all, and how much of it directly?"""
    found = findings.tailscale
    return tailscaleadvice.verdict(findings, direct_with(findings), () if found is None else found.tailnets)
