"""SIGTERM and a closed terminal end a command in the simulator as Ctrl-C does: what was measured is kept."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nattools.cli import watchcommand
from nattools.cli.app import run
from nattools.net.eventloop import ending_as_ctrl_c
from nattools.report.savedreport import load_file

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has neither SIGTERM nor SIGHUP")
ENDING = (signal.SIGTERM, signal.SIGHUP)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def as_started_by_a_shell() -> Iterator[None]:
    """The tests themselves may run under nohup, or in the background, where Ctrl-C is ignored."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ends_by_itself(number: int) -> None:
    """Send a signal to this process, which must not die of it."""
    assert signal.getsignal(number) is signal.default_int_handler, "it would end the tests"
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDING])
@pytest.mark.parametrize("options", [(), ("--events",)])
def test_a_watch_keeps_what_it_measured(
    number: int, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """It died of the signal, and neither the report nor the metrics were there."""
    line = watchcommand.event_line

    def then_ended(*event: Any, **how: Any) -> str:
        ends_by_itself(number)
        return line(*event, **how)

    monkeypatch.setattr(watchcommand, "event_line", then_ended)
    report, metrics = tmp_path / "report.json", tmp_path / "metrics.txt"
    watch = ("--watch", "10", "--for", "3600", "--metrics", str(metrics))
    assert run(["nat", "--lab", "home-router", *watch, "-o", str(report), *options]) == 130
    assert load_file(report).nat.udp4 is not None
    assert metrics.read_text().endswith("# EOF\n")
    said = capsys.readouterr().err.splitlines()[-1]
    if options:
        event = json.loads(said)
        assert (event["event"], event["exit_code"]) == ("failed", 130)
    else:
        assert said == "nattools: interrupted"


@pytest.mark.parametrize(
    "arguments",
    [
        ("punch", "--lab", "two-homes"),
        ("pwnat", "listen", "--lab", "pwnat-public"),
        ("map", "probe", "--lab", "mapping-all"),
    ],
)
def test_so_do_the_others(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from nattools.lab.sim.simlab import SimLab

    monkeypatch.setattr(SimLab, "run", lambda *_: ends_by_itself(signal.SIGTERM))
    assert run([*arguments]) == 130
    assert capsys.readouterr().err == "nattools: interrupted\n"


@pytest.mark.parametrize("options", [(), ("--timeout", "100000")])
def test_a_simulated_keep_takes_sigterm_for_the_end_that_was_wanted(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """As it does on this machine's network: it was told as an interruption, and nothing was removed."""
    monkeypatch.setattr("nattools.cli.map.tell_change", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert run(["map", "keep", "5000", "--lab", "mapping-all", *options]) == 0
    assert "They have been removed again." in " ".join(capsys.readouterr().out.split())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_it_is_as_before_afterwards() -> None:
    with ending_as_ctrl_c():
        pass
    assert [signal.getsignal(number) for number in ENDING] == [signal.SIG_DFL] * 2


def test_what_is_ignored_stays_ignored() -> None:
    """As under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ending_as_ctrl_c():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
