"""Second opinions: what another program says, or why it says nothing. No such program is run here."""

from __future__ import annotations

import asyncio
import sys
from importlib import metadata
from typing import cast

import pytest

from nattools.model.observation import AnyObservation, Gap, SecondOpinion
from nattools.net.base import Network
from nattools.probes import crosscheck
from nattools.probes.probe import Recorder


class Here:
    """The machine's own network, as far as a second opinion asks."""

    def __init__(self, substrate: str = "host") -> None:
        self.substrate = substrate


def asked(monkeypatch: pytest.MonkeyPatch, program: str, network: Here | None = None) -> AnyObservation:
    """What is on record where miniupnpc is this Python program."""
    monkeypatch.setattr(crosscheck, "_MINIUPNPC", program)
    monkeypatch.setattr(metadata, "version", lambda tool: "2.3.3")

    async def main() -> AnyObservation:
        recorder = Recorder(asyncio.get_running_loop().time())
        await crosscheck.cross_check_mappings(cast(Network, network or Here()), recorder)
        (seen,) = recorder.observations
        return seen

    return asyncio.run(main())


def test_what_it_prints_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = asked(monkeypatch, "print('{\"gateway\": 1}')")
    assert isinstance(seen, SecondOpinion)
    assert (seen.tool, seen.version, seen.says, seen.detail) == ("miniupnpc", "2.3.3", '{"gateway": 1}', "")


def test_one_that_fails_tells_why_by_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = asked(monkeypatch, "raise SystemExit('Traceback:\\nno socket')")
    assert isinstance(seen, SecondOpinion)
    assert (seen.says, seen.detail) == ("", "no socket")


def test_one_that_fails_without_a_word_tells_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = asked(monkeypatch, "raise SystemExit(3)")
    assert isinstance(seen, SecondOpinion)
    assert seen.detail == "exit code 3"


def test_one_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crosscheck, "PATIENCE_S", 0.3)
    seen = asked(monkeypatch, "import time; time.sleep(60)")
    assert isinstance(seen, SecondOpinion)
    assert seen.says == ""
    assert seen.detail.startswith("no answer within")
    assert seen.duration_s < 10


def test_in_a_lab_it_is_not_run_and_where_it_can_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = asked(monkeypatch, "print('never')", Here("netns"))
    assert isinstance(seen, Gap)
    assert "cannot be run inside this lab" in seen.reason
    assert seen.settle.endswith("nattools map probe --cross-check")


def test_one_that_is_not_installed_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(tool: str) -> str:
        raise metadata.PackageNotFoundError(tool)

    monkeypatch.setattr(metadata, "version", missing)

    async def main() -> AnyObservation:
        recorder = Recorder(asyncio.get_running_loop().time())
        await crosscheck.cross_check_mappings(cast(Network, Here()), recorder)
        return recorder.observations[0]

    seen = asyncio.run(main())
    assert isinstance(seen, Gap)
    assert (seen.reason, seen.settle) == (
        "miniupnpc is not installed",
        f"Install it where nattools is: {sys.executable} -m pip install miniupnpc",
    )
