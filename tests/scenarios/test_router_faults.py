"""Routers with the faults that real ones have: each gets the right verdicts and leaves nothing behind,
simulated and with real sockets and the kernel's NAT."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from mapped import call, home
from mapped import options as measured_with
from scenariotrials import AGAIN

from nattools.engine.portmap import commands
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.run import measure
from nattools.lab.backend import Backend, open_lab
from nattools.lab.scenario import MapperSpec, Scenario
from nattools.model.mappingseen import MapAttempt, MapOffer
from nattools.model.report import Report
from nattools.trials.scenarios import no_progress

WORKS, FAILS = "works", "fails"


class Fault(NamedTuple):
    """A router's fault, the verdicts on UPnP, NAT-PMP and PCP, and words that some quirk or detail has.
    `unsure`: so many mappings whose removal is not confirmed, so that the next start tries again. `kernel`:
    it is worth trying with the kernel's sockets too."""

    faults: dict[str, Any]
    verdicts: tuple[str, str, str] = (WORKS, WORKS, WORKS)
    words: str = ""
    unsure: int = 0
    kernel: bool = True


FAULTS = {
    "725, permanent leases only": Fault({"permanent_only": True}, words="permanent mappings only"),
    "402 for a lease": Fault({"lease_fault": True}, words="402"),
    "402 for a permanent lease": Fault({"permanent_fault": True}),
    "724, the same ports on both sides": Fault({"same_ports": True}),
    "0.0.0.0 as the external address": Fault({"external": "0.0.0.0"}),
    "a private external address": Fault({"external": "192.168.100.2"}),
    "LOCATION on another host": Fault(
        {"location": "http://192.0.2.7:5000/rootDesc.xml"}, words="out of the local network"
    ),
    "LOCATION at a hosting provider's service": Fault(
        {"location": "http://169.254.169.254/latest/meta-data/"}, (FAILS, WORKS, WORKS)
    ),
    "a redirect out of the network": Fault(
        {"redirect": "http://192.0.2.7:81/rootDesc.xml"}, (FAILS, WORKS, WORKS), "10.0.1.1 port 81"
    ),
    "SSDP answers from another port": Fault({"answer_port": 50001}, words="from port 50001"),
    "NAT-PMP and PCP answers from another port": Fault({"pmp_port": 50002}, words="from port 50002"),
    "duplicate answers": Fault({"copies": 4}),
    "two IGDs, one of them down": Fault({"down_first": True}),
    "slow XML": Fault({"xml": "slow"}),
    "endless XML": Fault({"xml": "endless"}, (FAILS, WORKS, WORKS)),
    "XML with entities": Fault({"xml": "entities"}, (FAILS, WORKS, WORKS)),
    "no XML": Fault({"xml": "not xml"}, (FAILS, WORKS, WORKS)),
    "an epoch that goes back": Fault({"epoch": "back"}, words="restarted"),
    "a wrong nonce": Fault({"wrong_nonce": True}, (WORKS, WORKS, FAILS), "wrong nonce", unsure=2),
    "a wrong nonce, then the right one": Fault({"wrong_nonce": True, "then_right": True}),
    "another port than asked": Fault({"other_port": True}),
    "success that is not reachable": Fault({"lies": True}, (FAILS, FAILS, FAILS)),
    "PCP in version 0 only": Fault({"pcp_downgrade": True}, (WORKS, WORKS, FAILS)),
    "PCP alone": Fault({"pcp_alone": True, "protocols": ["pcp"]}, (FAILS, FAILS, WORKS)),
    "deaf to multicast": Fault({"hears_multicast": False}),
    "answers ssdp:all only": Fault({"only_target": "ssdp:all"}),
    "the DSL Forum's services": Fault({"services": ["dsl:WANIPConnection:1"], "igd_version": 1}),
    "WANPPPConnection": Fault({"services": ["WANPPPConnection:1"], "igd_version": 1}),
    "PCP NOT_AUTHORIZED": Fault({"pcp_result": 2}, (WORKS, WORKS, FAILS)),
    "NAT-PMP out of resources": Fault({"natpmp_result": 4}, (WORKS, FAILS, WORKS)),
    "UPnP 718 for everything": Fault({"upnp_error": 718}, (FAILS, WORKS, WORKS)),
    "XML that is not well-formed": Fault({"xml": "not well-formed"}),
    "XML with a DOCTYPE": Fault({"xml": "doctype"}, kernel=False),
    "XML in UTF-16": Fault({"xml": "utf-16"}, kernel=False),
    "XML compressed unasked": Fault({"xml": "gzip"}, kernel=False),
    "a negative error code for a lease": Fault({"lease_error": -911}, words="-911"),
    "AddAnyPortMapping is reset": Fault({"any_port_error": 0}),
    "AddAnyPortMapping fails": Fault({"any_port_error": 501}),
    "results named as calls": Fault({"repeats_call": True}),
    "the end of a response is not told": Fault({"framing": "left open"}),
    "a Content-Length that is too large": Fault({"framing": "too long"}),
    "a row of an unknown protocol": Fault({"rows": "foreign"}),
    "a table with gaps": Fault({"rows": "gaps"}),
    "blank rows instead of errors": Fault({"rows": "blank"}),
    "GetSpecificPortMappingEntry finds nothing": Fault({"rows": "hidden"}),
    "a lease ends at once, lease 0 stays": Fault({"leases": "end"}),
    "success, and nothing made": Fault({"full": True}, (FAILS, FAILS, FAILS)),
    "every lease becomes a day": Fault({"lease_becomes": 86400}),
    "every lease becomes permanent": Fault({"lease_becomes": 0}),
    "made, and called refused": Fault({"then_fails": 501}, words="but it is in the table"),
    "ANNOUNCE is not answered": Fault({"announce": False, "protocols": ["pcp"]}, (FAILS, FAILS, WORKS)),
    "a lifetime of 136 years": Fault({"told_lifetime_s": 0xFFFFFFFF}),
    "a lifetime of 0 s": Fault({"told_lifetime_s": 0}, words="lifetime of 0 s"),
    "answers that are none come first": Fault({"noise": True}, words="ignored"),
    "an epoch that stands still": Fault({"epoch": "stuck"}),
    "an HTTP error without XML": Fault({"upnp_status": 500}, (FAILS, WORKS, WORKS)),
    "a control URL elsewhere": Fault({"control": "http://192.0.2.7/ctl"}, (FAILS, WORKS, WORKS)),
    "a control URL on the outside address": Fault({"control": "http://11.1.0.2:5000/ctl"}, kernel=False),
    "URLBase with a path": Fault(
        {"url_base": "http://10.0.1.1:5000/igd/", "control": "ctl", "control_at": "/igd/ctl"}
    ),
    "a control URL relative to the root": Fault(
        {"control": "ctl", "control_at": "/ctl", "url_base": "/x/"}, kernel=False
    ),
    "eight connections down, the last one up": Fault(
        {
            "services": [*["WANIPConnection:1"] * 8, "WANPPPConnection:1"],
            "igd_version": 1,
            "down_services": 8,
        },
        kernel=False,
    ),
    "actions of version 1 alone": Fault({"known_type": "WANIPConnection:1"}, kernel=False),
    "another service than the best": Fault(
        {"services": ["WANIPConnection:2", "WANPPPConnection:1"], "known_type": "WANPPPConnection:1"},
        kernel=False,
    ),
    "HTTP 501 and a page to every call": Fault({"call_status": 501}, (FAILS, WORKS, WORKS)),
    "an answer that makes no sense": Fault(
        {"garbled": ["AddPortMapping", "AddAnyPortMapping"]}, words="but it is in the table"
    ),
    "answers upnp:rootdevice alone": Fault({"only_target": "upnp:rootdevice"}),
    "answers to a service alone": Fault(
        {"only_target": "urn:schemas-upnp-org:service:WANIPConnection:1", "services": ["WANIPConnection:1"]},
        kernel=False,
    ),
    "changes that take four seconds": Fault({"change_s": 4.0}, kernel=False),
    "a name in LOCATION": Fault({"location": "http://fritz.box:5000/rootDesc.xml"}, words="with a name"),
}


