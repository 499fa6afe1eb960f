from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from nattools.model.punch import Punch
from nattools.net.usercommand import run_command
from nattools.traversal.tunnel.hook import environment_of, run_hook

PUNCH = Punch(
    connected=True,
    path="direct",
    transport="udp",
    family=6,
    strategy="birthday",
    local="[2001:db8::1]:5",
    remote="192.0.2.1:6",
    rtt_ms=12.5,
)
_NOTE = """
import os, json, sys
told = {name: value for name, value in os.environ.items() if name.startswith("NATTOOLS_")}
told["report"] = open(os.environ["NATTOOLS_REPORT"]).read()
told["mode"] = os.stat(os.environ["NATTOOLS_REPORT"]).st_mode & 0o777
json.dump(told, open(sys.argv[1], "w"))
sys.exit(7)
"""


def python(code: str, *arguments: str) -> str:
    """A shell command that runs Python code."""
    return shlex.join((sys.executable, "-c", code, *arguments))


@pytest.mark.parametrize("shares", [True, False])
def test_the_command_is_told_of_the_connection_and_finds_the_report(tmp_path: Path, shares: bool) -> None:
    notes = tmp_path / "notes"
    command = python(_NOTE, str(notes))
    assert asyncio.run(run_hook(command, PUNCH, b'{"report": 1}', reads=shares, writes=shares)) == 7
    told = json.loads(notes.read_text())
    assert (told["report"], told["mode"]) == ('{"report": 1}', 0o600)
    assert not Path(told["NATTOOLS_REPORT"]).exists()
    expected = environment_of(PUNCH, told["NATTOOLS_REPORT"])
    assert {name: told[name] for name in expected} == expected


def test_places_are_told_whole_and_in_parts() -> None:
    told = environment_of(PUNCH, "file")
    assert told["NATTOOLS_LOCAL"] == "[2001:db8::1]:5"
    assert (told["NATTOOLS_LOCAL_HOST"], told["NATTOOLS_LOCAL_PORT"]) == ("2001:db8::1", "5")
    assert (told["NATTOOLS_REMOTE_HOST"], told["NATTOOLS_REMOTE_PORT"]) == ("192.0.2.1", "6")
    assert (told["NATTOOLS_EVENT"], told["NATTOOLS_RTT_MS"]) == ("connected", "12.5")


def test_what_is_not_known_is_empty() -> None:
    told = environment_of(Punch(connected=False), "file")
    assert told.pop("NATTOOLS_EVENT") == "failed"
    assert told.pop("NATTOOLS_REPORT") == "file"
    assert set(told.values()) == {""}


@pytest.mark.parametrize("waits", [True, False])
def test_a_command_that_takes_too_long_is_ended(waits: bool) -> None:
    command = python("import time; time.sleep(60)")
    assert asyncio.run(run_command(command, {}, limit_s=0.3, waits=waits)) is None


def test_what_a_command_started_is_ended_with_it(tmp_path: Path) -> None:
    child = tmp_path / "child"
    waiting = python(
        "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)", str(child)
    )
    assert asyncio.run(run_command(f"{waiting} & wait", {}, limit_s=1.5)) is None
    status = Path(f"/proc/{child.read_text()}/stat")
    assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_blocked_run_gives_the_exit_code() -> None:
    assert asyncio.run(run_command("exit 5", {"X": "1"}, waits=False)) == 5
    assert os.environ.get("X") is None


def test_a_command_may_clean_up_before_it_is_ended(tmp_path: Path) -> None:
    cleaned = tmp_path / "cleaned"
    patient = python(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[1], 'w').close(), sys.exit(0)))\n"
        "time.sleep(60)",
        str(cleaned),
    )
    assert asyncio.run(run_command(patient, {}, limit_s=1.5)) is None
    assert cleaned.exists()
