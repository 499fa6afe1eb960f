"""A kernel, or a container's filter, that knows no IPv6: what goes over IPv4 works as ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.netns, pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")]

WITHOUT = [sys.executable, str(Path(__file__).parents[1] / "withoutipv6.py")]
NATTOOLS = f"{sys.executable} -m nattools"
SCRIPT = f"""
ip link set lo up
ip link add out type veth peer name far && ip link set far up && ip link set out up
ip addr add 11.0.0.2/24 dev out && ip addr add 11.0.0.3/24 dev out && ip route add default via 11.0.0.1
exec 3< <({NATTOOLS} serve --listen 11.0.0.2 --listen 11.0.0.3 2>&1)
server=$!
read -u 3 ready
"""


def run(command: str) -> subprocess.CompletedProcess[str]:
    """In a namespace of its own, with a server beside it."""
    script = f"{SCRIPT}{NATTOOLS} {command} --server 11.0.0.2; code=$?; kill $server; exit $code"
    inside = ["unshare", "-rn", "bash", "-c", " ".join(WITHOUT) + f" /bin/bash -c '{script}'"]
    return subprocess.run(inside, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("nat", "There is no NAT, and nothing keeps packets out."),
        ("punch --timeout 3", "nattools punch "),
    ],
)
def test_ipv4_is_measured(command: str, says: str) -> None:
    done = run(command)
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_asked_for_ipv6_it_says_that_there_is_none() -> None:
    done = run("nat -6")
    assert done.returncode == 3
    assert "this machine has no IPv6 route" in done.stderr
