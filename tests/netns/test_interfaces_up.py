"""What is sent through a lab's cables arrives from the first packet on: the kernel has every interface in
service, and knows every address, when the lab is up."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing

import pytest

from nattools.errors import CannotRun
from nattools.lab.netns import interfacesup
from nattools.lab.netns.netlinkbatch import NetlinkBatch
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.netns.wiring import NOWHERE
from nattools.lab.scenario import INTERNET, HostSpec, NatSpec, Scenario
from nattools.net.system.namespace import entered

pytestmark = pytest.mark.netns
IN_SERVICE = ("UP", "UNKNOWN")  # RFC 2863 3.1.14; the latter is a loopback's and a tunnel's
TIMES = 3
"""One that did not wait was late in two labs of eight, on a quiet machine too."""


def drawn(spec: NatSpec) -> Scenario:
    """Two in one home, one of them with a slow uplink; all with IPv6."""
    hosts = {"alice": HostSpec(behind="home"), "bob": HostSpec(behind="home", delay_ms=5)}
    return Scenario(title="two in one home", nat={"home": spec}, host=hosts)


def idle(lab: NetnsLab) -> list[tuple[str, str, str]]:
    """The interfaces that are not in service, of all nodes."""
    found = []
    for node in lab.layout.nodes:
        with entered(lab.network_path(node)):
            told = subprocess.run(["ip", "-j", "link"], stdout=subprocess.PIPE, check=True).stdout
        found += [(node, each["ifname"], each["operstate"]) for each in json.loads(told)]
    return [each for each in found if each[2] not in IN_SERVICE and each[:2] != (INTERNET, NOWHERE)]


@pytest.mark.parametrize("spec", [NatSpec(ipv6="firewall"), NatSpec(ipv6="firewall", engine="tun")])
def test_every_interface_is_in_service_when_a_lab_is_up(spec: NatSpec) -> None:
    for _ in range(TIMES):
        with NetnsLab(drawn(spec), start_servers=False) as lab:
            assert idle(lab) == []


def test_a_cable_that_was_put_in_again_is_in_service_too() -> None:
    with NetnsLab(drawn(NatSpec(ipv6="firewall")), start_servers=False) as lab:
        changes = lab.changes()
        for _ in range(TIMES):
            for node in ("home", "alice"):
                changes.unplug(node)
                changes.plug(node)
                assert idle(lab) == []


def test_what_is_not_brought_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfacesup, "LIMIT_S", 0.01)
    with NetnsLab(drawn(NatSpec()), start_servers=False) as lab, closing(NetlinkBatch()) as batch:
        lab.changes().unplug("alice")
        namespace = lab._namespaces["alice"]
        with pytest.raises(CannotRun, match="has not brought up eth0 of alice"):
            interfacesup.await_service(batch, "alice", namespace, ["lo", "eth0"], ())
        with pytest.raises(CannotRun, match="has not brought up 2a10:9::9 of alice"):
            interfacesup.await_service(batch, "alice", namespace, ["lo"], ["2a10:9::9"])
