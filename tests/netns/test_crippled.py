"""Machines that lack something, and every command: it does without, or says in one sentence what is missing.
It never ends in a traceback, nor as a defect."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from crippled import DEFECTS, STARTS, Cell, Outcome

pytestmark = [pytest.mark.netns, pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")]

TESTS = Path(__file__).parents[1]
LIMIT_S = 300.0
SERVER = ("--server", "11.0.0.2")
OFFERS = "--libp2p --relay --turn-user me:secret"
STATUS = json.dumps({"Version": "1.80", "BackendState": "Running", "Self": {"HostName": "me"}, "Peer": {}})
MAP = json.dumps(
    {"Regions": {"1": {"RegionID": 1, "RegionCode": "x", "Nodes": [{"Name": "1a", "HostName": "11.0.0.2"}]}}}
)
INSIDE = f"""
ip link set lo up
ip link add out type veth peer name far && ip link set far up && ip link set out up
ip addr add 11.0.0.2/24 dev out && ip addr add 11.0.0.3/24 dev out && ip route add default via 11.0.0.1
{sys.executable} -m nattools nat --lab open -o "$HOME/report.json" >/dev/null || exit 1
echo '{STATUS}' > "$HOME/status.json"
echo '{MAP}' > "$HOME/map.json"
exec 3< <({sys.executable} -m nattools serve --listen 11.0.0.2 --listen 11.0.0.3 {OFFERS} 2>&1)
server=$!
read -u 3 ready
{sys.executable} crippled.py 6 {LIMIT_S}
kill $server
"""
COMMANDS = {
    "version": ("--version",),
    "help": ("nat", "--help"),
    "nat": ("nat", *SERVER),
    "diagnose": ("diagnose", *SERVER, "--json"),
    "nat --watch": ("nat", *SERVER, "--watch", "10", "--for", "1", "--metrics", "metrics.txt"),
    "ipv6": ("ipv6", *SERVER),
    "map probe": ("map", "probe", *SERVER),
    "map add": ("map", "add", "8080"),
    "map list": ("map", "list"),
    "map delete": ("map", "delete", "--mine"),
    "map keep": ("map", "keep", "8080", "--timeout", "2", *SERVER),
    "relay": ("relay", "turn:11.0.0.2", "derp://11.0.0.2", "--turn-user", "me:secret", "--count", "2"),
    "libp2p": ("libp2p", "/ip4/11.0.0.2/tcp/3478"),
    "lan": ("lan", "11.0.0.2", "--listen", "1"),
    "tailscale": ("tailscale", "--status", "../status.json", "--derp-map", "../map.json", *SERVER),
    "punch": ("punch", *SERVER, "--timeout", "3"),
    "punch --events": ("punch", *SERVER, "--timeout", "3", "--events", "--code-file", "code"),
    "punch --manual": ("punch", "--manual", *SERVER),
    "punch -": ("punch", "-", *SERVER),
    "pwnat listen": ("pwnat", "listen", "--timeout", "3"),
    "pwnat connect": ("pwnat", "connect", "11.0.0.9", "--secret", "abcdefgh", "--timeout", "3"),
    "pwnat test": ("pwnat", "test", *SERVER),
    "serve": ("serve", "--listen", "11.0.0.2", "--port", "0"),
    "serve --libp2p": (
        "serve",
        "--listen",
        "11.0.0.2",
        "--port",
        "0",
        *OFFERS.split(),
        "--libp2p-key",
        "key",
    ),
    "lab list": ("lab", "list", "cgnat"),
    "lab run": ("lab", "run", "open"),
    "lab matrix": ("lab", "matrix", "open", "full-cone", "--jobs", "2"),
    "lab exec": ("lab", "exec", "open", "alice", "--", "true"),
    "nat --lab -o": ("nat", "--lab", "open", "-o", "report.html"),
    "explain": ("explain", "nat-pmp-2"),
    "report show": ("report", "show", "../report.json"),
    "report validate": ("report", "validate", "../report.json"),
    "report predict": ("report", "predict", "../report.json", "../report.json"),
    "report diff": ("report", "diff", "../report.json", "../report.json"),
    "report redact": ("report", "redact", "../report.json", "-o", "redacted.json"),
    "report scenario": ("report", "scenario", "../report.json", "-o", "drawn.toml"),
    "report merge": ("report", "merge", "../report.json", "-o", "merged.html", "-o", "merged.json"),
}


def _told_by(lack: str) -> Iterable[str]:
    """The commands that something may be lacking for."""
    if lack == "its parent's end":
        return OF_PROCESSES
    return AT_START if lack in STARTS else COMMANDS


NOTICE = re.compile(
    r"^nattools: (waiting: |metrics at |[\d,]+ reports (read|merged)|\S+ is written|fetching )"
)
"""What is no complaint."""
AT_START = ("version", "help", "nat --lab -o", "punch -")
"""Of what a process starts with these tell enough."""
OF_PROCESSES = ("lab exec", "lab matrix", "lab run")
"""These have processes of their own, which nobody else's end would tell of anything."""
CELLS = [Cell(lack, COMMANDS[name]) for lack in DEFECTS for name in _told_by(lack)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[Cell, Outcome]:
    """Of all cells, run side by side in a network of their own."""
    folder = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        ["unshare", "-rnm", "bash", "-c", INSIDE],
        input=json.dumps(CELLS),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent), "HOME": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(CELLS, (Outcome(*each) for each in json.loads(done.stdout)), strict=True))


