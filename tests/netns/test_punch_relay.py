"""A relay of one's own, `nattools serve --relay`, where nothing direct works: it is used by itself, left for
a direct path when there is one, and taken again when that dies. Every byte arrives."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import msgspec
import pytest
from certificates import HOST, certificate
from conftest import tool
from punchpair import TOKEN, Pair, Side, homes, pair

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import DerpSpec, NatSpec, Scenario, ServerSpec
from nattools.net.system.namespace import entered

pytestmark = pytest.mark.netns

MEGABYTES = int(os.environ.get("NATTOOLS_RELAY_MB", "12"))
RANDOM = NatSpec(mapping="address-and-port-dependent", allocation="random")
WALL = (
    "table inet wall { chain passing { type filter hook forward priority -300; "
    "ip saddr 11.2.0.2 drop; ip daddr 11.2.0.2 drop; }; }"
)
SERVE = (*("--listen", "11.201.0.2", "--listen", "11.201.0.3"), "--relay", "--turn-user", "alice:wonderland")


def beside_a_relay(scenario: Scenario, state: Path) -> Iterator[Pair]:
    with NetnsLab(scenario, start_servers=False) as lab:
        both = Pair(lab, state)
        try:
            both.start("stun", *SERVE, command="serve").await_match("is ready")
            yield both
        finally:
            both.stop()


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Pair]:
    """Both behind NATs through which no direct way leads."""
    yield from beside_a_relay(homes(RANDOM, RANDOM), tmp_path)


@pytest.fixture
def ordinary(tmp_path: Path) -> Iterator[Pair]:
    """Both behind NATs that are easily passed."""
    yield from beside_a_relay(homes(), tmp_path)


def test_two_random_nats_without_any_privilege(strict: Pair) -> None:
    alice, bob = strict.meet(("--json", "--no-low-ports"), ("--json", "--no-low-ports"))
    for side in (alice, bob):
        punch = side.report()["punch"]
        assert (punch["path"], punch["strategy"]) == ("relayed", "relay")
        assert punch["relay"]["uri"].startswith("turn:")
        assert punch["echoes"]["received"] == punch["echoes"]["sent"]


def test_without_a_relay_they_do_not_meet(strict: Pair) -> None:
    alice, bob = strict.meet(("--json", "--no-low-ports", "--no-relay"), ("--json", "--no-low-ports"))
    assert [side.end()[0] for side in (alice, bob)] == [1, 1]


def test_tokens_that_hold_the_address_of_a_relay(strict: Pair) -> None:
    named = ("--turn", f"turn:{HOST}", "--turn-user", "alice:wonderland")
    sides = [
        strict.start(host, "--manual", "--json", "--no-low-ports", *options)
        for host, options in (("alice", named), ("bob", ()))
    ]
    tokens = [side.await_match(TOKEN)[0] for side in sides]
    for side, token in zip(sides, reversed(tokens), strict=True):
        side.write(f"{token}\n".encode())
    for side in sides:
        punch = side.report()["punch"]
        assert punch["path"] == "relayed"
        assert punch["relay"]["kind"] == "turn"


def test_where_only_443_leaves_the_mailbox_and_the_relay_are_within_tls(tmp_path: Path) -> None:
    walled = NatSpec(udp="blocked", open_ports=("tcp/443",))
    cert, key = certificate(tmp_path)
    tls = ("--port", "443", "--tls-cert", cert, "--tls-key", key)
    with NetnsLab(homes(walled, walled), start_servers=False) as lab:
        both = Pair(lab, tmp_path)
        both.environment |= {"SSL_CERT_FILE": cert, "NATTOOLS_SERVER": f"stuns:{HOST}:443"}
        try:
            both.start("stun", *SERVE, *tls, command="serve").await_match("is ready")
            alice, bob = both.meet(("--json",), ("--json",))
            for side in (alice, bob):
                punch = side.report()["punch"]
                assert punch["path"] == "relayed"
                assert punch["relay"]["uri"] == f"turns:{HOST}:443?transport=tcp"
        finally:
            both.stop()


class Wall:
    """Between the two sites, and not to the server."""

    def __init__(self, both: Pair) -> None:
        self._path = both.lab.network_path("one")

    def up(self) -> None:
        self._nft("-f", "-", text=WALL)

    def down(self) -> None:
        self._nft("delete", "table", "inet", "wall")

    def _nft(self, *arguments: str, text: str = "") -> None:
        with entered(self._path):
            subprocess.run([str(tool("nft")), *arguments], input=text.encode(), check=True)


class Flow:
    """Bytes from one side's standard input to the other's output, a portion at a time."""

    def __init__(self, source: Side, sink: Side) -> None:
        self.sent = self.got = b""
        self._source = source
        self._reader = Thread(target=self._read, args=(sink,), daemon=True)
        self._reader.start()
        self._draw = random.Random(1)

    def _read(self, sink: Side) -> None:
        assert sink.process.stdout is not None
        while data := os.read(sink.process.stdout.fileno(), 1 << 20):
            self.got += data

    def pass_on(self, size: int, *, end: bool = False) -> None:
        data = self._draw.randbytes(size)
        self.sent += data
        self._source.write(data, end=end)

    def ended(self) -> None:
        self._reader.join(timeout=180.0)
        assert self.got == self.sent


def secured(times: int) -> re.Pattern[str]:
    """What a side has said when so many paths were secured."""
    return re.compile(".*".join(["Encrypted by"] * times), re.DOTALL)


def there_and_back(both: Pair, *options: str) -> None:
    """Over a relay while there is a wall, directly without it, and over the relay again: a third of the bytes
    each."""
    wall, portion = Wall(both), MEGABYTES * 1_000_000 // 3
    wall.up()
    alice = both.start("alice", "--pipe", "-v", *options)
    bob = both.start("bob", both.code(alice), "--pipe", "-v", *options)
    flow = Flow(alice, bob)
    for side in (alice, bob):
        side.await_match(secured(1))
    flow.pass_on(portion)
    wall.down()
    alice.await_match("Connected directly to")
    flow.pass_on(portion)
    wall.up()
    alice.await_match(secured(3))
    flow.pass_on(portion, end=True)
    flow.ended()
    bob.write(b"", end=True)
    codes = [side.process.wait(timeout=180.0) for side in (alice, bob)]
    assert codes == [0, 0], alice.said + bob.said


def test_relay_to_direct_and_back(ordinary: Pair) -> None:
    there_and_back(ordinary)


def test_the_same_with_a_derp_server(tmp_path: Path) -> None:
    plain = ServerSpec(derp=DerpSpec(port=3340, tls=False))
    drawn = homes()
    with pair(tmp_path, msgspec.structs.replace(drawn, server={**drawn.server, "derp": plain})) as both:
        (place, *_) = both.lab.layout.ports_of("derp")
        there_and_back(both, "--turn", f"derp://{place.addresses[0].ip}:3340")
