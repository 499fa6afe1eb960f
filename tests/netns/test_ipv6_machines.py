"""`nattools ipv6` as a process on machines that lack something: IPv6, raw sockets, a settled address."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenariofiles import load
from nattools.model.report import Report

pytestmark = pytest.mark.netns

LIMIT_S = 180.0
OURS = f"exec {sys.executable} -m nattools ipv6 --json --no-mtu --server stun:stun:3478"
WITHOUT_RAW = "setpriv --bounding-set=-net_raw,-net_admin --inh-caps=-net_raw,-net_admin"


def told(scenario: str, before: str = "", under: str = "") -> tuple[int, Report]:
    """The exit code and the report of the command on Alice's machine, after some shell commands."""
    command = f"set -e; {before}; exec {under} sh -c '{OURS}'" if before else f"exec {under} sh -c '{OURS}'"
    with NetnsLab(load(scenario)) as lab:
        process = lab.popen(
            "alice", ["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        said, _ = process.communicate(timeout=LIMIT_S)
    return process.returncode, msgspec.json.decode(said, type=Report)


@pytest.mark.parametrize(
    ("scenario", "before", "problem"),
    [
        ("ipv6-none", "", "no-address"),
        ("ipv6-filtered", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6", "switched-off"),
        (
            "ipv6-none",
            "cd /proc/sys/net/ipv6/conf; echo 1 > eth0/accept_dad; echo 1 > all/accept_dad; "
            "echo 100 > eth0/dad_transmits; cd /; ip addr add 2a10:9::5/64 dev eth0",
            "tentative",
        ),
        (
            "ipv6-filtered",
            "cd /proc/sys/net/ipv6/conf; echo 1 > eth0/accept_dad; echo 1 > all/accept_dad; "
            "echo 1 > eth0/dad_transmits; cd /; ip -6 addr flush dev eth0 scope global; "
            "ip addr add 2a10:1:0:1::1/64 dev eth0; "
            "while ! ip -6 addr show dev eth0 | grep -q dadfailed; do :; done",
            "duplicate-address",
        ),
    ],
)
def test_a_machine_without_ipv6_is_told_why(scenario: str, before: str, problem: str) -> None:
    code, report = told(scenario, before)
    assert code == 0
    assert report.ipv6 is not None
    assert report.ipv6.capable is False
    assert [each.code for each in report.ipv6.problems] == [problem]


@pytest.mark.parametrize(
    ("before", "capable", "problem"),
    [
        ("ip -6 route add unreachable default metric 1", False, "route-blocked"),
        ("ip -6 route add blackhole 2000::/3", False, "route-blocked"),
        (
            "ip -6 route flush default; ip -6 route add default via fe80::99 dev eth0",
            True,
            "router-silent",
        ),
        # one that is taken only where there is no other is no obstacle
        ("ip -6 route add unreachable default metric 4000", True, "filtered"),
    ],
)
def test_what_a_machine_does_to_itself_is_told_from_what_the_network_does(
    before: str, capable: bool, problem: str
) -> None:
    code, report = told("ipv6-filtered", before)
    assert code == 0
    assert report.ipv6 is not None
    assert report.ipv6.capable is capable
    assert [each.code for each in report.ipv6.problems] == [problem]


@pytest.mark.parametrize(("scenario", "where"), [("ipv6-host-drop", "host"), ("ipv6-filtered", "router")])
def test_without_raw_sockets_it_is_told_all_the_same_who_stops_it(scenario: str, where: str) -> None:
    code, report = told(scenario, under=WITHOUT_RAW)
    assert code == 0
    assert report.ipv6 is not None
    assert (report.ipv6.dropped_at, report.ipv6.inbound.udp) == (where, "filtered")
