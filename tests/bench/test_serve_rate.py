"""How many Binding requests a second one core answers: `nattools serve` beside coturn, the same load."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from bench.claims import claim
from bench.load import Load, put
from bench.relayprocess import HERE, LOOPBACK, TURNSERVER, free_port, running

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

_REQUESTS = 50_000
_ROUNDS = 3
_REQUIRED_PER_SECOND = 100_000


def _rate(port: int, pid: int) -> Load:
    put((LOOPBACK, port), pid, 2_000)  # past the first answers, which are longer
    return put((LOOPBACK, port), pid, _REQUESTS)


def _best(loads: list[Load]) -> Load:
    assert all(load.answered >= 0.99 * load.sent for load in loads), loads
    return max(loads, key=lambda load: load.per_cpu_second)


def _coturn(folder: Path) -> Load:
    port = free_port()
    options = f"-n --no-auth --no-tls --no-dtls --no-cli -m 1 -L {LOOPBACK} -p {port}".split()
    files = ["--log-file", str(folder / "log"), "--pidfile", str(folder / "pid"), "-b", str(folder / "db")]
    with running(HERE, port, str(TURNSERVER), *options, *files) as server:
        return _best([_rate(port, server.pid) for _ in range(_ROUNDS)])


def test_binding_requests_a_second(benchmark: Any, tmp_path: Path) -> None:
    port = free_port()
    command = (
        sys.executable,
        "-m",
        "nattools",
        "serve",
        "--listen",
        LOOPBACK,
        "--port",
        str(port),
        "--no-tcp",
    )
    loads: list[Load] = []
    with running(HERE, port, *command, "--alternate-port", "0") as server:
        benchmark.pedantic(lambda: loads.append(_rate(port, server.pid)), rounds=_ROUNDS)
    ours = _best(loads)
    coturn = _coturn(tmp_path) if TURNSERVER is not None else None
    rate = ours.per_cpu_second
    claim(
        benchmark,
        "nattools serve, Binding requests, beside coturn",
        ours=f"{rate:,.0f}/CPU s",
        peer="" if coturn is None else f"{coturn.per_cpu_second:,.0f}/CPU s",
        ratio=None if coturn is None else rate / coturn.per_cpu_second,
        target=f"at least {_REQUIRED_PER_SECOND:,}/CPU s",
        met=rate >= _REQUIRED_PER_SECOND,
    )
    benchmark.extra_info["answers per second, one asking process"] = round(ours.per_second)
    if coturn is not None:
        benchmark.extra_info["coturn: answers per second, one asking process"] = round(coturn.per_second)
