"""One side fails for good: the other is told why, and does not wait for days."""

from __future__ import annotations

import asyncio

import pytest
from punching import MATRIX_KINDS, pair

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import Connected, PunchOptions, Use, UseResult, Watcher
from nattools.engine.punch.punch import punch
from nattools.errors import CannotRun
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.traversal.codes import Code, parse_code


@pytest.mark.parametrize(
    ("error", "told"), [(CannotRun("port 8080 is taken"), "port 8080 is taken"), (KeyError(), "has failed")]
)
def test_the_other_side_is_told_why_at_once(error: Exception, told: str) -> None:
    async def fails(connected: Connected) -> UseResult:
        await connected.tunnel.present.wait()
        raise error

    async def stays(connected: Connected) -> UseResult:
        while connected.tunnel.ended is None:
            await connected.tunnel.changed()
        return UseResult(problem=connected.tunnel.ended)

    with SimLab(pair(MATRIX_KINDS["full-cone"], MATRIX_KINDS["full-cone"]), seed=1) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        measuring = MeasureOptions("punch", servers)

        async def side(host: str, code: Code | None, use: Use, watcher: Watcher) -> Report:
            options = PunchOptions(measuring=measuring, code=code)
            return await punch(lab.network(host), options, watcher, None, use)

        async def main() -> tuple[Report, float]:
            loop = asyncio.get_running_loop()
            codes: asyncio.Queue[str] = asyncio.Queue()

            async def failing() -> None:
                with pytest.raises(type(error)):
                    await side("alice", None, Use(fails), Watcher(code=codes.put_nowait))

            async with asyncio.TaskGroup() as group:
                group.create_task(failing())
                code = parse_code(await codes.get())
                staying = group.create_task(side("bob", code, Use(stays, names=("keep",)), Watcher()))
            return staying.result(), loop.time()

        report, ended_s = lab.run(main)
    assert report.punch is not None
    assert told in report.punch.advice
    assert ended_s < 10


def test_that_nobody_is_in_a_typed_codes_room_is_said() -> None:
    with SimLab(pair(MATRIX_KINDS["full-cone"], MATRIX_KINDS["full-cone"]), seed=1) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = PunchOptions(
            measuring=MeasureOptions("punch", servers), code=parse_code("7-acorn-abacus"), wait_s=30
        )
        told: list[tuple[float, str]] = []
        watcher = Watcher(stage=lambda stage: told.append((stage.at_s, stage.text)))
        lab.run(lambda: punch(lab.network("bob"), options, watcher))
    at_s, _ = next(each for each in told if "Nobody else is in this room yet" in each[1])
    assert at_s < 2
