"""A measurement again and again, and what has changed from one to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import msgspec

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, parse_endpoint
from nattools.model.report import Report
from nattools.model.statement import Statement, Value, statement
from nattools.net.base import Network
from nattools.report.comparison import compare
from nattools.watch.keptflow import KeptFlow
from nattools.watch.sleepmeter import Clock, SleepMeter, StandstillMeter

Measure = Callable[[], Awaitable[Report]]
_NOTICED_S = 5.0
"""So soon it is noticed that the machine has slept."""
_WAKING_S, _AGAIN_S = 120.0, 15.0
"""So long after it woke its network may need to come back, and is tried again and again."""


class WatchEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, `at_s` seconds after the watch began. `what` names it as the report does."""

    at_s: float
    what: str
    before: Value = None
    after: Value = None
    better: bool | None = None
    says: Statement


class Watch:
    """Runs `measure` every `every_s` seconds, or at once if it takes longer, for `for_s` seconds (None: for
    ever), and keeps a flow busy meanwhile. `told` hears each event; `seen` each report. A measurement that
    cannot be made is an event too. It keeps the last report and nothing else.

    `clock` goes on while the machine sleeps (None: the loop's, it never sleeps). After a sleep it measures at
    once, and a measurement in which the machine slept is made anew; so after the program stood still."""

    def __init__(
        self,
        network: Network,
        measure: Measure,
        every_s: float,
        told: Callable[[WatchEvent], None],
        seen: Callable[[Report | None], None],
        *,
        for_s: float | None,
        interface: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.last: Report | None = None
        self._measure = measure
        self._every_s = every_s
        self._for_s = for_s
        self._told = told
        self._seen = seen
        self._clock = clock or asyncio.get_running_loop().time
        self._sleeps = clock is not None
        self._meter = SleepMeter(self._clock)
        self._still = StandstillMeter()
        self._began = self._clock()
        self._woke_at: float | None = None
        self._offline_since: float | None = None
        self._flow = KeptFlow(network, self._of_flow, clock=self._clock, interface=interface)
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Until it is cancelled or stopped, or the time is over."""
        async with asyncio.TaskGroup() as group:
            work = (group.create_task(self._measure_on()), group.create_task(self._stopped.wait()))
            beside = (group.create_task(self._flow.run()), group.create_task(self._still.run()))
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for each in (*beside, *work):
                each.cancel()

    def stop(self) -> None:
        """End it soon, in good order."""
        self._stopped.set()

    async def _measure_on(self) -> None:
        end = None if self._for_s is None else self._began + self._for_s
        due = self._began
        while end is None or due <= end:
            due = await self._until(due) + self._every_s
            found = await self._awake()
            if isinstance(found, Report):
                self._online(found)
                self._seen(found)
            else:
                self._offline(found)
                self._seen(None)
                if self._woke_at is not None and self._clock() - self._woke_at < _WAKING_S:
                    due = min(due, self._clock() + _AGAIN_S)
            due = max(due, self._clock())

    async def _until(self, due: float) -> float:
        """Wait until then, or until the machine wakes. When that was."""
        while (rest := due - self._clock()) > 0.001:
            await asyncio.sleep(min(rest, _NOTICED_S) if self._sleeps else rest)
            if self._woke():
                return self._clock()
        return due

    async def _awake(self) -> Report | str:
        """A measurement, or why there can be none."""
        while True:
            found: Report | str
            try:
                found = await self._measure()
            except CannotRun as error:
                found = str(error)
            if not self._woke():
                return found

    def _woke(self) -> bool:
        """Has the machine slept, or the program stood still, since this was last asked?"""
        slept_s, stood_s = self._meter.slept_s(), self._still.stood_s()
        if slept_s:
            self._woke_at = self._clock()
            self._say(statement("watch-woke", seconds=round(slept_s)), "sleep", None, round(slept_s))
        elif stood_s:
            about = round(stood_s, -1)
            self._say(statement("watch-resumed", seconds=about), "standstill", None, about)
        return slept_s > 0 or stood_s > 0

    def _online(self, report: Report) -> None:
        if self._offline_since is not None:
            away = round(self._now - self._offline_since)
            self._offline_since = None
            self._say(statement("watch-online", seconds=away), "online", False, True, better=True)
        before, self.last = self.last, report
        if before is None:
            self._say(statement("watch-began", **_summary(report)), "began", None, None)
        else:
            self._servers(before, report)
            for each in compare(before, report).changes:
                self._say(each.says, each.what, each.before, each.after, better=each.better)
        server = _server_of(report)
        if server is not None:
            self._flow.use(server)

    def _offline(self, why: str) -> None:
        if self._offline_since is None:
            self._offline_since = self._now
            self._say(statement("watch-offline", why=why), "online", True, False, better=False)

    def _servers(self, before: Report, report: Report) -> None:
        earlier = {(each.uri, each.address): each.answered for each in before.servers}
        for each in report.servers:
            answered = earlier.get((each.uri, each.address))
            if answered is not None and answered != each.answered:
                code = "watch-server-back" if each.answered else "watch-server-gone"
                says = statement(code, server=each.uri, address=each.address or "")
                self._say(says, "server", answered, each.answered, better=each.answered)

    def _of_flow(
        self, says: Statement, what: str, before: str | float | None, after: str | float | None
    ) -> None:
        self._say(says, what, before, after, better=False)

    def _say(
        self, says: Statement, what: str, before: Value, after: Value, *, better: bool | None = None
    ) -> None:
        self._told(
            WatchEvent(
                at_s=round(self._now, 3), what=what, before=before, after=after, better=better, says=says
            )
        )

    @property
    def _now(self) -> float:
        return self._clock() - self._began


def _summary(report: Report) -> dict[str, str]:
    nat = report.nat.udp4 or report.nat.udp6 or report.nat.tcp4
    if nat is None:
        works = sum(each.works is True for each in report.relays)
        return {"what": f"{works} of {len(report.relays)} relays work"}
    outside = ", ".join(nat.external) or "unknown"
    return {"what": f"{nat.classic}, from outside {outside}"}


def _server_of(report: Report) -> Endpoint | None:
    """One that answered over UDP."""
    for each in report.servers:
        if each.answered and each.address is not None:
            try:
                found = parse_endpoint(each.address)
            except ValueError:
                continue
            if not ip_address(found.host.partition("%")[0]).is_multicast:
                return found
    return None
