"""What every relay is tried with, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.relay import RelayKind, RelayStep, RelayStepName, RelayTransport
from nattools.model.relaytrial import RelayCause, RelayFailure, RelayTrial
from nattools.model.serveruri import ServerUri
from nattools.net.base import Network
from nattools.net.web.serversteps import ServerStep, StepFailure
from nattools.probes.probe import Recorder
from nattools.probes.relay.crossing import SIZES, Passage, largest, series, throughput
from nattools.probes.relay.inflight import InFlightLimit
from nattools.probes.relay.shareduplink import SharedUplink
from nattools.protocols import derp
from nattools.protocols.turn.credentials import LongTermCredentials

DIRECT_TRIPS = 5


class TurnAsk(msgspec.Struct, frozen=True):
    """A TURN relay to be tried over one transport. `credentials` None: there are none."""

    server: ServerUri
    transport: Transport
    credentials: LongTermCredentials | None

    @property
    def over(self) -> RelayTransport:
        """As the report has it."""
        return "tls" if self.server.secure else self.transport


class DerpAsk(msgspec.Struct, frozen=True):
    """A DERP server to be tried. `region`: its region's name, "" without a map."""

    node: derp.DerpNode
    region: str = ""


class RelayContext(msgspec.Struct, frozen=True):
    """How relays are to be tried. `count`: how many datagrams measure the round trip; `sizes`, `throughput`:
    measure also which sizes pass, and how much. `family`: of the way to them, None: any. `pinned`: the
    SHA-256 of a server's certificate, by its name, where no authority vouches for it."""

    network: Network
    recorder: Recorder
    flight: InFlightLimit
    count: int = 10
    sizes: bool = False
    throughput: bool = False
    family: Family | None = None
    interface: str | None = None
    pinned: dict[str, str] = {}
    uplink: SharedUplink = msgspec.field(default_factory=SharedUplink)


class RelayRecord:
    """A relay's trial while it goes on; `note` records it, whatever became of it. `told`: fields of the
    observation."""

    def __init__(self, context: RelayContext, relay: RelayKind, uri: str, over: RelayTransport) -> None:
        self.context = context
        self.told: dict[str, Any] = {"relay": relay, "uri": uri, "transport": over}
        self._steps: list[RelayStep] = []
        self._failure: RelayFailure | None = None
        self._time = asyncio.get_running_loop().time
        self._began_at = self._time()
        self._measures = True
        context.uplink.begin()

    @property
    def longest_s(self) -> float | None:
        """The longest step but for the name's: about a round trip. None: there was none yet."""
        times = [one.ms for one in self._steps if one.step != "resolve" and one.ms is not None]
        return max(times) / 1000 if times else None

    def reached(self, server: Endpoint) -> None:
        """Where it is, is known."""
        self.told |= {"server": str(server), "family": server.family}

    def took(self, steps: Iterable[ServerStep]) -> None:
        """Steps on the way to it."""
        self._steps += [RelayStep(step=one.name, ok=one.ok, ms=one.ms, detail=one.detail) for one in steps]
        self.begin()

    def led_nowhere(self, failure: StepFailure, cause: RelayCause | None = None, detail: str = "") -> None:
        """The way to it ended; `cause` and `detail` in place of its own."""
        self.took(failure.steps)
        words = detail or failure.detail
        self._failure = RelayFailure(cause=cause or failure.cause, code=failure.code, detail=words)

    def done(self, step: RelayStepName, detail: str = "") -> None:
        """A further step has succeeded."""
        self._note_step(step, True, detail)

    def fail(
        self, step: RelayStepName, cause: RelayCause, detail: str = "", *, code: int | None = None
    ) -> None:
        """A further step has failed."""
        self._note_step(step, False, detail)
        self._failure = RelayFailure(cause=cause, code=code, detail=detail)

    def begin(self) -> None:
        """The next step begins now, not when the last one ended."""
        self._began_at = self._time()

    def _note_step(self, step: RelayStepName, ok: bool, detail: str) -> None:
        ms = round(1000 * (self._time() - self._began_at), 3)
        self._steps.append(RelayStep(step=step, ok=ok, ms=ms, detail=detail))
        self._began_at = self._time()

    async def measure(self, way: Passage, whole: Passage | None = None, sizes: Sequence[int] = SIZES) -> None:
        """The figures of a relay that has relayed by this way. `whole`: one that fragments nothing, for
        datagrams of these `sizes`."""
        context, crossing = self.context, way.crossing()
        try:
            await series(crossing, context.count, context.flight)
        finally:
            trips = tuple(round(crossing.trips[each], 6) for each in sorted(crossing.trips))
            self.told |= {"sent": crossing.sent, "trips_s": trips, "reordered": crossing.reordered}
        if context.sizes and whole is not None:
            self.told["mtu"] = await largest(whole.crossing(), context.flight, sizes)
        if context.throughput:
            self._has_measured()
            async with context.uplink.alone():
                carried, seconds = await throughput(way.crossing())
            self.told |= {"carried_bytes": carried, "carried_s": round(seconds, 3)}

    def _has_measured(self) -> None:
        """From now on others may fill the line."""
        if self._measures:
            self._measures = False
            self.context.uplink.end()

    def note(self) -> None:
        """Of a trial that was broken off before its end nothing follows but what was seen."""
        self._has_measured()
        finished = self._failure is not None or bool(self.told.get("trips_s"))
        through = finished and self.told.pop("through", True)
        self.context.recorder.add(
            RelayTrial(
                probe="relay", through=through, steps=tuple(self._steps), failure=self._failure, **self.told
            )
        )
