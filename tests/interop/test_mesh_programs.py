"""avahi and Yggdrasil from Debian on a lab's networks: found by what they send, and what avahi reflects from
another network is told apart."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import tool

from nattools.engine.lanscan import measure_lan
from nattools.engine.measureoptions import MeasureOptions
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.model.lan import Lan

pytestmark = pytest.mark.netns
SCENARIO = Scenario(
    title="two networks and a machine on both",
    nat={"left": NatSpec(ipv6="firewall"), "right": NatSpec()},
    host={
        "alice": HostSpec(behind="left"),
        "bob": HostSpec(behind="left"),
        "both": HostSpec(behind=("left", "right"), default_route=False),
        "printer": HostSpec(behind="right", services=("_ipp._tcp",)),
    },
    server={},
)
AVAHI = """[server]
host-name=%s
use-ipv4=yes
use-ipv6=no
enable-dbus=no
[publish]
publish-workstation=yes
[reflector]
enable-reflector=%s
[rlimits]
"""
UP_S = 120.0


@pytest.fixture(scope="module")
def lab() -> Iterator[NetnsLab]:
    with NetnsLab(SCENARIO) as running:
        yield running


async def lan(lab: NetnsLab, host: str, listen_s: float = 2.5) -> Lan:
    options = MeasureOptions(command="lan", servers=(), listen_s=listen_s)
    report = await measure_lan(lab.network(host), options, lambda event: None)
    assert report.lan is not None
    return report.lan


async def until(lab: NetnsLab, host: str, shows: Callable[[Lan], bool]) -> Lan:
    """Looked at again while the program starts, or where a busy machine has missed something: the first look
    that shows it, or the last one."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + UP_S
    while True:
        found = await lan(lab, host)
        if shows(found) or loop.time() > ends:
            return found


def of_avahi(found: Lan) -> tuple[bool | None, ...]:
    """All that there is to see of avahi on bob."""
    return (
        any("_workstation._tcp" in each.services for each in found.neighbours),
        "10.0.1.3" in found.mdns.responders,
        found.mdns.works,
        found.unicast,
        found.multicast4,
        found.qaul.ready,
        found.casting.ready,
    )


def services_elsewhere(found: Lan) -> list[tuple[str, tuple[str, ...]]]:
    """By address, those that are offered on another network."""
    return [(each.address, each.services) for each in found.neighbours if each.elsewhere]


@contextmanager
def running(lab: NetnsLab, host: str, command: list[str]) -> Iterator[None]:
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = lab.popen(host, command, **quiet)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def avahi(lab: NetnsLab, host: str, folder: Path, *, reflects: bool) -> Iterator[None]:
    """In a file system of its own for its socket and the number of its process."""
    config = folder / f"{host}.conf"
    config.write_text(AVAHI % (host, "yes" if reflects else "no"))
    daemon = f"{tool('avahi-daemon')} --no-drop-root --no-chroot --no-rlimits -f {config}"
    script = f"mount -t tmpfs none /run && mkdir -p /run/avahi-daemon && exec {daemon}"
    with running(lab, host, ["unshare", "-m", "sh", "-c", script]):
        yield


with_avahi = pytest.mark.skipif(tool("avahi-daemon") is None, reason="no avahi-daemon")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="avahi becomes a user whom a user namespace lacks")
with_yggdrasil = pytest.mark.skipif(tool("yggdrasil") is None, reason="no yggdrasil")


@as_root
@with_avahi
def test_avahi_is_found(lab: NetnsLab, tmp_path: Path) -> None:
    with avahi(lab, "bob", tmp_path, reflects=False):
        found = lab.run(lambda: until(lab, "alice", lambda found: all(of_avahi(found))))
    assert of_avahi(found) == (True,) * 7


@as_root
@with_avahi
def test_what_avahi_reflects_is_on_another_network(lab: NetnsLab, tmp_path: Path) -> None:
    alone = lab.run(lambda: lan(lab, "alice"))
    assert not any(each.elsewhere for each in alone.neighbours)
    with avahi(lab, "both", tmp_path, reflects=True):
        printer = [("10.0.2.3", ("_ipp._tcp",))]
        found = lab.run(lambda: until(lab, "alice", lambda found: services_elsewhere(found) == printer))
    assert services_elsewhere(found) == printer


@with_yggdrasil
def test_yggdrasils_beacons_are_heard(lab: NetnsLab, tmp_path: Path) -> None:
    config = tmp_path / "yggdrasil.conf"
    made = subprocess.run(
        [str(tool("yggdrasil")), "-genconf", "-json"], capture_output=True, text=True, check=True
    )
    settings = json.loads(made.stdout) | {"IfName": "none", "AdminListen": "none"}
    config.write_text(json.dumps(settings))
    with running(lab, "bob", [str(tool("yggdrasil")), "-useconffile", str(config)]):
        found = lab.run(lambda: until(lab, "alice", lambda found: found.yggdrasil.ready is True))
    assert found.yggdrasil.ready is True
    assert found.yggdrasil.reason[0].code == "lan-yggdrasil-heard"
