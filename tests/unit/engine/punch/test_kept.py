"""A connection that is kept: for days, through new addresses, rooms whose time is over, a server that is away
for hours; and how it ends when the other side does not come back.

As part of all tests a day has ten minutes, and the mailbox's rooms live as much shorter;
`NATTOOLS_KEPT_DAY_S=86400` takes days as they are.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from punching import MATRIX_KINDS, pair
from simulated import restart_server

from nattools.cli.options.punchoptions import PunchRequest
from nattools.cli.punchsession import PunchSession
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch import connection
from nattools.engine.punch.options import Connected, PunchOptions, Use, UseResult, Watcher
from nattools.engine.punch.punch import punch_both
from nattools.engine.punch.timeline import MAX_STAGES, Timeline
from nattools.lab.scenario import HostSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.punch import Stage
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.model.statement import statement
from nattools.protocols.mailbox.messages import MAX_NAMEPLATE
from nattools.server import mailboxserver
from nattools.server.mailbox import Mailbox, MailboxLimits
from nattools.traversal.codes import Code
from nattools.traversal.mailboxconnection import MailboxAddress
from nattools.traversal.rendezvous import Rendezvous, rendezvous
from nattools.traversal.tunnel import Tunnel
from nattools.traversal.tunnel.measure import echoes

SEQUENTIAL = ("symmetric-sequential", "symmetric-sequential")
TCP = ("udp-blocked", "port-restricted")
WORDS = ("crossover", "clockwork")
REAL_DAY_S = 86400.0
DAY_S = float(os.environ.get("NATTOOLS_KEPT_DAY_S", "600"))
HOUR_S = 3600.0
Trouble = Callable[[SimLab, Tunnel], Awaitable[None]]


@dataclass
class Side:
    """What it was told, what its use came to, and how it ended; `mailboxes` are all that there were."""

    stages: list[Stage] = field(default_factory=list)
    report: Report | None = None
    ended_at: float = 0.0

    def told(self, stage: str) -> list[str]:
        return [each.text for each in self.stages if each.stage == stage]


@pytest.fixture
def mailboxes(monkeypatch: pytest.MonkeyPatch) -> list[Mailbox]:
    """All that a server runs, one after the other, with lifetimes as short as the days."""
    scale = DAY_S / REAL_DAY_S
    limits = MailboxLimits(lifetime_s=12 * HOUR_S * scale, waiting_s=max(120.0, HOUR_S * scale))
    made: list[Mailbox] = []

    def new(_: MailboxLimits | None, **options: Any) -> Mailbox:
        made.append(Mailbox(limits, **options))
        return made[-1]

    monkeypatch.setattr(mailboxserver, "Mailbox", new)
    return made


async def stay(connected: Connected) -> UseResult:
    """As long as the other side wants it."""
    tunnel = connected.tunnel
    while tunnel.ended is None and not tunnel.peer_done:
        await tunnel.changed()
    await tunnel.finish()
    return UseResult()


def keep(
    kinds: tuple[str, str],
    trouble: Trouble,
    *,
    uses: tuple[str, ...] = ("keep",),
    seed: int = 1,
    mine: Callable[[SimLab], Use] | None = None,
) -> tuple[Side, Side]:
    """Connect, have alice go through the trouble, and then part, unless there is no connection any more.
    `mine`: what alice does instead."""
    sides = Side(), Side()
    scenario = pair(MATRIX_KINDS[kinds[0]], MATRIX_KINDS[kinds[1]], delay_ms=20.0)
    scenario = msgspec.structs.replace(scenario, host={**scenario.host, "mallory": HostSpec()})
    with SimLab(scenario, seed=seed) as lab:

        async def hold(connected: Connected) -> UseResult:
            await trouble(lab, connected.tunnel)
            assert (await echoes(connected.tunnel, 3)).received == 3
            return UseResult()

        async def main() -> tuple[Report, Report]:
            options = PunchOptions(
                measuring=MeasureOptions("punch", (parse_server(lab.server_uris()[0]),), families=(4,))
            )
            async with asyncio.timeout(max(3 * HOUR_S, 4 * DAY_S)):  # not the 7 days of patience
                reports = await punch_both(
                    (lab.network("alice"), options, Watcher(stage=sides[0].stages.append)),
                    (lab.network("bob"), options, Watcher(stage=sides[1].stages.append)),
                    uses=(Use(hold, names=uses) if mine is None else mine(lab), Use(stay, names=uses)),
                )
            sides[0].ended_at = lab.loop.time()
            return reports

        sides[0].report, sides[1].report = lab.run(main)
    return sides


async def nothing(_: SimLab, tunnel: Tunnel) -> None:
    """No trouble."""


def numbers(mailbox: Mailbox) -> list[int]:
    return list(mailbox._rooms)


@pytest.mark.parametrize("kinds", [SEQUENTIAL, TCP], ids=" x ".join)
def test_days_with_a_new_address_each_day(kinds: tuple[str, str], mailboxes: list[Mailbox]) -> None:
    """And nothing grows: not what is remembered, nor what waits."""
    sizes: list[tuple[int, int, int]] = []

    async def days(lab: SimLab, tunnel: Tunnel) -> None:
        for _ in range(3):
            await asyncio.sleep(DAY_S)
            lab.restart("a")
            lab.restart("b")
            await asyncio.sleep(90.0)
            assert (await echoes(tunnel, 3)).received == 3
            gc.collect()
            sizes.append((len(asyncio.all_tasks()), mailboxes[0].rooms, len(gc.get_objects())))

    alice, bob = keep(kinds, days)
    assert mailboxes[1:] == []
    for side in (alice, bob):
        assert len(side.told("lost")) == 3
        assert len(side.told("secured")) == 4
        assert all("up to 7 days" in text for text in side.told("lost"))
        assert side.told("end") == ["Both sides are done."]
    assert {rooms for _, rooms, _ in sizes} == {1}
    assert sizes[2][0] <= sizes[0][0]
    assert sizes[2][2] - sizes[1][2] < 500


def test_it_leaves_the_room_of_the_code_when_all_is_quiet(mailboxes: list[Mailbox]) -> None:
    seen: list[list[int]] = []

    async def look(lab: SimLab, tunnel: Tunnel) -> None:
        seen.append(numbers(mailboxes[0]))
        await asyncio.sleep(120.0)
        seen.append(numbers(mailboxes[0]))

    alice, _ = keep(SEQUENTIAL, look)
    first, later = seen
    assert [number <= MAX_NAMEPLATE for number in first] == [True]
    assert max(later) > MAX_NAMEPLATE
    assert not alice.told("lost")


@pytest.mark.parametrize("kinds", [SEQUENTIAL, TCP], ids=" x ".join)
def test_a_server_that_is_away_for_two_hours_while_the_path_breaks(kinds: tuple[str, str]) -> None:
    async def trouble(lab: SimLab, tunnel: Tunnel) -> None:
        await asyncio.sleep(60.0)
        async with asyncio.TaskGroup() as group:
            group.create_task(restart_server(lab, "stun", down_s=2 * HOUR_S))
            lab.restart("a")
            lab.restart("b")
        await asyncio.sleep(90.0)

    for side in keep(kinds, trouble):
        assert len(side.told("lost")) == 1
        assert len(side.told("again")) < 10, "it waits, and does not try what cannot work"
        assert any("cannot be reached" in text for text in side.told("again"))
        assert side.told("end") == ["Both sides are done."]


def test_a_server_that_cannot_be_reached_closes_the_room_meanwhile() -> None:
    """And lets nobody in under the number of a code that two have met under."""

    async def trouble(lab: SimLab, tunnel: Tunnel) -> None:
        for before_s in (5.0, 120.0):  # in the room of the code, and in the one that is kept
            await asyncio.sleep(before_s)
            lab.cut("stun")
            lab.restart("a")
            lab.restart("b")
            await asyncio.sleep(400.0)
            lab.mend("stun")
            await asyncio.sleep(90.0)
            assert (await echoes(tunnel, 3)).received == 3

    for side in keep(SEQUENTIAL, trouble):
        assert len(side.told("lost")) == 2
        assert side.told("end") == ["Both sides are done."]


def test_a_mailbox_that_is_away_while_all_is_well_does_not_matter() -> None:
    async def trouble(lab: SimLab, tunnel: Tunnel) -> None:
        await restart_server(lab, "stun", down_s=HOUR_S)
        await asyncio.sleep(60.0)
        lab.restart("a")
        lab.restart("b")
        await asyncio.sleep(60.0)

    for side in keep(SEQUENTIAL, trouble, uses=()):
        assert len(side.told("lost")) == 1
        assert side.told("end") == ["Both sides are done."]


@pytest.mark.parametrize(
    ("uses", "limit", "within_s"),
    [((), "2 minutes", 120.0), (("pipe",), "1 hour", HOUR_S), (("forward", "exec"), "2 minutes", 120.0)],
)
def test_one_side_gone_for_good_ends_with_a_clear_sentence(
    uses: tuple[str, ...], limit: str, within_s: float
) -> None:
    """Nothing is heard of bob any more: his cable is out, and never in again."""

    async def trouble(lab: SimLab, tunnel: Tunnel) -> None:
        await asyncio.sleep(5.0)
        lab.cut("b")
        await asyncio.Event().wait()

    alice, bob = keep(SEQUENTIAL, trouble, uses=uses)
    for side, why in (
        (alice, "The peer is not in the mailbox."),
        (bob, "The mailbox at stun:3478 cannot be reached: "),
    ):
        assert f"no other was found in {limit}. {why}" in side.told("end")[0]
    assert within_s < alice.ended_at < within_s + 60.0


def test_somebody_takes_all_short_numbers_as_soon_as_the_server_has_restarted() -> None:
    """By chance or on purpose: the two do not meet there any more."""
    met: list[bool] = []

    async def squat(lab: SimLab, number: int) -> None:
        address = MailboxAddress("stun")
        async with rendezvous(
            lab.network("mallory"), address, Code(number, ("crossover", "clockwork"))
        ) as room:
            await asyncio.sleep(300.0)
            met.append(room.has_reached("met"))

    async def trouble(lab: SimLab, tunnel: Tunnel) -> None:
        await asyncio.sleep(120.0)
        for router in ("a", "b"):
            lab.cut(router)
            lab.restart(router)
        await restart_server(lab, "stun")
        async with asyncio.TaskGroup() as group:
            for number in range(1, 10):
                group.create_task(squat(lab, number))
            await asyncio.sleep(20.0)
            lab.mend("a")
            lab.mend("b")
            await asyncio.sleep(90.0)
            assert (await echoes(tunnel, 3)).received == 3

    for side in keep(SEQUENTIAL, trouble):
        assert len(side.told("lost")) == 1
        assert side.told("end") == ["Both sides are done."]
    assert met == [False] * 9


def test_the_command_ends_with_1_when_no_other_way_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LASTING_GIVE_UP_S", 300.0)
    uses: list[PunchSession] = []

    def mine(lab: SimLab) -> Use:
        wish = PunchRequest(code=Code(None, WORDS), keep=True)
        uses.append(PunchSession(wish, lab.network("alice"), None, quiet=True))
        lab.loop.call_later(30.0, lab.cut, "b")
        return uses[0].use

    alice, _ = keep(SEQUENTIAL, nothing, mine=mine)
    assert "no other was found in 5 minutes" in uses[0].problem
    assert not uses[0].problem.endswith("..")
    assert 300.0 < alice.ended_at < 400.0


def test_who_has_left_the_mailbox_is_not_waited_for_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can say any more where another way could be: only the old one may come back."""
    meetings: list[Rendezvous] = []
    made = Rendezvous.__init__

    def remembered(self: Rendezvous, *arguments: Any) -> None:
        made(self, *arguments)
        meetings.append(self)

    monkeypatch.setattr(Rendezvous, "__init__", remembered)

    async def trouble(lab: SimLab, tunnel: Tunnel) -> None:
        await asyncio.sleep(60.0)
        meetings[1].close()
        await asyncio.sleep(1.0)
        lab.cut("b")
        await asyncio.Event().wait()

    alice, _ = keep(SEQUENTIAL, trouble)
    assert "up to 7 days" in alice.told("lost")[0]
    assert alice.told("end")[0].endswith("was found in 2 minutes. The peer has left.")
    assert alice.ended_at < 250.0


def test_of_a_long_time_the_middle_is_left_out_but_all_is_told() -> None:
    told: list[Stage] = []

    async def weeks() -> tuple[Stage, ...]:
        timeline = Timeline(told.append)
        for number in range(10 * MAX_STAGES):
            timeline.note("lost", statement("text", text=str(number)))
        return timeline.stages

    stages = asyncio.run(weeks())
    assert len(told) == 10 * MAX_STAGES
    assert len(stages) == MAX_STAGES
    half = MAX_STAGES // 2
    assert [each.text for each in stages[:half]] == [str(number) for number in range(half)]
    assert stages[-1].text == str(10 * MAX_STAGES - 1)
