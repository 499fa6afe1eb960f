"""`nattools serve` under attack, beside an honest client: that is answered, two peers meet, and afterwards
memory and descriptors are what they were.

`make attacks` does it for 60 s, each kind for itself too, with figures; here all come at once for a moment,
and no time is asserted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attackers import ATTACKS, CUSTOMER, SERVER, attack

from nattools.model.endpoint import Endpoint
from nattools.net.hostnetwork import HostNetwork
from nattools.protocols import stun
from nattools.traversal.codes import Code, new_code
from nattools.traversal.mailboxconnection import MailboxAddress
from nattools.traversal.rendezvous import rendezvous

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc; 127.0.0.0/8")
WHOLE = "NATTOOLS_ATTACK_S" in os.environ
SECONDS = float(os.environ.get("NATTOOLS_ATTACK_S", "1.5"))
KINDS = [*([name] for name in ATTACKS if WHOLE), list(ATTACKS)]
ALLOWED_MIB = 64
ATTACKERS = Path(__file__).parents[1] / "attackers.py"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, int]]:
    """Port and process id of a server in a process of its own."""
    command = [sys.executable, "-m", "nattools", "serve", "--listen", SERVER, "--port", "0"]
    command += ["--alternate-port", "0", "--relay", "--turn-user", ":".join(CUSTOMER)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        assert "is ready" in process.stderr.readline()
        port = int(process.stderr.readline().rpartition(" ")[2])
        asyncio.run(attack(port, 0.5, ["dials"]))  # what is opened and imported once is there then
        asyncio.run(_two_meet(port))
        yield port, process.pid
    finally:
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in said
    assert len(said) < 5000


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def _round_trips_s(port: int, seconds: float) -> list[float]:
    """Of an honest client's Binding requests; an unanswered one counts as its second."""
    network, loop = HostNetwork(), asyncio.get_running_loop()
    client, until = await network.open_udp(family=4, host=SERVER), loop.time() + seconds
    found: list[float] = []
    try:
        while loop.time() < until:
            answered, request = asyncio.Event(), stun.binding_request(stun.new_transaction_id())
            client.on_datagram = lambda _data, _source, answered=answered: answered.set()
            sent = loop.time()
            client.send(request, Endpoint(SERVER, port))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await answered.wait()
            found.append(loop.time() - sent)
            await asyncio.sleep(0.02)
    finally:
        client.close()
    return found


async def _two_meet(port: int) -> float:
    """Two peers by a code; the seconds that it took."""
    began, address = time.monotonic(), MailboxAddress(SERVER, port)
    async with rendezvous(HostNetwork(), address, new_code()) as alice:
        code = await alice.opened()
        assert isinstance(code, Code), code
        async with rendezvous(HostNetwork(), address, code) as bob:
            assert alice.send(b"hello")
            assert await bob.receive() == b"hello"
    return time.monotonic() - began


async def _beside(port: int) -> tuple[list[float], float]:
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(_round_trips_s(port, SECONDS))
        meeting = group.create_task(_two_meet(port))
    return asking.result(), meeting.result()


@pytest.mark.parametrize("names", KINDS, ids="-".join)
def test_the_others_are_served_and_nothing_stays_behind(server: tuple[int, int], names: list[str]) -> None:
    port, pid = server
    descriptors, resident = _descriptors(pid), _resident_mib(pid)
    before_s = asyncio.run(_round_trips_s(port, min(SECONDS, 3)))
    command = [sys.executable, str(ATTACKERS), str(port), str(SECONDS + 0.5), *names]
    attackers = subprocess.Popen(command)
    try:
        time.sleep(0.5)
        round_trips_s, meeting_s = asyncio.run(_beside(port))
        most, during = _descriptors(pid), _resident_mib(pid)
        assert attackers.wait(60) == 0
    finally:
        attackers.kill()
        attackers.wait()
    patience = time.monotonic() + 60
    while _descriptors(pid) > descriptors and time.monotonic() < patience:
        time.sleep(0.1)
    after = _descriptors(pid)
    print(
        f"{'+'.join(names)}: Binding {statistics.median(round_trips_s) * 1000:.2f} ms in the median "
        f"({statistics.median(before_s) * 1000:.2f} before), "
        f"{max(round_trips_s) * 1000:.0f} at most; two met in {meeting_s:.2f} s; descriptors "
        f"{descriptors}, {most}, {after}; MiB {resident:.0f}, {during:.0f}, {_resident_mib(pid):.0f}"
    )
    assert after <= descriptors
    assert _resident_mib(pid) < resident + ALLOWED_MIB
