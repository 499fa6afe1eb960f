"""`nattools serve` with all that it offers, under attack, beside an honest client: that is answered, two
peers meet, and afterwards memory and descriptors are what they were.

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
from typing import NamedTuple

import pytest
from attackerproofs import CUSTOMER
from attackers import ATTACKS
from attackplace import SECOND, SERVER, SERVER6, Place, attack_place, descriptors, resident_mib
from certificates import certificate

from nattools.model.endpoint import Endpoint
from nattools.net.system.hostnetwork import HostNetwork
from nattools.protocols import stun
from nattools.traversal.codes import Code, new_code
from nattools.traversal.mailboxconnection import MailboxAddress
from nattools.traversal.rendezvous import rendezvous

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="makes two namespaces, as root"),
]
WHOLE = "NATTOOLS_ATTACK_S" in os.environ
SECONDS = float(os.environ.get("NATTOOLS_ATTACK_S", "1.5"))
KINDS = [*([name] for name in ATTACKS if WHOLE), list(ATTACKS)]
ALLOWED_MIB = 64
ATTACKERS = Path(__file__).parents[1] / "attackers.py"


class Attacked(NamedTuple):
    """The server's port and process id, and where it is."""

    port: int
    pid: int
    place: Place

    def attacks(self, seconds: float, *names: str) -> subprocess.Popen[bytes]:
        """Begin these, in a process of its own."""
        program = [sys.executable, str(ATTACKERS), str(self.port), str(seconds), *names]
        return subprocess.Popen(self.place.inside(self.place.world, *program), stdout=subprocess.PIPE)

    @property
    def network(self) -> HostNetwork:
        """The honest client's."""
        return HostNetwork(self.place.world)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """A server in a process of its own, with all that there is."""
    cert, key = certificate(tmp_path_factory.mktemp("tls"))
    command = [sys.executable, "-m", "nattools", "serve", "--port", "3478", "--libp2p", "--relay"]
    command += [word for address in (SERVER, SECOND, SERVER6) for word in ("--listen", address)]
    command += ["--turn-user", ":".join(CUSTOMER), "--tls-cert", cert, "--tls-key", key]
    with attack_place() as place:
        process = subprocess.Popen(place.inside(place.site, *command), stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        try:
            assert "is ready" in process.stderr.readline()
            attacked = Attacked(3478, process.pid, place)
            # what is opened and imported once is there then
            with attacked.attacks(2, *ATTACKS) as attackers:
                assert attackers.wait(60) == 0
            asyncio.run(_two_meet(attacked))
            yield attacked
        finally:
            process.terminate()
            _, said = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "Traceback" not in said
    assert "a defect" not in said
    assert len(said) < 5000, said


async def _round_trips_s(server: Attacked, seconds: float) -> list[float]:
    """Of an honest client's Binding requests; an unanswered one counts as its second."""
    network, loop = server.network, asyncio.get_running_loop()
    client, until = await network.open_udp(family=4), loop.time() + seconds
    found: list[float] = []
    try:
        while loop.time() < until:
            answered, request = asyncio.Event(), stun.binding_request(stun.new_transaction_id())
            client.on_datagram = lambda _data, _source, answered=answered: answered.set()
            sent = loop.time()
            client.send(request, Endpoint(SERVER, server.port))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await answered.wait()
            found.append(loop.time() - sent)
            await asyncio.sleep(0.02)
    finally:
        client.close()
    return found


async def _two_meet(server: Attacked) -> float:
    """Two peers by a code; the seconds that it took."""
    began, address = time.monotonic(), MailboxAddress(SERVER, server.port)
    async with rendezvous(server.network, address, new_code()) as alice:
        code = await alice.opened()
        assert isinstance(code, Code), code
        async with rendezvous(server.network, address, code) as bob:
            assert alice.send(b"hello")
            assert await bob.receive() == b"hello"
    return time.monotonic() - began


async def _beside(server: Attacked) -> tuple[list[float], float]:
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(_round_trips_s(server, SECONDS))
        meeting = group.create_task(_two_meet(server))
    return asking.result(), meeting.result()


@pytest.mark.parametrize("names", KINDS, ids="-".join)
def test_the_others_are_served_and_nothing_stays_behind(server: Attacked, names: list[str]) -> None:
    files, resident = descriptors(server.pid), resident_mib(server.pid)
    before_s = asyncio.run(_round_trips_s(server, min(SECONDS, 3)))
    with server.attacks(SECONDS + 1, *names) as attackers:
        assert attackers.stdout is not None
        try:
            assert attackers.stdout.readline() == b"begun\n"
            round_trips_s, meeting_s = asyncio.run(_beside(server))
            most, during = descriptors(server.pid), resident_mib(server.pid)
            assert attackers.wait(60) == 0
        finally:
            attackers.kill()
    patience = time.monotonic() + 60
    while descriptors(server.pid) > files and time.monotonic() < patience:
        time.sleep(0.1)
    after = descriptors(server.pid)
    print(
        f"{'+'.join(names)}: Binding {statistics.median(round_trips_s) * 1000:.2f} ms in the median "
        f"({statistics.median(before_s) * 1000:.2f} before), "
        f"{max(round_trips_s) * 1000:.0f} at most; two met in {meeting_s:.2f} s; descriptors "
        f"{files}, {most}, {after}; MiB {resident:.0f}, {during:.0f}, {resident_mib(server.pid):.0f}"
    )
    assert after <= files
    assert resident_mib(server.pid) < resident + ALLOWED_MIB
