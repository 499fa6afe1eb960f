"""A multipath route on the machine itself, in namespaces: one of its ways is measured, and not a mixture."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.netns

SPREAD = """
ip route flush default
ip route replace default nexthop via 10.0.1.1 dev eth0 weight 1 nexthop via 100.64.0.1 dev eth1 weight 1
exec "$0" -m nattools nat --json --server 11.201.0.2
"""
COMMAND = (sys.executable, "-m", "nattools", "lab", "exec", "two-isps", "alice", "--", "sh", "-c", SPREAD)


def test_a_multipath_route_is_named_and_one_way_measured() -> None:
    ran = subprocess.run([*COMMAND, sys.executable], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    host, nat = report["host"], report["nat"]["udp4"]
    assert sorted(host["spread"]) == ["eth0", "eth1"]
    behaviours = {
        "eth0": (["11.1.0.2"], "endpoint-independent"),
        "eth1": (["11.2.0.2"], "address-and-port-dependent"),
    }
    assert (nat["external"], nat["mapping"]) == behaviours[host["measured_interface"]]
    assert any("This machine spreads what it sends" in each for each in report["warnings"])
