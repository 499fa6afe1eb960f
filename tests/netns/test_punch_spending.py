"""What others can make a punch send to strangers, counted by the kernel where it leaves for the internet: no
more than the person was told. What anybody can say: tests/properties/test_punch_budget.py."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from evilpeer import VICTIMS
from punchpair import CODE, TOKEN, Pair, Side, pair

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.netns.processes import find
from nattools.lab.scenario import INTERNET, HostSpec, Scenario
from nattools.model.endpoint import Endpoint
from nattools.model.statement import statement
from nattools.protocols import ice
from nattools.traversal.budget import Budget
from nattools.traversal.plan.steps import SendSchedule, Step
from nattools.traversal.simultaneousopen import StreamMeeting, simultaneous_open
from nattools.traversal.tokens import TokenCandidate, decode_token, encode_token

pytestmark = pytest.mark.netns

COUNT = """
table ip counted {
  set victims { type ipv4_addr; size 4096; flags dynamic; counter; }
  chain passing {
    type filter hook prerouting priority raw;
    ip daddr 11.60.0.0/14 update @victims { ip daddr } drop
  }
}
"""
TOLD = re.compile(r"at\s+most\s+([\d,]+)\s+packets\s+a\s+day\s+go\s+to\s+at\s+most\s+(\d+)\s+addresses")
ATTACK_S = 8.0
LIMIT_S = 90.0
"""So long an attack may take, on a busy machine, until anything comes of it."""


def count(lab: NetnsLab) -> None:
    """From here on, what passes for victims; there it is lost, as where nobody is."""
    assert lab.popen(INTERNET, [find("nft", "nftables"), COUNT]).wait() == 0


def counted(lab: NetnsLab) -> dict[str, int]:
    """Packets by victim."""
    listing = lab.popen(
        INTERNET,
        [find("nft", "nftables"), "-j", "list", "set", "ip", "counted", "victims"],
        stdout=subprocess.PIPE,
    )
    told = json.loads(listing.communicate()[0])["nftables"]
    elements = next(each["set"].get("elem", []) for each in told if "set" in each)
    return {each["elem"]["val"]: each["elem"]["counter"]["packets"] for each in elements}


def worth_counting(lab: NetnsLab) -> bool:
    """Has the attack had an effect?"""
    victims = counted(lab)
    return len(victims) > 5 and sum(victims.values()) > 100


def spent(both: Pair, alice: Side, attack: Callable[[Side], None]) -> None:
    """Alice spends something, and no more than she was told."""
    count(both.lab)
    attack(alice)
    time.sleep(ATTACK_S)
    until = time.monotonic() + LIMIT_S
    while not worth_counting(both.lab) and time.monotonic() < until:
        time.sleep(0.2)
    alice.process.terminate()
    alice.end()
    told = [tuple(int(each.replace(",", "")) for each in found) for found in TOLD.findall(alice.said)]
    packets, addresses = told[-1]
    victims = counted(both.lab)
    assert worth_counting(both.lab)
    assert len(victims) <= addresses
    assert sum(victims.values()) <= packets


def test_a_peer_who_loses_each_path_and_names_new_victims(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        alice = both.start("alice", "--keep")

        def attack(alice: Side) -> None:
            script = str(Path(__file__).parents[1] / "evilpeer.py")
            both.lab.popen(
                "bob",
                [sys.executable, script, "punch", alice.await_match(CODE)[1], "--keep"],
                env={**both.environment, "XDG_STATE_HOME": str(tmp_path / "bob")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            alice.await_match("has lost the path")

        spent(both, alice, attack)


def test_a_token_that_names_victims(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        alice, bob = (both.start(name, "--manual") for name in ("alice", "bob"))
        token = decode_token(bob.await_match(TOKEN)[0])
        alice.await_match(TOKEN)
        places = [Endpoint(next(VICTIMS), 53) for _ in range(30)]
        told = [TokenCandidate("server-reflexive", place) for place in places]
        told.append(TokenCandidate("server-reflexive", places[0], "tcp", "simultaneous-open"))
        evil = encode_token(replace(token, candidates=tuple(told)))
        spent(both, alice, lambda alice: alice.write(f"{evil}\n".encode()))


def test_repeated_syns_are_in_the_budget() -> None:
    """Of attempts that nobody answers: the kernel repeats them by itself."""
    scenario = Scenario(title="one", host={"alice": HostSpec()})
    schedule = SendSchedule(ports="next", count=40, passes=1)
    step = Step(
        strategy="simultaneous-open",
        transport="tcp",
        reason=statement("step-tcp-both-open"),
        odds=1.0,
        schedules=(schedule, schedule),
        seconds=6.0,
    )
    with NetnsLab(scenario) as lab:
        count(lab)

        async def main() -> int:
            budget = Budget(asyncio.get_running_loop().time)
            budget.announce(1000, 0)
            own, peer = (ice.Agent("controlling").credentials for _ in range(2))
            network = lab.network("alice")
            local = Endpoint(network.route("11.60.0.9")[1], 4000)
            meeting = StreamMeeting(
                leads=True, own=own, peer=peer, local=local, remote=Endpoint("11.60.0.9", 5000), budget=budget
            )
            assert not (await simultaneous_open(network, meeting, step)).connected
            return budget._total

        taken = lab.run(main)
        assert 40 < sum(counted(lab).values()) <= taken