SIMULATED = (
    "success, and nothing made",
    "every lease becomes a day",
    "every lease becomes permanent",
    "made, and called refused",
    "a lifetime of 136 years",
    "a lifetime of 0 s",
    "an epoch that stands still",
)
"""Where the kernel and real sockets add nothing."""


def router(fault: Fault) -> Scenario:
    return home(MapperSpec(faults=fault.faults))


def diagnosed(fault: Fault, backend: Backend) -> Report:
    """What `diagnose` says, on either backend; and that nothing stays behind."""
    journal = MemoryJournal()
    with open_lab(router(fault), backend) as lab:

        async def main() -> tuple[Report, Report]:
            chosen = measured_with(lab)
            chosen = type(chosen)(command="diagnose", servers=chosen.servers, families=(4,))
            report = await measure(lab.network("alice"), chosen, no_progress, journal)
            return report, await call(lab, commands.list_mappings)

        report, left = lab.run(main)
    assert left.mappings == ()
    assert len(journal.entries()) == fault.unsure
    return report


def words_of(report: Report) -> str:
    """All that was odd, in one text."""
    seen = [each for each in report.observations if isinstance(each, MapOffer | MapAttempt)]
    return "\n".join(text for each in seen for text in (*each.quirks, each.detail))


def check(fault: Fault, report: Report) -> None:
    verdicts = {each.id: each.verdict for each in report.techniques}
    assert (verdicts["upnp-igd"], verdicts["nat-pmp"], verdicts["pcp"]) == fault.verdicts
    assert fault.words in words_of(report)
    assert report.nat.udp4 is not None
    assert report.nat.udp4.classic == "port-restricted cone", "the other probes are not disturbed"


def stays_open(fault: Fault, report: Report) -> bool:
    """Has a busy machine left something unknown that is known of such a router?"""
    verdicts = {each.id: each.verdict for each in report.techniques}
    unsure = "unknown" in (verdicts["upnp-igd"], verdicts["nat-pmp"], verdicts["pcp"])
    nat = report.nat.udp4
    return nat is None or nat.classic == "unknown" or (unsure and "unknown" not in fault.verdicts)


def test_there_are_enough() -> None:
    assert len(FAULTS) >= 14


@pytest.mark.parametrize("name", FAULTS)
def test_simulated(name: str) -> None:
    check(FAULTS[name], diagnosed(FAULTS[name], "sim"))


@pytest.mark.netns
@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.kernel])
def test_in_namespaces(name: str) -> None:
    report = diagnosed(FAULTS[name], "netns")
    for _ in range(AGAIN):
        if not stays_open(FAULTS[name], report):
            break
        report = diagnosed(FAULTS[name], "netns")
    check(FAULTS[name], report)
