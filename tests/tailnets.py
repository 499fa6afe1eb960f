"""Findings made by hand, for tests of what follows for Tailscale."""

from __future__ import annotations

from nattools.engine.analyse import analyse
from nattools.engine.analysis.findings import Findings
from nattools.engine.analysis.verdicts.portmappings import router_evidence
from nattools.model.host import Host
from nattools.model.observation import AnyObservation
from nattools.model.report import Measurement, Report
from nattools.net.addresses import is_public

HERE = Host(os="Linux")


def measured(*seen: AnyObservation, host: Host | None = None) -> Measurement:
    """Numbered as they come."""
    from msgspec.structs import replace

    numbered = tuple(replace(one, id=number) for number, one in enumerate(seen, 1))
    return Measurement(
        command="tailscale",
        started="2026-01-01T00:00:00Z",
        duration_s=1.0,
        substrate="sim",
        host=host or HERE,
        observations=numbered,
    )


def findings_of(*seen: AnyObservation, host: Host | None = None) -> Findings:
    """What the analysis works on, of a measurement that saw nothing else."""
    measurement = measured(*seen, host=host)
    return Findings(measurement, {}, is_public, router_evidence(measurement.observations))


def report_of(*seen: AnyObservation, host: Host | None = None) -> Report:
    """The whole report."""
    return analyse(measured(*seen, host=host), is_public=is_public)
