"""What the report says, as what the scenario expects: `nattools lab run` holds one against the other."""

from __future__ import annotations

from typing import Any

from nattools.lab.redraw.drawing import Drawing
from nattools.model.lan import Lan
from nattools.model.nat import Nat
from nattools.model.report import Report

_FIELDS = (
    "reachable", "present", "mapping", "filtering", "port_allocation", "port_step", "port_block",
    "hairpinning", "cgnat", "double_nat", "distance_hops", "classic", "pooling",
)  # fmt: skip
"""Behaviour that is expected where it is known; addresses are the lab's own."""
_BY_CHANCE = ("port_allocation", "port_step", "port_block", "pooling")
"""What a pool of addresses shows of these depends on which of them are met."""


def expected(drawing: Drawing, report: Report, host: str) -> None:
    """Verdicts and behaviour."""
    for lane in ("udp4", "udp6", "tcp4", "tcp6"):
        nat = getattr(report.nat, lane)
        if nat is not None and (values := _behaviour(nat)):
            drawing.table("expect", host, "nat", lane).update(values)
    pooled = report.nat.udp4 is not None and len(report.nat.udp4.external) > 1
    verdicts: dict[str, Any] = {
        each.id: each.verdict
        for each in report.techniques
        if each.verdict in ("works", "fails") and not (pooled and each.id == "pwnat")
    }
    if verdicts:
        drawing.table("expect", host, "technique").update(verdicts)
    if report.lan is not None and (passing := _passing(report.lan)):
        drawing.table("expect", host, "lan").update(passing)
    if report.libp2p is not None and report.libp2p.dcutr != "unknown":
        drawing.table("expect", host, "libp2p")["dcutr"] = report.libp2p.dcutr
    if report.advice is not None:
        drawing.table("expect", host, "advice")["reachable"] = report.advice.reachable


def _passing(lan: Lan) -> dict[str, Any]:
    found = {name: getattr(lan, name) for name in ("unicast", "broadcast", "multicast", "isolated")}
    return {name: value for name, value in found.items() if value is not None}


def _behaviour(nat: Nat) -> dict[str, Any]:
    pooled = len(nat.external) > 1
    return {
        field: value
        for field in _FIELDS
        if (value := getattr(nat, field)) not in (None, "unknown") and not (pooled and field in _BY_CHANCE)
    }
