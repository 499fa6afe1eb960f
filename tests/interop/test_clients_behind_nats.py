"""Other people's STUN clients at `nattools serve`, each behind every kind of NAT that the kernel can be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from stunclients import CLIENTS, KINDS, SERVER, Client

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenariofiles import load

pytestmark = [pytest.mark.netns, pytest.mark.interop("stun", "turnutils_natdiscovery")]
_LIMIT_S = 180.0

Running = dict[tuple[str, str], "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """All clients behind all NATs at once, since most of their time is waiting: by client and kind."""
    with ExitStack() as labs:
        found: Running = {}
        for kind in KINDS:
            lab = labs.enter_context(NetnsLab(load(kind)))
            own = lab.layout.ports_of("alice")[0].addresses[0].ip
            for client in CLIENTS:
                command = client.command(SERVER, own)
                pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
                found[client.name, kind] = lab.popen("alice", command, **pipes)
        yield found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_it_says_what_is_so(running: Running, client: Client, kind: str) -> None:
    output, _ = running[client.name, kind].communicate(timeout=_LIMIT_S)
    assert client.is_right(kind, output), output
