"""Which tiers of tests can run here; with NATTOOLS_REQUIRE_ALL set, what is missing fails instead."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from guard import Guard
from hypothesis import HealthCheck, settings
from leftopen import TIMES, LeftOpenError

from nattools.lab.scenariofiles import available, load

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # as in the background of a script: the programs that tests interrupt would ignore that too
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # as under nohup; what is caught here is not ignored by the programs that are started
    signal.signal(signal.SIGHUP, lambda number, frame: None)

# no test of properties fails because the machine is busy, nor by chance: `make fuzz` draws new examples
settings.register_profile("nattools", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("the same", settings.get_profile("nattools"), derandomize=True, database=None)
settings.load_profile("nattools" if "NATTOOLS_NEW_EXAMPLES" in os.environ else "the same")

TOOLS = {
    "nft": "nftables",
    "ip": "iproute2",
    "turnserver": "coturn",
    "turnutils_natdiscovery": "coturn",
    "stun": "stun-client",
    "miniupnpd": "miniupnpd-nftables",
    "tayga": "tayga",
    "upnpc": "miniupnpc",
    "natpmpc": "natpmpc",
    "derper": "Go, and run scripts/peers.sh",
    "pionclient": "Go, and run scripts/peers.sh",
    "p2p": "Go, and run scripts/peers.sh",
    "jspeer": "Node and npm, and run scripts/peers.sh",
    "node": "nodejs",
    "tailcontrol": "Go, and run scripts/peers.sh",
}
PEERS = Path(__file__).parent.parent / ".peers"
ROOT_OF_A_CONTAINER = "root may make no namespaces here (no CAP_SYS_ADMIN): docker run --privileged"
TUN = "/dev/net/tun"
ROOTS_TUN = f"{TUN} is for root alone here"


@cache
def why_no_namespaces() -> str | None:
    """None if network namespaces can be made here."""
    root = os.geteuid() == 0
    try:
        made = subprocess.run(
            ["unshare", "-nm" if root else "-Urnm", "true"], capture_output=True, check=False
        )
    except OSError:
        return "no unshare: Linux has it, in util-linux"
    if made.returncode != 0:
        return ROOT_OF_A_CONTAINER if root else "neither root nor unprivileged user namespaces"
    return None if tool("nft") else "no nft: install nftables"


def tool(name: str) -> str | None:
    """The path of a program, also where only root's PATH has it, or `scripts/peers.sh` has built it."""
    return shutil.which(name) or shutil.which(name, path=f"/usr/sbin:/sbin:{PEERS}")


@cache
def why_no_tunnels() -> str | None:
    """None if TUN devices can be made here: VPNs and NAT64 in namespaces are made of them."""
    if os.access(TUN, os.R_OK | os.W_OK):
        return None
    if os.path.exists(TUN) and os.geteuid() != 0:
        return ROOTS_TUN
    return (
        "no /dev/net/tun that may be opened: modprobe tun, or start the container with --device /dev/net/tun"
    )


def needs_tunnels(item: pytest.Item) -> bool:
    """Those that are marked, and the scenarios that draw one."""
    if item.get_closest_marker("tun") is not None:
        return True
    called = getattr(item, "callspec", None)
    name = None if called is None else called.params.get("name")
    return isinstance(name, str) and name in available() and draws_tunnels(name)


@cache
def draws_tunnels(name: str) -> bool:
    """Has a host of this scenario a VPN, or a router a NAT64?"""
    drawn = load(name)
    return any(host.vpn for host in drawn.host.values()) or any(nat.nat64 for nat in drawn.nat.values())


def why_not(item: pytest.Item) -> str | None:
    """Why this test cannot run here, or None."""
    if item.get_closest_marker("netns") is not None and (reason := why_no_namespaces()) is not None:
        return reason
    if item.get_closest_marker("netns") is not None and needs_tunnels(item) and (reason := why_no_tunnels()):
        return reason
    marker = item.get_closest_marker("interop")
    for name in marker.args if marker is not None else ():
        if tool(name) is None:
            return f"no {name}: install {TOOLS.get(name, name)}"
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With NATTOOLS_SHARE=2/3 each third of the tests that were chosen, from the second on; the others run
    elsewhere meanwhile."""
    number, of = map(int, os.environ.get("NATTOOLS_SHARE", "1/1").split("/"))
    others = [each for place, each in enumerate(items) if place % of != number - 1]
    items[:] = items[number - 1 :: of]
    config.hook.pytest_deselected(items=others)


def pytest_runtest_setup(item: pytest.Item) -> None:
    reason = why_not(item)
    if reason is None:
        return
    if os.environ.get("NATTOOLS_REQUIRE_ALL") and reason != ROOTS_TUN:
        pytest.fail(f"cannot run here, and no tier may be skipped: {reason}")
    pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """With the mark `again` a test may find that something was left open, and is run again."""
    if pyfuncitem.get_closest_marker("again") is None:
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    for _ in range(TIMES - 1):
        try:
            pyfuncitem.obj(**given)
        except LeftOpenError:
            continue
        return True
    pyfuncitem.obj(**given)
    return True


@pytest.fixture(autouse=True)
def guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard | None]:
    """Nothing may leave this machine. Benches go without: it would cost them time that they measure."""
    if "benchmark" in request.fixturenames:
        yield None
        return
    watching = Guard()
    watching.install(monkeypatch)
    yield watching
    assert watching.refused == []
