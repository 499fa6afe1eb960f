from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from nattools.model.punch import Punch
from nattools.net.system.shell import run_command
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


async def ended_once_it_says(command: str, fifo: Path) -> list[str]:
    """Run a command and end it as soon as it has written a line to the FIFO; all that came until nobody was
    left to write to it."""
    running = asyncio.ensure_future(run_command(command, {}, limit_s=None))
    with await asyncio.to_thread(fifo.open) as reading:
        said = [await asyncio.to_thread(reading.readline)]
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        async with asyncio.timeout(50):
            return said + await asyncio.to_thread(reading.readlines)


def test_what_a_command_started_is_ended_with_it(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    waiting = python(
        "import sys, time\n"
        "said = open(sys.argv[1], 'w', buffering=1)\n"
        "print('ready', file=said)\n"
        "time.sleep(60)\n"
        "print('not ended', file=said)",
        str(fifo),
    )
    assert asyncio.run(ended_once_it_says(f"{waiting} & wait", fifo)) == ["ready\n"]


def test_a_command_may_clean_up_before_it_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nattools.net.system.shell.MERCY_S", 45.0)  # a busy machine takes its time
    fifo, cleaned = tmp_path / "fifo", tmp_path / "cleaned"
    os.mkfifo(fifo)
    patient = python(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[1], 'w').close(), sys.exit(0)))\n"
        "with open(sys.argv[2], 'w') as said: said.write('ready\\n')\n"
        "time.sleep(60)",
        str(cleaned),
        str(fifo),
    )
    assert asyncio.run(ended_once_it_says(f"exec {patient}", fifo)) == ["ready\n"]
    assert cleaned.exists()


def test_a_blocked_run_gives_the_exit_code() -> None:
    assert asyncio.run(run_command("exit 5", {"X": "1"}, waits=False)) == 5
    assert os.environ.get("X") is None
