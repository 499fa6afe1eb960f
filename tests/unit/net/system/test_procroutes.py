"""Default routes as Linux writes them to /proc/net."""

from __future__ import annotations

from pathlib import Path

import pytest

from nattools.model.host import Gateway
from nattools.net.system import procroutes

HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
FOUR = (
    "wg0\t00000000\t00000000\t0001\t0\t0\t600\t00000000\t0\t0\t0\n"
    "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "eth0\t00000000\t0201A8C0\t0002\t0\t0\t1\t00000000\t0\t0\t0\n"  # down
    "wg0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n"  # 0.0.0.0/1
    "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
)
NOTHING, ROUTER = "0" * 32, "fe80000000000000000000000000aaaa"
SIX = (
    f"{NOTHING} 00 {NOTHING} 00 {ROUTER} 00000400 00000003 00000000 00000003     eth0\n"
    f"{NOTHING} 00 {NOTHING} 00 {NOTHING} ffffffff 00000001 00000000 00200200       lo\n"
    f"2001{'0' * 28} 40 {NOTHING} 00 {NOTHING} 00000100 00000001 00000000 00000001     eth0\n"
)


def test_default_routes(tmp_path: Path) -> None:
    (tmp_path / "route").write_text(HEAD + FOUR)
    (tmp_path / "ipv6_route").write_text(SIX)
    assert procroutes.gateways(tmp_path) == (
        Gateway(interface="eth0", family=4, address="192.168.1.1", metric=100),
        Gateway(interface="wg0", family=4, metric=600),
        Gateway(interface="eth0", family=6, address="fe80::aaaa%eth0", metric=1024),
    )


@pytest.mark.parametrize(
    "text", ["", "x\n", f"{HEAD}eth0\n", f"{HEAD}{FOUR[:30]}", f"{HEAD}a\tb\tc\td\te\tf\tg\th\n"]
)
def test_what_cannot_be_read_is_left_out(text: str, tmp_path: Path) -> None:
    (tmp_path / "route").write_text(text)
    assert procroutes.gateways(tmp_path) == ()
