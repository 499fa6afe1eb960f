"""nattools and aioice connect, in both roles, over kernel NATs; each in its own namespace and process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import simulated
from punching import offer

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.protocols import ice
from nattools.traversal.icedriver import IceDriver

pytestmark = pytest.mark.netns
_PEER = Path(__file__).parents[1] / "aioicepeer.py"
_LIMIT_S = 60.0

OPEN = Scenario(title="two hosts", host={"alice": HostSpec(), "bob": HostSpec()})
HOMES = Scenario(
    title="two homes",
    nat={"left": NatSpec(), "right": NatSpec()},
    host={"alice": HostSpec(behind="left"), "bob": HostSpec(behind="right")},
)
SYMMETRIC = Scenario(
    title="a symmetric NAT and an open host",
    nat={"left": NatSpec(mapping="address-and-port-dependent")},
    host={"alice": HostSpec(behind="left"), "bob": HostSpec()},
)


class Aioice:
    """The other side, on a node of the lab."""

    def __init__(self, lab: NetnsLab, node: str, role: str) -> None:
        command = [sys.executable, str(_PEER), role, simulated.STUN.host]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = lab.popen(node, command, **pipes)

    async def hear(self) -> dict[str, Any]:
        """Its next line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_LIMIT_S):
            line = await asyncio.get_running_loop().run_in_executor(None, self._process.stdout.readline)
        assert line, "aioice's process ended"
        heard: dict[str, Any] = json.loads(line)
        return heard

    def tell(self, agent: ice.Agent) -> None:
        """Our credentials and candidates."""
        assert self._process.stdin is not None
        candidates = [ice.encode(candidate) for candidate in agent.local_candidates]
        what = {"ufrag": agent.credentials.ufrag, "password": agent.credentials.password}
        print(json.dumps({**what, "candidates": candidates}), file=self._process.stdin, flush=True)

    def close(self) -> None:
        """Its pipes; the process ends by itself, and with the lab at the latest."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


async def gathered(lab: NetnsLab, role: ice.Role) -> IceDriver:
    """Our side with its host and server-reflexive candidates."""
    driver = IceDriver(ice.Agent(role, renomination=False))
    await offer(driver, lab.network("alice"))
    assert len(driver.agent.local_candidates) == (2 if lab.scenario.nat else 1)
    return driver


async def meet(lab: NetnsLab, ours: ice.Role, theirs: ice.Role) -> tuple[IceDriver, list[bytes], Any]:
    """Connect and exchange ten datagrams: our driver, what came back, what aioice has to say."""
    peer = Aioice(lab, "bob", theirs)
    driver = await gathered(lab, ours)
    said = await peer.hear()
    echoes: asyncio.Queue[bytes] = asyncio.Queue()
    driver.on_data = lambda data, protocol, local, source: echoes.put_nowait(data)
    peer.tell(driver.agent)
    driver.set_peer(said["ufrag"], said["password"])
    assert [driver.add_peer_candidate(text) for text in said["candidates"]] == [None] * len(
        said["candidates"]
    )
    assert await driver.connected(_LIMIT_S) is not None
    outcome = await peer.hear()
    assert outcome["connected"], outcome
    came = []
    for number in range(10):
        assert driver.send(b"\xc0" + bytes([number])) is None
        async with asyncio.timeout(_LIMIT_S):
            came.append(await echoes.get())
    driver.send(b"\xc0end")
    said = {**outcome, **await peer.hear()}
    peer.close()
    return driver, came, said


@pytest.mark.parametrize("scenario", [OPEN, HOMES, SYMMETRIC], ids=lambda scenario: scenario.title)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("controlling", "controlled"), ("controlled", "controlling"), ("controlling", "controlling")],
)
def test_they_connect(scenario: Scenario, ours: ice.Role, theirs: ice.Role) -> None:
    async def main() -> None:
        driver, came, said = await meet(lab, ours, theirs)
        assert came == [b"\xc0" + bytes([number]) for number in range(10)]
        assert said["echoed"] == 10
        assert said["controlling"] == (driver.agent.role == "controlled")
        assert driver.agent.rejected == {}
        driver.close()

    with NetnsLab(scenario) as lab:
        lab.run(main)
