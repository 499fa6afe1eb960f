"""A connection over a relay that is kept for longer than the relay's credentials hold."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from punching import MATRIX_KINDS, pair, punching

from nattools.engine.punch.attempt import Attempt
from nattools.engine.punch.candidates import Base
from nattools.engine.punch.options import Connected, PunchOptions, Use, UseResult, Watcher
from nattools.engine.punch.punch import punch_both
from nattools.engine.punch.renewal import LEAST_PAUSE_S, RelayRenewal
from nattools.engine.punch.signals import Introduction
from nattools.engine.punch.timeline import NoPath
from nattools.lab import scenarioservers
from nattools.lab.sim.simlab import SimLab
from nattools.model.punch import Punch, Stage
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.model.statement import statement
from nattools.net.base import Network
from nattools.server.relay import relayservice
from nattools.server.relay.relayservice import RelayConfig
from nattools.server.relay.turncredentials import Challenges
from nattools.server.serving import ServeConfig
from nattools.traversal import relayaccess
from nattools.traversal.relayaccess import TurnAccess
from nattools.traversal.tokens import Relaying

RANDOM = ("symmetric-random", "symmetric-random")
HOUR_S = 3600.0
OFFERED_S = 2 * 3600
"""For so long credentials hold here: half a day of packets would be computed for nothing."""
SECRET = "it is one"
WALL_S = 1_900_000_000.0


@pytest.fixture
def strict_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay reads the simulated clock, and lets nobody go on whose credentials have ended: others than
    ours do so."""
    monkeypatch.setattr(relayservice, "OFFERED_S", OFFERED_S)
    serve, identify = scenarioservers.serve, Challenges.identify

    def relaying(network: Network, config: ServeConfig) -> Any:
        clock = asyncio.get_running_loop().time
        relay = RelayConfig(secret=SECRET, clock=lambda: WALL_S + clock())
        return serve(network, msgspec.structs.replace(config, relay=relay))

    def strictly(self: Challenges, request: Any, client: Any, now: float, known: Any = None) -> Any:
        return identify(self, request, client, now)

    monkeypatch.setattr(scenarioservers, "serve", relaying)
    monkeypatch.setattr(Challenges, "identify", strictly)


class Kept:
    """What one side tells of a connection that is used for some time."""

    def __init__(self, seconds: float) -> None:
        self.stages: list[Stage] = []
        self._seconds = seconds

    def use(self) -> Use:
        async def stay(_: Connected) -> UseResult:
            await asyncio.sleep(self._seconds)
            return UseResult()

        return Use(stay, names=("keep",))

    def watcher(self) -> Watcher:
        return Watcher(stage=self.stages.append)

    def lost(self) -> list[str]:
        return [each.text for each in self.stages if each.stage == "lost"]

    def codes(self) -> list[str]:
        return [each.code for stage in self.stages for each in stage.statements]


def kept(
    seconds: float, *relays: TurnAccess, relaying: Relaying = "reserve"
) -> tuple[tuple[Kept, Kept], tuple[Punch, Punch]]:
    """Both sides, and what they report."""
    sides = Kept(seconds), Kept(seconds)
    with SimLab(pair(*(MATRIX_KINDS[kind] for kind in RANDOM), delay_ms=20), seed=1) as lab:
        options = PunchOptions(measuring=punching(lab), low_ports=False, relays=relays, relaying=relaying)

        async def main() -> tuple[Report, Report]:
            return await punch_both(
                (lab.network("alice"), options, sides[0].watcher()),
                (lab.network("bob"), options, sides[1].watcher()),
                uses=(sides[0].use(), sides[1].use()),
            )

        one, other = (report.punch for report in lab.run(main))
    assert one is not None
    assert other is not None
    return sides, (one, other)


