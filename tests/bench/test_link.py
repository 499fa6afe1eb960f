"""How much the links carry over loopback, beside a plain TCP stream of the same program in the same run.

Each end is a process of its own. One core's share is what counts, since both ends have one in real life: the
figure is by the CPU time of the busier end.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import pytest
from bench.claims import claim
from bench.linkpeer import HOST, SECRET
from bench.transfer import Run
from linked import SocketPath

from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpStream
from nattools.net.system.hostnetwork import HostNetwork
from nattools.traversal.links.link import Link
from nattools.traversal.links.quicopening import quic_link
from nattools.traversal.links.tlslink import tls_link

REQUIRED_MBIT_PER_S = {"quic": 400, "tls": 100}
ROUNDS = 3
SIZES = {"quic": 256 << 20, "tls": 64 << 20, "tcp": 64 << 20}
PIECE = bytes(65536)


@contextmanager
def receiver(kind: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(__file__).parent / "linkpeer.py"), kind]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


async def opened(
    kind: str, process: subprocess.Popen[str], port: int, paths: list[SocketPath]
) -> Link | TcpStream:
    """Connected to the other process."""
    network = HostNetwork()
    assert process.stdin is not None
    if kind == "quic":
        socket = await network.open_udp(family=4, host=HOST)
        print(socket.local.port, file=process.stdin, flush=True)
        path = SocketPath(socket, Endpoint(HOST, port))
        link = await quic_link(path, SECRET, leads=True, timeout_s=10)
        assert not isinstance(link, str), link
        paths.append(path)
        return link
    stream = await network.connect_tcp(Endpoint(HOST, port), timeout_s=10)
    assert not isinstance(stream, TcpFailure), stream
    print(0, file=process.stdin, flush=True)
    if kind == "tcp":
        return stream
    secured = await tls_link(stream, SECRET, leads=True, timeout_s=10)
    assert not isinstance(secured, str), secured
    return secured


async def send(kind: str, process: subprocess.Popen[str], port: int) -> Run:
    paths: list[SocketPath] = []
    link = await opened(kind, process, port, paths)
    wall, cpu = perf_counter(), process_time()
    for _ in range(SIZES[kind] // len(PIECE)):
        link.write(PIECE)
        await link.drain()
    closing = link.close()
    if closing is not None:
        await closing
    for path in paths:
        path.close()
    assert process.stdout is not None
    size, cpu_s = (await asyncio.to_thread(process.stdout.readline)).split()
    assert int(size) == SIZES[kind]
    return Run(int(size), perf_counter() - wall, max(float(cpu_s), process_time() - cpu))


def measured(kind: str) -> Run:
    with receiver(kind) as process:
        assert process.stdout is not None
        return asyncio.run(send(kind, process, int(process.stdout.readline())))


def best(kind: str) -> Run:
    return max((measured(kind) for _ in range(ROUNDS)), key=lambda run: run.per_core)


@pytest.mark.parametrize("kind", ["quic", "tls"])
def test_throughput(benchmark: Any, kind: str) -> None:
    runs: list[Run] = []
    benchmark.pedantic(lambda: runs.append(measured(kind)), rounds=ROUNDS)
    ours, plain = max(runs, key=lambda run: run.per_core), best("tcp")
    benchmark.extra_info["Mbit/s by the clock"] = round(ours.by_the_clock)
    claim(
        benchmark,
        f"{kind.upper()} link, throughput of one core, beside plain TCP, loopback",
        ours=f"{ours.per_core:,.0f} Mbit/s",
        peer=f"{plain.per_core:,.0f} Mbit/s",
        ratio=ours.per_core / plain.per_core,
        target=f"at least {REQUIRED_MBIT_PER_S[kind]} Mbit/s",
        met=ours.per_core >= REQUIRED_MBIT_PER_S[kind],
        note=f"{ours.by_the_clock:,.0f} Mbit/s by the clock",
    )
