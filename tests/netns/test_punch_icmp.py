"""A connection whose packets are answered with ICMP errors that are not true, thousands of them and of every
kind: nothing is lost, and it does not end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from punchpair import homes, pair

from nattools.lab.natkinds import MATRIX_KINDS
from nattools.lab.scenario import INTERNET, NatSpec

pytestmark = pytest.mark.netns

BLOCKED = MATRIX_KINDS["udp-blocked"]
FORGER = Path(__file__).parents[1] / "icmpforger.py"


@pytest.mark.parametrize("alice", [NatSpec(), BLOCKED], ids=["UDP", "TCP"])
def test_errors_that_are_not_true_end_no_connection(alice: NatSpec, tmp_path: Path) -> None:
    data = Random(3).randbytes(10 << 20)
    source, out = tmp_path / "data", tmp_path / "got"
    source.write_bytes(data)
    with pair(tmp_path, homes(alice)) as both:
        command = [sys.executable, str(FORGER), "120"]
        forger = both.lab.popen(INTERNET, command, stdout=subprocess.PIPE)
        one = both.start("alice", "--pipe", source=source)
        code = both.code(one)
        other = both.start("bob", code, "--pipe", out=out, source=Path("/dev/null"))
        assert one.end()[0] == 0, one.said
        assert other.end()[0] == 0, other.said
        assert out.read_bytes() == data
        assert "lost" not in one.said + other.said
        forger.terminate()
        assert len(forger.communicate()[0]) > 100
