"""Does a captive portal answer in the servers' place?"""

from __future__ import annotations

from msgspec.structs import replace

from nattools.engine.measurement import MeasurementRun
from nattools.engine.measureoptions import Event
from nattools.errors import CannotRun
from nattools.model.endpoint import parse_endpoint
from nattools.model.observation import Binding, Connection, Portal
from nattools.model.statement import statement
from nattools.wording import sentence

_PAGES = (*range(200, 400), 511)
"""What a portal answers with (RFC 6585 6): a page, or where there is one. Proxies have errors to tell."""


async def look_for_portal(run: MeasurementRun) -> Portal | None:
    """Where no server answered, or those that did saw nobody from outside: does somebody answer in their
    place? Then none was reached."""
    if run.reached and not _all_see_the_inside(run):
        return None
    from nattools.probes.portalcheck import answers_for_nobody, find_portal

    hosts = [at.host for servers in run.addresses.values() for each in servers for at in each.endpoints]
    run.emit(Event("started", "portal", "does somebody else answer in the servers' place?"))
    found = None
    if not run.reached or await answers_for_nobody(run.network, run.reached[0].endpoint):
        found = await find_portal(run.network, run.options.families, hosts, run.options.interface)
    run.emit(Event("finished", "portal"))
    if found is None:
        return None
    run.reached.clear()
    return run.recorder.add(found)


async def look_for_tcp_portal(run: MeasurementRun) -> None:
    """Where servers answer over UDP and none does over TCP: is it a portal that takes connections alone? A
    proxy that takes them is none."""
    if not run.reached or any(target.transport == "tcp" for target in run.reached):
        return
    called = {one.outcome for one in run.recorder.observations if isinstance(one, Connection)}
    if called.isdisjoint(("answered", "timeout")):
        return
    from nattools.probes.portalcheck import find_portal

    run.emit(Event("started", "portal", "does somebody else answer over TCP in the servers' place?"))
    found = await find_portal(run.network, run.options.families, (), run.options.interface)
    run.emit(Event("finished", "portal"))
    if found is not None and found.status in _PAGES:
        run.recorder.add(replace(found, udp_passes=True))


def behind_portal(met: Portal) -> CannotRun:
    """The error that nothing can be done before somebody has logged in."""
    remedy = sentence(statement("log-in-at-portal", location=met.location))
    return CannotRun("a captive portal answers in place of the servers", remedy)


def _all_see_the_inside(run: MeasurementRun) -> bool:
    """Did servers on the internet see nothing but addresses that are within some network?"""
    public, answered = run.network.is_public, False
    for seen in run.recorder.observations:
        if isinstance(seen, Binding) and seen.mapped:
            answered = True
            if public(parse_endpoint(seen.mapped).host) or not public(parse_endpoint(seen.asked).host):
                return False
    return answered
