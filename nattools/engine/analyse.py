"""From a measurement to a report. Pure: the same observations give the same report, whenever it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from nattools import __version__
from nattools.engine.analysis.areas import AreaFindings
from nattools.engine.analysis.diagnosisadvice import advice, measurement_notices
from nattools.engine.analysis.evidence import PathEvidence, gather
from nattools.engine.analysis.findings import Findings, PathFindings, path_findings
from nattools.engine.analysis.nat.requirements import requirements
from nattools.engine.analysis.obstacles import open_mappings
from nattools.engine.analysis.servers import ServerBehaviour, describe, server_behaviours, server_notices
from nattools.engine.analysis.verdicts.portmappings import router_evidence
from nattools.engine.analysis.verdicts.portmapverdicts import mapping_notices
from nattools.engine.analysis.verdicts.techniques import techniques
from nattools.model.endpoint import Family, Transport
from nattools.model.host import Interface
from nattools.model.nat import Nat, PeerKind
from nattools.model.observation import AnyObservation, Idle, SecondOpinion
from nattools.model.report import CrossCheck, Measurement, Report, Server, Tool
from nattools.model.statement import unique
from nattools.wording.texts import with_texts

_ABOUT_IPV6 = ("diagnose", "ipv6")
_OWN_ANSWER = ("map", "relay", "ipv6", "lan", "libp2p", "pwnat", "tailscale")
"""Commands that ask for something else than whether this machine can be reached."""


def analyse(measurement: Measurement, *, is_public: Callable[[str], bool]) -> Report:
    """Findings, verdicts and advice, each with the observations that it rests on: statements first, and the
    texts made from them last.

    `is_public` says whether everybody on the internet can route to an address. Never raises for
    observations of the right types, whatever they hold.
    """
    host = measurement.host
    paths = gather(host.interfaces, measurement.observations, is_public, host.gateways)
    behaviours = server_behaviours(list(paths.values()))
    by_path = _all_paths(paths, behaviours)
    findings = AreaFindings(measurement, by_path, is_public, router_evidence(measurement.observations))
    verdicts = techniques(findings)
    table = () if measurement.command in _OWN_ANSWER else _peers(findings)
    outsides = [found.outside for found in by_path.values()]
    report = Report(
        tool=Tool(name="nattools", version=__version__),
        command=measurement.command,
        action=measurement.action,
        started=measurement.started,
        duration_s=measurement.duration_s,
        substrate=measurement.substrate,
        scenario=measurement.scenario,
        seed=measurement.seed,
        host=measurement.host,
        servers=describe(measurement.servers, list(paths.values()), behaviours),
        nat=findings.by_transport,
        ipv6=findings.ipv6 if measurement.command in _ABOUT_IPV6 else None,
        mappings=findings.routers.mappings,
        relays=findings.relays,
        pwnat=findings.pwnat,
        libp2p=findings.libp2p,
        tailscale=findings.tailscale,
        lan=findings.lan,
        ended=measurement.ended,
        advice=None if measurement.command in _OWN_ANSWER else advice(findings, verdicts, table),
        techniques=verdicts,
        peers=table,
        requirements=() if measurement.command == "ipv6" else requirements(findings),
        cross_checks=_cross_checks(findings, behaviours),
        notices=unique(
            (
                *measurement_notices(measurement),
                *mapping_notices(findings),
                *server_notices(behaviours, outsides),
            )
        ),
        observations=measurement.observations,
    )
    return with_texts(report)


def _cross_checks(findings: Findings, behaviours: dict[str, ServerBehaviour]) -> tuple[CrossCheck, ...]:
    seen = findings.measurement.observations
    if not findings.seen(SecondOpinion):
        return ()
    from nattools.engine.analysis.secondopinions import cross_checks

    distrusted = any(each.distrusted for each in behaviours.values())
    return cross_checks(seen, findings.nat("udp", 4), findings.routers, distrusted)


def so_far(
    interfaces: Iterable[Interface],
    observations: Iterable[AnyObservation],
    *,
    is_public: Callable[[str], bool],
) -> dict[tuple[Transport, Family], Nat]:
    """The findings alone, for those who go on measuring."""
    paths = gather(interfaces, observations, is_public)
    return {
        key: found.nat for key, found in _all_paths(paths, server_behaviours(list(paths.values()))).items()
    }


def _all_paths(
    paths: dict[tuple[Transport, Family], PathEvidence], behaviours: dict[str, ServerBehaviour]
) -> dict[tuple[Transport, Family], PathFindings]:
    by_path: dict[tuple[Transport, Family], PathFindings] = {}
    for (transport, family), path in paths.items():
        twin = paths["tcp" if transport == "udp" else "udp", family]
        found = path_findings(path, twin, behaviours, by_path.get((twin.transport, family)))
        if found is not None:
            by_path[transport, family] = found
    return by_path


def _peers(findings: Findings) -> tuple[PeerKind, ...]:
    from nattools.engine.analysis.verdicts.peerkinds import peer_kinds

    main = findings.main
    rows = peer_kinds(findings.nat("udp", main), findings.nat("tcp", main), open_mappings(findings))
    best = next((row.rtt_ms for row in findings.relays if row.works and row.rtt_ms is not None), None)
    if best is None:
        return rows
    measured = msgspec.structs.replace
    return tuple(measured(row, relay_rtt_ms=best.median) if row.path == "relay" else row for row in rows)


def reanalyse(report: Report, *, is_public: Callable[[str], bool]) -> Report:
    """The report that this version makes of an old one's observations. Pure."""
    measurement = Measurement(
        command=report.command,
        action=report.action,
        started=report.started,
        duration_s=report.duration_s,
        substrate=report.substrate,
        scenario=report.scenario,
        seed=report.seed,
        host=report.host,
        servers=tuple(_as_noted(server) for server in report.servers),
        families=_families(report),
        lifetime_asked=any(isinstance(one, Idle) for one in report.observations),
        timed_out=report.timed_out,
        ended=report.ended,
        observations=report.observations,
    )
    again = analyse(measurement, is_public=is_public)
    # what became of a punch happened, and is no conclusion
    return msgspec.structs.replace(again, punch=report.punch, pwnat=report.pwnat)


def _as_noted(server: Server) -> Server:
    """A server as it was before the analysis: what is wrong with the answers of one that answered is a
    conclusion, and will be drawn again."""
    return msgspec.structs.replace(server, problem="", problems=()) if server.answered else server


def _families(report: Report) -> tuple[Family, ...]:
    """The families that were measured: those that something was observed of."""
    seen = {getattr(one, "family", None) for one in report.observations}
    families: tuple[Family, ...] = (4, 6)
    return tuple(family for family in families if family in seen)