@pytest.mark.parametrize("lack", DEFECTS)
def test_each_command_does_without_or_says_what_is_missing(lack: str, outcomes: dict[Cell, Outcome]) -> None:
    for cell, outcome in outcomes.items():
        if cell.lack != lack:
            continue
        said = [line for line in outcome.err.splitlines() if line.startswith("nattools: ")]
        said = [line for line in said if not NOTICE.search(line)]
        # a busy machine may not come to the point where a server takes SIGTERM for its end
        ends = (0, 1, 2, 3, 130, -signal.SIGTERM) if "serve" in cell.command else (0, 1, 2, 3)
        assert outcome.code in ends, (cell, outcome)
        assert "Traceback" not in outcome.out + outcome.err, (cell, outcome)
        # a lab's server says why it does not start, and the lab that it did not
        assert len(said) <= (2 if cell.command[:2] == ("lab", "exec") else 1), (cell, outcome)


MEASURED = "There is no NAT, and nothing keeps packets out."
SAYS = {
    **{(lack, "nat"): MEASURED for lack in ("IPv6", "netlink", "IP options", "/proc", "/sys", "64 files")},
    **{(lack, "nat"): MEASURED for lack in ("capabilities", "writing", "space", "its home", "threads")},
    ("internet", "punch"): "cannot open an IPv4 socket",
    ("sending", "nat"): "the system refuses to send",
    ("16 files", "nat"): "this machine refuses: Too many open files",
    ("memory", "report show"): "this machine refuses: out of memory",
    ("writing", "map add"): "Read-only file system",
    ("/proc", "lab exec"): "network namespaces need /proc",
    ("IPv6", "lab exec"): "cannot open an IPv6 socket",
    ("stream: output", "nat"): "cannot write to standard output: Bad file descriptor",
    ("stream: output's space", "lab run"): "cannot write to standard output: No space left",
    ("stream: input", "punch --manual"): "there is no token",
    ("stream: input", "punch -"): "there is no code",
}


@pytest.mark.parametrize(("lack", "command"), SAYS)
def test_what_it_says(lack: str, command: str, outcomes: dict[Cell, Outcome]) -> None:
    outcome = outcomes[Cell(lack, COMMANDS[command])]
    assert SAYS[lack, command] in outcome.out + outcome.err
