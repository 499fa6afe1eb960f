"""Other people's STUN clients at `nattools serve` on loopback, where there is no NAT: all must say so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from conftest import tool
from served import Served, serving
from stunclients import TIMES

pytestmark = pytest.mark.interop

_TWO = ("127.0.0.1", "127.0.0.2")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(*(part for address in _TWO for part in ("--listen", address))) as server:
        yield server


def _run(says: tuple[str, ...], program: str, *arguments: str) -> str:
    """What it says when it says all of these, or the last time."""
    path = tool(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    for _ in range(TIMES):
        finished = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=180)
        said = finished.stdout + finished.stderr
        if all(each in said for each in says):
            break
    return said


def test_vovida_stun(served: Served) -> None:
    says = "Primary: Open"
    assert says in _run((says,), "stun", f"127.0.0.1:{served.port}")


def test_coturn_natdiscovery(served: Served) -> None:
    # It calls every filter a NAT's, so the line about the mapping is the one that says "No NAT".
    says = (
        "No NAT! (Endpoint Independent Mapping)",
        "NAT with Endpoint Independent Filtering!",
        "No ALG: Mapped == XOR-Mapped",
    )
    options = ("-m", "-f", "-L", "127.0.0.3", "-p", str(served.port), "127.0.0.1")
    said = _run(says, "turnutils_natdiscovery", *options)
    assert [each for each in says if each not in said] == [], said


def test_coturn_natdiscovery_with_padding(served: Served) -> None:
    options = ("-f", "-P", "-L", "127.0.0.3", "-p", str(served.port), "127.0.0.1")
    says = "NAT with Endpoint Independent Filtering!"
    assert says in _run((says,), "turnutils_natdiscovery", *options)


def test_coturn_stunclient(served: Served) -> None:
    says = ("Other addr: : 127.0.0.2:", "Response origin: : 127.0.0.2:")
    said = _run(says, "turnutils_stunclient", "-f", "-p", str(served.port), "127.0.0.1")
    assert says[0] in said
    assert said.count("UDP reflexive addr: 127.0.0.1:") == 3
    assert says[1] in said, "CHANGE-REQUEST was served"


def test_pystun3(served: Served) -> None:
    code = f"import stun; print(*stun.get_ip_info('127.0.0.1', 0, '127.0.0.1', {served.port}), sep='|')"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180)
    kind, address, _ = finished.stdout.strip().split("|")
    assert (kind, address) == ("Open Internet", "127.0.0.1")
