"""The programs of a lab's servers, and of those hosts that have something running for others (Linux)."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from nattools.errors import CannotRun
from nattools.lab.netns import processes
from nattools.lab.netns.children import Children
from nattools.lab.scenario import Scenario, neighbours
from nattools.net.base import Network


class ServerLab(Protocol):
    """What of a lab they need."""

    scenario: Scenario

    def network(self, node: str) -> Network:
        """The network as a node sees it."""

    def addresses(self, node: str) -> tuple[str, ...]:
        """A node's own, those of IPv4 first."""

    def popen(self, node: str, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on a node."""


class ServerPrograms:
    """All of them, by node. They end with the lab, whose children they are."""

    def __init__(self, lab: ServerLab, children: Children) -> None:
        self._lab = lab
        self._children = children
        self._forked: dict[str, int] = {}
        self._others: dict[str, subprocess.Popen[Any]] = {}

    def start_all(self) -> dict[int, str]:
        """Start them; the descriptors on which each says that it is ready."""
        waiting = {}
        for name in (*self._lab.scenario.server, *neighbours(self._lab.scenario)):
            ready = self._start(name)
            if ready is not None:
                waiting[ready] = name
        return waiting

    def stop(self, node: str) -> None:
        """End one's at once, as a power cut does; nothing happens if it does not run."""
        pid, process = self._forked.pop(node, None), self._others.pop(node, None)
        if pid is not None:
            self._children.end(pid)
        if process is not None:
            process.kill()
            processes.reap(process)

    async def start(self, node: str) -> None:
        """Start one's, and return when it serves; nothing happens if it runs. CannotRun: it does not."""
        if node in self._forked or node in self._others:
            return
        ready = self._start(node)
        if ready is not None:
            await _said_so(ready, node)

    def _start(self, node: str) -> int | None:
        """The descriptor on which it says that it is ready; None: it is."""
        spec = self._lab.scenario.server.get(node)
        if spec is not None and spec.program == "coturn":
            self._start_coturn(node)
            return None
        ready, said = os.pipe()
        network = self._lab.network(node)
        if spec is None:
            main = processes.neighbour_main(network, node, self._lab.scenario.host[node], said)
            self._forked[node] = self._children.fork(f"the neighbour {node}", main)
        else:
            main = processes.server_main(network, spec, self._lab.addresses(node), said)
            self._forked[node] = self._children.fork(f"the server {node}", main)
        os.close(said)
        return ready

    def _start_coturn(self, node: str) -> None:
        spec = self._lab.scenario.server[node]
        command = processes.coturn_command(spec, self._lab.addresses(node))
        quiet = subprocess.DEVNULL
        process = self._lab.popen(node, command, stdin=quiet, stdout=quiet, stderr=quiet)
        self._others[node] = process
        processes.await_listener(process, spec.port, processes.START_LIMIT_S)


async def _said_so(ready: int, name: str) -> None:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(ready, settle)
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(readable, processes.START_LIMIT_S)
        if not readable.done() or not os.read(ready, 1):
            raise CannotRun(f"the lab's server {name!r} did not start")
    finally:
        loop.remove_reader(ready)
        os.close(ready)
