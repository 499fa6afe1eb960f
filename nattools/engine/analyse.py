"""From a measurement to a report. Pure: the same observations give the same report, whenever it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nattools import __version__
from nattools.engine.analysis.advice import advice, circumstances
from nattools.engine.analysis.cross_checks import cross_checks
from nattools.engine.analysis.evidence import PathEvidence, gather
from nattools.engine.analysis.findings import Findings, PathFindings, behaviour
from nattools.engine.analysis.peer_kinds import peer_kinds
from nattools.engine.analysis.portmap_verdicts import true_mappings
from nattools.engine.analysis.portmap_verdicts import warnings as mapping_warnings
from nattools.engine.analysis.portmappings import mappings
from nattools.engine.analysis.requirements import requirements
from nattools.engine.analysis.servers import Conduct, conduct, describe, warnings
from nattools.engine.analysis.techniques import techniques
from nattools.model.endpoint import Family, Transport
from nattools.model.host import Interface
from nattools.model.nat import Nat, PeerKind
from nattools.model.observation import AnyObservation
from nattools.model.report import Measurement, Report, Tool


def analyse(measurement: Measurement, *, is_public: Callable[[str], bool]) -> Report:
    """Findings, verdicts and advice, each with the observations that it rests on.

    `is_public` says whether everybody on the internet can route to an address. Never raises for
    observations of the right types, whatever they hold.
    """
    paths = gather(measurement.host.interfaces, measurement.observations, is_public)
    conducts = conduct(list(paths.values()))
    behaviours = _behaviours(paths, conducts)
    findings = Findings(measurement, behaviours, is_public)
    verdicts = techniques(findings)
    table = () if measurement.command == "map" else _peers(findings)
    outsides = [found.outside for found in behaviours.values()]
    return Report(
        tool=Tool(name="nattools", version=__version__),
        command=measurement.command,
        action=measurement.action,
        started=measurement.started,
        duration_s=measurement.duration_s,
        substrate=measurement.substrate,
        scenario=measurement.scenario,
        host=measurement.host,
        servers=describe(measurement.servers, list(paths.values()), conducts),
        nat=findings.by_transport,
        mappings=mappings(measurement),
        advice=None if measurement.command == "map" else advice(findings, verdicts, table),
        techniques=verdicts,
        peers=table,
        requirements=requirements(findings),
        cross_checks=cross_checks(
            measurement, findings.nat("udp", 4), any(each.distrusted for each in conducts.values())
        ),
        warnings=(
            *circumstances(measurement),
            *mapping_warnings(findings),
            *warnings(conducts, outsides),
        ),
        observations=measurement.observations,
    )


def so_far(
    interfaces: Iterable[Interface],
    observations: Iterable[AnyObservation],
    *,
    is_public: Callable[[str], bool],
) -> dict[tuple[Transport, Family], Nat]:
    """The findings alone, for those who go on measuring."""
    paths = gather(interfaces, observations, is_public)
    return {key: found.nat for key, found in _behaviours(paths, conduct(list(paths.values()))).items()}


def _behaviours(
    paths: dict[tuple[Transport, Family], PathEvidence], conducts: dict[str, Conduct]
) -> dict[tuple[Transport, Family], PathFindings]:
    behaviours: dict[tuple[Transport, Family], PathFindings] = {}
    for (transport, family), path in paths.items():
        twin = paths["tcp" if transport == "udp" else "udp", family]
        found = behaviour(path, twin, conducts, behaviours.get((twin.transport, family)))
        if found is not None:
            behaviours[transport, family] = found
    return behaviours


def _peers(findings: Findings) -> tuple[PeerKind, ...]:
    main = findings.main
    return peer_kinds(findings.nat("udp", main), findings.nat("tcp", main), true_mappings(findings))
