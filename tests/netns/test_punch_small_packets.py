"""A router on the way that loses larger packets and says nothing (RFC 2923 2.1, RFC 8899): `--pipe` carries
all the same what it is given, both ways."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from threading import Thread

import pytest
from conftest import tool
from punchpair import Pair, Side, homes, pair

from nattools.lab.scenario import NatSpec
from nattools.net.system.namespace import entered

pytestmark = pytest.mark.netns

SIZE = 1_000_000


def lose_larger(both: Pair, size: int) -> None:
    """Alice's router forwards no packet of more than `size` bytes, in either direction, and says nothing."""
    silent = "icmp type destination-unreachable drop; icmpv6 type packet-too-big drop;"
    text = f"table inet narrow {{ chain said {{ type filter hook output priority 0; {silent} }}; }}"
    with entered(both.lab.network_path("one")):
        subprocess.run([str(tool("nft")), "-f", "-"], input=text.encode(), check=True)
        for _, name in socket.if_nameindex():
            if name != "lo":
                subprocess.run([str(tool("ip")), "link", "set", name, "mtu", str(size)], check=True)


def exchanged(both: Pair) -> tuple[Side, Side]:
    """Bytes from each side to the other."""
    alice = both.start("alice", "--pipe", "-v")
    bob = both.start("bob", both.code(alice), "--pipe", "-v")
    data = {side: bytes([number]) * SIZE for number, side in enumerate((alice, bob))}
    got = {}

    def end(side: Side) -> None:
        out, err = side.process.communicate(data[side], timeout=300.0)
        side.said += err.decode()
        got[side] = out

    threads = [Thread(target=end, args=(side,)) for side in (alice, bob)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for side, other in ((alice, bob), (bob, alice)):
        assert side.process.returncode == 0, side.said
        assert got[side] == data[other]
    return alice, bob


def test_both_name_the_black_hole_and_the_size_that_passes(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        lose_larger(both, 1280)
        for report in [side.report() for side in both.meet(("--json",), ("--json",))]:
            mtu = report["punch"]["mtu"]
            assert [mtu[way]["bytes"] for way in ("up", "down")] == [1280, 1280]
            assert [mtu[way]["black_hole"] for way in ("up", "down")] == [True, True]


ROUTERS = {
    "udp": NatSpec(),
    "udp over ipv6": NatSpec(ipv6="firewall"),
    "tcp": NatSpec(udp="blocked"),
}


@pytest.mark.parametrize(
    ("over", "size"), [("udp", 1280), ("udp", 1324), ("udp over ipv6", 1280), ("tcp", 1280)]
)
def test_a_pipe_over_a_path_that_loses_larger_packets(over: str, size: int, tmp_path: Path) -> None:
    with pair(tmp_path, homes(ROUTERS[over], ROUTERS[over] if "ipv6" in over else NatSpec())) as both:
        lose_larger(both, size)
        for side in exchanged(both):
            assert ("QUIC" if "udp" in over else "TLS") in side.said
            assert "[2a" in side.said or "ipv6" not in over
