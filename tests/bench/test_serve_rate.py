"""How many Binding requests a second one core answers: `nattools serve` beside coturn, the same load."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from bench.claims import claim
from bench.load import Load, put

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

_HOST = "127.0.0.1"
_REQUESTS = 50_000
_ROUNDS = 3
_TURNSERVER = shutil.which("turnserver")
_REQUIRED_PER_SECOND = 100_000


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def _process(*command: str) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(port: int) -> None:
    """Ask until there is an answer; a refused port raises at once, so the waits are bounded and short."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect((_HOST, port))
        asker.settimeout(0.1)
        for _ in range(100):
            with suppress(OSError):
                asker.send(bytes.fromhex("0001 0000 2112a442") + b"are-you-up??")
                asker.recv(2048)
                return
            _pause()
    pytest.fail("the server does not answer")


def _pause() -> None:
    """A tenth of a second in which nothing arrives."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as idle, suppress(TimeoutError):
        idle.bind((_HOST, 0))
        idle.settimeout(0.1)
        idle.recv(1)


def _rate(port: int, pid: int) -> Load:
    _wait_until_it_answers(port)
    put((_HOST, port), pid, 2_000)  # past the first answers, which are longer
    return put((_HOST, port), pid, _REQUESTS)


def _best(loads: list[Load]) -> Load:
    assert all(load.answered >= 0.99 * load.sent for load in loads), loads
    return max(loads, key=lambda load: load.per_cpu_second)


def _coturn(folder: Path) -> Load:
    port = _free_port()
    options = f"-n --no-auth --no-tls --no-dtls --no-cli -m 1 -L {_HOST} -p {port}".split()
    files = ["--log-file", str(folder / "log"), "--pidfile", str(folder / "pid"), "-b", str(folder / "db")]
    with _process(str(_TURNSERVER), *options, *files) as pid:
        return _best([_rate(port, pid) for _ in range(_ROUNDS)])


def test_binding_requests_a_second(benchmark: Any, tmp_path: Path) -> None:
    port = _free_port()
    command = (sys.executable, "-m", "nattools", "serve", "--listen", _HOST, "--port", str(port), "--no-tcp")
    loads: list[Load] = []
    with _process(*command, "--alternate-port", "0") as pid:
        benchmark.pedantic(lambda: loads.append(_rate(port, pid)), rounds=_ROUNDS)
    ours = _best(loads)
    coturn = _coturn(tmp_path) if _TURNSERVER is not None else None
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
