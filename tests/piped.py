"""Two machines in one simulator, connected by `punch`, that pipe bytes through whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec
from punching import MATRIX_KINDS, pair, punching

from nattools.engine.punch.options import Connected, PunchOptions, Use, UseResult, Watcher
from nattools.engine.punch.punch import punch_both
from nattools.lab.scenario import ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.punch import Stage
from nattools.model.report import Report
from nattools.traversal.relayaccess import AnyAccess
from nattools.traversal.tunnel import Tunnel
from nattools.traversal.tunnel.pipe import USE, PipeUse

CHUNK = 20_000
EVERY_S = 0.1

Trouble = Callable[[SimLab], Awaitable[None]]


@dataclass
class Side:
    """What one side gives, gets, and reports; `stages` with the times at which they came."""

    data: bytes
    got: bytearray = field(default_factory=bytearray)
    stages: list[Stage] = field(default_factory=list)
    ended_at: float = 0.0
    problem: str | None = None
    report: Report | None = None
    pipe: PipeUse | None = None

    def use(self) -> Use:
        """For `punch`: the pipe, from `data` and to `got`."""

        async def run(_: Connected) -> UseResult:
            assert self.pipe is not None
            outcome = await self.pipe.run(_Source(self.data), _Sink(self.got))
            self.ended_at = asyncio.get_running_loop().time()
            self.problem = outcome.failed
            return UseResult(problem=outcome.failed or "")

        return Use(run, self._prepare, (USE,))

    def _prepare(self, tunnel: Tunnel) -> None:
        self.pipe = PipeUse(tunnel)

    def told(self, stage: str) -> list[str]:
        """The texts of all stages of one kind."""
        return [each.text for each in self.stages if each.stage == stage]


class _Source:
    """A steady stream, so that the trouble comes in its midst."""

    def __init__(self, data: bytes) -> None:
        self._left = data

    async def read(self) -> bytes:
        await asyncio.sleep(EVERY_S)
        data, self._left = self._left[:CHUNK], self._left[CHUNK:]
        return data


class _Sink:
    def __init__(self, got: bytearray) -> None:
        self._got = got

    async def write(self, data: bytes) -> str | None:
        self._got += data
        return None

    async def close(self) -> str | None:
        return None


def pipe_through(
    kinds: tuple[str, str],
    trouble: Trouble,
    *,
    size: int = 600_000,
    seed: int = 1,
    delay_ms: float = 20.0,
    low_ports: bool | None = None,
    after_s: float = 1.0,
    before: Callable[[SimLab], None] = lambda _: None,
    servers: Mapping[str, ServerSpec] = MappingProxyType({}),
    relays: Callable[[SimLab], tuple[AnyAccess, ...]] = lambda _: (),
    **impairment: float,
) -> tuple[Side, Side]:
    """Both sides send `size` bytes to each other; `trouble` begins `after_s` after both are connected, and
    `before` is called with the lab before anything else. `servers`: more of them; `relays`: those that both
    name."""
    draw = random.Random(seed)
    sides = Side(draw.randbytes(size)), Side(draw.randbytes(size // 10))
    scenario = pair(MATRIX_KINDS[kinds[0]], MATRIX_KINDS[kinds[1]], delay_ms=delay_ms, **impairment)
    scenario = msgspec.structs.replace(scenario, server={**scenario.server, **servers})
    with SimLab(scenario, seed=seed) as lab:
        before(lab)

        async def main() -> tuple[Report, Report]:
            secured = asyncio.Event()

            def watcher(side: Side) -> Watcher:
                def tell(stage: Stage) -> None:
                    side.stages.append(stage)
                    if stage.stage == "secured":
                        secured.set()

                return Watcher(stage=tell)

            async def make_trouble() -> None:
                await secured.wait()
                await asyncio.sleep(after_s)
                await trouble(lab)

            measuring = punching(lab)
            options = PunchOptions(measuring=measuring, low_ports=low_ports, relays=relays(lab))
            async with asyncio.TaskGroup() as group:
                troubling = group.create_task(make_trouble())
                reports = await punch_both(
                    (lab.network("alice"), options, watcher(sides[0])),
                    (lab.network("bob"), options, watcher(sides[1])),
                    uses=(sides[0].use(), sides[1].use()),
                )
                troubling.cancel()
            return reports

        sides[0].report, sides[1].report = lab.run(main)
    return sides
