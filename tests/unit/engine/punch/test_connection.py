"""A path that cannot be secured, errors from inside, and a report without its sentences."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest
from piped import pipe_through
from punching import MATRIX_KINDS, pair, punching

from nattools.engine.punch import punch as punch_module
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.punch import punch_both
from nattools.lab.sim.simlab import SimLab
from nattools.model.punch import Punch, Stage
from nattools.model.report import Report
from nattools.model.statement import Statement, statement
from nattools.traversal.links.link import Link
from nattools.traversal.path import IcePath
from nattools.wording import text_of

SYMMETRIC = ("symmetric-sequential", "symmetric-sequential")
ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f]*:[0-9a-f:]+", re.IGNORECASE)


def unsecured(monkeypatch: pytest.MonkeyPatch, count: int) -> list[IcePath]:
    """The first `count` paths over datagrams cannot be secured."""
    tried: list[IcePath] = []
    secure = IcePath.secure

    async def failing(self: IcePath, secret: bytes, **how: Any) -> Link | Statement:
        tried.append(self)
        if len(tried) <= count:
            return statement("link-failed", problem="the handshake came to nothing")
        return await secure(self, secret, **how)

    monkeypatch.setattr(IcePath, "secure", failing)
    return tried


def connected(kind: str) -> tuple[Punch, Punch]:
    with SimLab(pair(MATRIX_KINDS[kind], MATRIX_KINDS[kind]), seed=1) as lab:

        async def main() -> tuple[Report, Report]:
            side = (PunchOptions(measuring=punching(lab), echoes=2), Watcher())
            return await punch_both((lab.network("alice"), *side), (lab.network("bob"), *side))

        first, second = lab.run(main)
    assert first.punch is not None
    assert second.punch is not None
    return first.punch, second.punch


def test_a_first_path_that_cannot_be_secured_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = unsecured(monkeypatch, 2)
    for found in connected("port-restricted"):
        assert found.connected
        assert found.echoes is not None
        assert found.echoes.received == 2
        retried = [each for each in found.stages if each.stage == "again"]
        assert "could not be secured" in retried[0].text
    assert len(tried) == 4


def test_where_datagrams_fail_twice_another_transport_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = unsecured(monkeypatch, 100)
    for found in connected("full-cone"):
        assert (found.connected, found.transport, found.secured_by) == (True, "tcp", "tls")
    assert len(tried) == 4, "twice on each side"


def test_a_timeout_error_from_inside_is_not_the_end_of_the_time_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: object) -> None:
        raise TimeoutError(110, "Connection timed out")

    monkeypatch.setattr(punch_module, "connect_and_use", broken)
    stages: list[Stage] = []
    with SimLab(pair(MATRIX_KINDS["full-cone"], MATRIX_KINDS["full-cone"]), seed=1) as lab:

        async def main() -> None:
            side = (PunchOptions(measuring=punching(lab)), Watcher(stage=stages.append))
            await punch_both((lab.network("alice"), *side), (lab.network("bob"), *side))

        with pytest.raises(TimeoutError, match="Connection timed out"):
            lab.run(main)
    assert not any("time limit" in stage.text for stage in stages)


def without_text(found: Any) -> Any:
    """A report's JSON without its sentences, and without what is typed as an address or as values."""
    if isinstance(found, dict):
        dropped = {"text", "why", "advice", "values", "local", "remote"}
        return {name: without_text(each) for name, each in found.items() if name not in dropped}
    return [without_text(each) for each in found] if isinstance(found, list) else found


@pytest.mark.parametrize("kinds", [SYMMETRIC, ("udp-blocked", "port-restricted")], ids=" x ".join)
def test_every_sentence_is_made_from_codes_and_values(kinds: tuple[str, str]) -> None:
    """A report can be redacted by its values alone: no address is anywhere else, and no text is lost."""

    async def trouble(lab: SimLab) -> None:
        lab.restart("a")
        await asyncio.sleep(0.1)

    for side in pipe_through(kinds, trouble):
        assert side.report is not None
        found = side.report.punch
        assert found is not None
        assert found.connected
        assert {stage.side for stage in found.stages} == {"here", "there"}
        for stage in found.stages:
            assert stage.statements
            assert stage.text == text_of(stage.statements)
        assert found.why == text_of(found.reasons)
        assert found.advice == text_of(found.remedies)
        kept = without_text(msgspec.json.decode(msgspec.json.encode(found)))
        assert not ADDRESS.search(msgspec.json.encode(kept).decode())


def test_a_failure_is_told_by_codes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    unsecured(monkeypatch, 100)
    monkeypatch.setattr("nattools.engine.punch.pathfinder.MOST_FIRST_PATHS", 1)
    for found in connected("full-cone"):
        assert not found.connected
        assert found.reasons[0] == Statement("not-secured", {})
        assert found.why == text_of(found.reasons)
        assert "the handshake came to nothing" in found.why
