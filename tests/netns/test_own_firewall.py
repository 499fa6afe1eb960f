"""A machine whose own firewall drops what comes by a port mapping that is true, as processes behind a real
router daemon: with the privilege to look at the interface, and without it."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from leftopen import LeftOpenError

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenariofiles import load
from nattools.model.mappingseen import MapCheck
from nattools.model.report import Report

pytestmark = [pytest.mark.netns, pytest.mark.again, pytest.mark.interop("miniupnpd")]

LIMIT_S = 300.0
PROBE = [sys.executable, "-m", "nattools", "map", "probe", "--json", "--server", "stun:stun:3478"]
WITHOUT_RAW = ["setpriv", "--bounding-set=-net_raw,-net_admin", "--inh-caps=-net_raw,-net_admin"]


def told(under: list[str]) -> Report:
    with NetnsLab(load("mapping-host-firewall")) as lab:
        process = lab.popen(
            "alice", [*under, *PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        said, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    return msgspec.json.decode(said, type=Report)


def test_what_came_to_the_interface_was_stopped_by_this_machine() -> None:
    report = told([])
    if {each.dropped_at for each in report.mappings} & {None, "unknown"}:
        raise LeftOpenError("who stopped it")
    assert {each.dropped_at for each in report.mappings} == {"host"}
    checks = [each for each in report.observations if isinstance(each, MapCheck)]
    assert {(each.reached_card, each.opened_here) for each in checks} == {(True, None)}


def test_without_the_privilege_a_packet_that_passes_no_router_tells_it_of_udp() -> None:
    report = told(WITHOUT_RAW)
    if any(each.transport == "udp" and each.dropped_at in (None, "unknown") for each in report.mappings):
        raise LeftOpenError("who stopped it")
    told_of = {(each.transport, each.dropped_at) for each in report.mappings}
    assert told_of == {("udp", "host"), ("tcp", "unknown")}
    checks = [each for each in report.observations if isinstance(each, MapCheck)]
    assert {(each.transport, each.reached_card, each.opened_here) for each in checks} == {
        ("udp", None, True),
        ("tcp", None, None),
    }
