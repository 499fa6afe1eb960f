"""`nattools pwnat` as processes, behind a router that draws ports and gives them away in quoted checksums."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from punchpair import Pair, Side, pair

from nattools.lab.scenario import FirewallSpec, HostSpec, NatSpec, Scenario, ServerSpec

pytestmark = pytest.mark.netns

SECRET = "the same on both sides"
OUTSIDE = "11.1.0.2"
TOLD = r"--outside\s+(\S+)"


def network(allocation: str) -> Scenario:
    """A home, a machine on the internet, and one behind a firewall."""
    nat = NatSpec(
        mapping="address-and-port-dependent",
        allocation=allocation,  # type: ignore[arg-type]
        quotes="translated",
    )
    return Scenario(
        title="t",
        nat={"home": nat},
        firewall={"wall": FirewallSpec(errors_out="untranslated")},
        host={"alice": HostSpec(behind="home"), "carol": HostSpec(), "dave": HostSpec(behind="wall")},
        server={"stun": ServerSpec()},
    )


def listen(both: Pair) -> tuple[Side, str]:
    side = both.start("alice", "listen", "--secret", SECRET, "--json", command="pwnat")
    return side, side.await_match(TOLD)[1]


@pytest.mark.parametrize(
    ("allocation", "caller", "ends"),
    [("random", "carol", "-random"), ("random", "dave", "-random"), ("sequential", "dave", "-step1")],
)
def test_what_a_person_does(allocation: str, caller: str, ends: str, tmp_path: Path) -> None:
    """Type on the other machine what it says, with the address put in: nobody else is asked."""
    with pair(tmp_path, network(allocation)) as both:
        both.environment.pop("NATTOOLS_SERVER")
        one, word = listen(both)
        assert word.endswith(ends)
        typed = ("connect", OUTSIDE, "--outside", word, "--secret", SECRET, "--json")
        other = both.start(caller, *typed, command="pwnat")
        listener, called = one.report()["pwnat"], other.report()["pwnat"]
        assert listener["connected"]
        assert called["connected"]
        assert listener["port_read"] == ("at random" if allocation == "random" else "predictably")


@pytest.mark.skipif(os.geteuid() != 0, reason="without root nobody can drop privileges")
def test_without_the_privilege_the_port_stays_unknown(tmp_path: Path) -> None:
    with pair(tmp_path, network("random")) as both:
        both.environment.pop("NATTOOLS_SERVER")
        drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-net_raw"]
        program = [sys.executable, "-m", "nattools", "pwnat", "listen", "--secret", SECRET, "--wait", "3"]
        done = both.lab.popen("alice", [*drop, *program], env=both.environment, stderr=subprocess.PIPE)
        said = " ".join(done.communicate(timeout=120)[1].decode().split())
        assert done.returncode == 1
        assert "--outside" not in said