def test_new_credentials_come_from_the_mailbox_before_the_old_ones_end(strict_relay: None) -> None:
    sides, reports = kept(OFFERED_S + 0.2 * HOUR_S)
    for side, report in zip(sides, reports, strict=True):
        assert side.lost() == []
        assert "relay-renewed" in side.codes()
        assert [each.path for each in report.paths] == ["relayed", "relayed"]
        renewed_at = report.paths[1].since_s
        assert 0.85 * OFFERED_S < renewed_at < 0.99 * OFFERED_S


def test_credentials_that_a_secret_makes_are_made_anew(
    strict_relay: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the relay is named: here they hold for a quarter of an hour."""
    seconds = 900
    monkeypatch.setattr(relayaccess, "MADE_S", seconds)
    wall = SimpleNamespace(time=lambda: WALL_S + asyncio.get_running_loop().time())
    monkeypatch.setattr(relayaccess, "time", wall)
    named = TurnAccess(parse_server("turn:stun:3478?transport=udp"), None, secret=SECRET)
    sides, reports = kept(3 * seconds, named)
    for side, report in zip(sides, reports, strict=True):
        assert side.lost() == []
        assert [each.path for each in report.paths] == ["relayed"] * 4


def test_who_wants_a_relay_alone_looks_for_nothing_else_after_a_renewal_in_vain(
    strict_relay: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, in_vain = Attempt.go, list[Attempt]()

    async def first_in_vain(self: Attempt, introduction: Introduction, bases: list[Base]) -> Any:
        if self._aim.renews and len(in_vain) < 2:  # on both sides, before they have introduced themselves
            in_vain.append(self)
            return NoPath((statement("stopped"),))
        return await go(self, introduction, bases)

    monkeypatch.setattr(Attempt, "go", first_in_vain)
    sides, _ = kept(OFFERED_S + 0.2 * HOUR_S, relaying="only")
    assert len(in_vain) == 2
    for side in sides:
        assert "relay-renewal-failed" in side.codes()
        assert "relay-renewed" in side.codes()
        assert "direct-search" not in side.codes()


class TestRelayRenewal:
    def test_what_never_ends_is_never_renewed(self) -> None:
        renewal = RelayRenewal()
        assert not any(renewal.due(float("inf"), hour * HOUR_S) for hour in range(1000))

    def test_in_time_and_again_if_it_came_to_nothing(self) -> None:
        renewal = RelayRenewal()
        due = [now for now in range(0, 800) if renewal.due(800.0, float(now))]
        assert due[0] == 700
        assert len(due) > 2
        pauses = [later - earlier for earlier, later in pairwise(due)]
        assert min(pauses) >= LEAST_PAUSE_S

    def test_only_while_there_is_time(self) -> None:
        """What a relay still passes on afterwards may go on for days."""
        renewal = RelayRenewal()
        due = [now for now in range(8000) if renewal.due(800.0, float(now))]
        assert due[0] == 700
        assert max(due) < 800

    def test_what_ended_before_it_could_be_renewed_is_renewed_once(self) -> None:
        renewal = RelayRenewal()
        assert renewal.due(100.0, 200.0)
        assert not any(renewal.due(100.0, float(now)) for now in range(201, 2000))

    def test_another_path_begins_anew(self) -> None:
        renewal = RelayRenewal()
        assert not renewal.due(800.0, 0.0)
        assert renewal.due(800.0, 750.0)
        assert not renewal.due(1550.0, 751.0)
        assert not renewal.due(float("inf"), 1500.0)
        assert renewal.due(1600.0, 1600.0) is True

    def test_credentials_that_hold_for_a_second_are_not_renewed_each_second(self) -> None:
        """Though each time others have come, and so another end of them."""
        renewal, until, due = RelayRenewal(), 1.0, list[float]()
        for quarter in range(1200):
            now = quarter / 4
            if renewal.due(until, now):
                due.append(now)
                until = now + 1.0
        assert min(later - earlier for earlier, later in pairwise(due)) >= LEAST_PAUSE_S
