"""A watch on a machine that sleeps (the event loop's clock stands still meanwhile, as on Linux), one that is
stopped itself, and a wall clock that is set."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo

import pytest

from nattools.engine import run
from nattools.engine.run import measure
from nattools.lab.scenariofiles import parse
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.trials.scenarios import measure_options, no_progress
from nattools.watch.watch import Watch, WatchEvent
from nattools.wording import sentence

HOUR_S = 3600.0
SCENARIO = """
title = "a NAT whose mappings are other ones once it has forgotten them"
[nat.home]
allocation = "random"
[host.alice]
behind = "home"
"""


class Sleeper:
    """A machine behind a home router, watched every hour. `began` are the measurements' moments on the
    loop's clock, `reports` what came of those that counted."""

    def __init__(self, lab: SimLab) -> None:
        self.lab = lab
        self.asleep_s = 0.0
        self.began: list[float] = []
        self.events: list[WatchEvent] = []
        self.reports: list[Report | None] = []
        self.while_measuring: Callable[[], None] = lambda: None

    def clock(self) -> float:
        return self.lab.loop.time() + self.asleep_s

    def sleep(self, seconds: float) -> None:
        """Sleep so long, while the NAT forgets what is not refreshed."""
        self.asleep_s += seconds
        self.lab.restart("home")

    def stand_still(self, seconds: float) -> None:
        """As after Ctrl-Z: the clock goes on, and nothing else."""
        self.lab.loop.now += seconds
        self.lab.restart("home")

    def watch(self, for_s: float, when: dict[float, Callable[[], None]]) -> list[str]:
        """Watch, with what happens at which time of the loop's clock. The events' codes."""
        lab, network = self.lab, self.lab.network("alice")
        chosen = measure_options(lab, "alice")

        async def once() -> Report:
            self.began.append(lab.loop.time())
            self.while_measuring()
            return await measure(network, chosen, no_progress)

        async def main() -> None:
            for at_s, happens in when.items():
                lab.loop.call_at(at_s, happens)
            told, seen = self.events.append, self.reports.append
            await Watch(network, once, HOUR_S, told, seen, for_s=for_s, clock=self.clock).run()

        lab.run(main)
        return [event.says.code for event in self.events]


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    with SimLab(parse(SCENARIO, "sleeper.toml")) as lab:
        yield Sleeper(lab)


def test_after_a_sleep_it_measures_at_once_and_blames_no_nat(sleeper: Sleeper) -> None:
    codes = sleeper.watch(12 * HOUR_S, {HOUR_S + 1000: lambda: sleeper.sleep(8 * HOUR_S)})
    assert codes == ["watch-began", "watch-woke"]
    woke = sleeper.events[1]
    assert woke.at_s == pytest.approx(9 * HOUR_S + 1000, abs=6)
    assert sentence(woke.says) == "This machine slept for 8 h. Measuring again."
    assert sleeper.began[:3] == pytest.approx([0, HOUR_S, HOUR_S + 1000], abs=6)
    assert sleeper.began[3:] == pytest.approx([2 * HOUR_S + 1000, 3 * HOUR_S + 1000], abs=6)


def test_a_measurement_in_which_the_machine_slept_is_made_anew(sleeper: Sleeper) -> None:
    def nod_off() -> None:
        if len(sleeper.began) == 2:
            sleeper.lab.loop.call_later(0.3, sleeper.sleep, 600.0)

    sleeper.while_measuring = nod_off
    assert sleeper.watch(2.5 * HOUR_S, {}) == ["watch-began", "watch-woke"]
    assert len(sleeper.began) == len(sleeper.reports) + 1 == 4


def test_a_network_that_comes_back_after_the_machine_is_not_waited_an_hour_for(sleeper: Sleeper) -> None:
    def lid_shut() -> None:
        sleeper.lab.unplug("alice")
        sleeper.sleep(8 * HOUR_S)

    sleeper.watch(12 * HOUR_S, {1000.0: lid_shut, 1020.0: lambda: sleeper.lab.plug("alice")})
    codes = [event.says.code for event in sleeper.events]
    assert codes == ["watch-began", "watch-woke", "watch-offline", "watch-online"]
    assert sleeper.events[3].at_s - sleeper.events[1].at_s == pytest.approx(30, abs=10)


def test_clocks_that_differ_a_little_are_no_sleep(sleeper: Sleeper) -> None:
    def drift() -> None:
        sleeper.asleep_s += 0.5

    when: dict[float, Callable[[], None]] = {at_s: drift for at_s in range(100, 7000, 100)}
    assert sleeper.watch(2 * HOUR_S, when) == ["watch-began"]


def test_a_program_that_was_stopped_measures_at_once_and_blames_no_nat(sleeper: Sleeper) -> None:
    codes = sleeper.watch(4 * HOUR_S, {HOUR_S + 1000: lambda: sleeper.stand_still(600)})
    assert codes == ["watch-began", "watch-resumed"]
    assert sentence(sleeper.events[1].says) == "This program was stopped for 10 min. Measuring again."
    assert sleeper.began[2] == pytest.approx(HOUR_S + 1600, abs=12)


def test_a_measurement_in_which_the_program_was_stopped_is_made_anew(sleeper: Sleeper) -> None:
    def stop() -> None:
        if len(sleeper.began) == 2:
            sleeper.lab.loop.call_later(0.3, sleeper.stand_still, 600.0)

    sleeper.while_measuring = stop
    assert sleeper.watch(2.5 * HOUR_S, {}) == ["watch-began", "watch-resumed"]
    assert len(sleeper.began) == len(sleeper.reports) + 1 == 4


def test_a_busy_machine_has_not_stopped(sleeper: Sleeper) -> None:
    def hold_up() -> None:
        sleeper.lab.loop.now += 4.0

    when: dict[float, Callable[[], None]] = {at_s: hold_up for at_s in range(100, 7000, 100)}
    assert sleeper.watch(2 * HOUR_S, when) == ["watch-began"]


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0])
def test_a_wall_clock_that_is_set_is_nothing_to_a_watch(
    sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    def set_it() -> None:
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + jump_s)
        monkeypatch.setattr(run, "datetime", SetClock)

    class SetClock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> SetClock:
            return super().now(tz) + timedelta(seconds=jump_s)

    assert sleeper.watch(3 * HOUR_S, {HOUR_S + 1000: set_it}) == ["watch-began"]
    started = [datetime.fromisoformat(each.started) for each in sleeper.reports if each is not None]
    assert (started[-1] - started[0]).total_seconds() == pytest.approx(jump_s, abs=60)
    assert len(sleeper.began) == 4
