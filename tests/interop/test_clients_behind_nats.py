"""Other people's STUN clients at `nattools serve`, each behind every kind of NAT that the kernel can be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from stunclients import CLIENTS, KINDS, SERVER, TIMES, Client

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenariofiles import load

pytestmark = [pytest.mark.netns, pytest.mark.interop("stun", "turnutils_natdiscovery")]
_LIMIT_S = 180.0


class Running:
    """All clients behind all NATs at once, since most of their time is waiting."""

    def __init__(self, labs: dict[str, NetnsLab]) -> None:
        self._labs = labs
        self._processes = {
            (client.name, kind): self._start(client, kind) for client in CLIENTS for kind in labs
        }

    def _start(self, client: Client, kind: str) -> subprocess.Popen[str]:
        lab = self._labs[kind]
        command = client.command(SERVER, lab.layout.ports_of("alice")[0].addresses[0].ip)
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return lab.popen("alice", command, **pipes)

    def said(self, client: Client, kind: str) -> str:
        """The first time, or the first time that it was right."""
        output, _ = self._processes[client.name, kind].communicate(timeout=_LIMIT_S)
        for _ in range(TIMES - 1):
            if client.is_right(kind, output):
                break
            output, _ = self._start(client, kind).communicate(timeout=_LIMIT_S)
        return str(output)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with ExitStack() as labs:
        yield Running({kind: labs.enter_context(NetnsLab(load(kind))) for kind in KINDS})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_it_says_what_is_so(running: Running, client: Client, kind: str) -> None:
    output = running.said(client, kind)
    assert client.is_right(kind, output), output
