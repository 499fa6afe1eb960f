"""What the kernel and other programs make of a NAT64, with tayga's translation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenariofiles import load
from nattools.model.endpoint import Endpoint
from nattools.net.base import LowTtlSyn, TcpFailure

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.netns,
    pytest.mark.interop("tayga"),
    pytest.mark.tun,
]


def test_an_opener_over_ipv6_survives_the_error_that_it_brings_about() -> None:
    """Else the attempt ends with EHOSTUNREACH at the first Time Exceeded."""
    with NetnsLab(load("nat64")) as lab:
        network = lab.network("alice")
        opener = LowTtlSyn(ttl=2, seconds=0.1)
        server = Endpoint("64:ff9b::bc9:2", 3478)

        async def work() -> TcpFailure | None:
            found = await network.connect_tcp(server, timeout_s=30, opener=opener)
            if isinstance(found, TcpFailure):
                return found
            found.abort()
            await found.read()
            return None

        assert lab.run(work) is None


def test_a_program_reaches_ipv4_by_the_names_of_the_lab() -> None:
    """Any program, by /etc/hosts with the addresses that a DNS64 would make."""
    with NetnsLab(load("nat64-own-prefix")) as lab:
        names = lab.popen("alice", ["getent", "ahostsv6", "stun"], stdout=subprocess.PIPE, text=True)
        assert "2a10:64:0:1" in names.communicate(timeout=120)[0]


def test_a_container_without_tun_devices_is_told_what_it_lacks() -> None:
    nattools = f"exec {sys.executable} -m nattools lab run nat64 --backend netns"
    done = subprocess.run(
        ["unshare", "-rnm", "sh", "-ec", f"mount -t tmpfs none /dev/net; {nattools}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "nattools: tayga did not start: Unable to open /dev/net/tun" in done.stderr
    assert "--device /dev/net/tun" in done.stderr
