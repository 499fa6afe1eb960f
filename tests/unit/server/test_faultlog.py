"""What goes wrong in a server's callbacks is told in few lines, and none is lost without a word."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from nattools.server.faultlog import FaultLog


class Clock:
    """As much of an event loop as a fault log asks for."""

    def __init__(self) -> None:
        self.now = 100.0

    def time(self) -> float:
        return self.now


def told(*contexts: dict[str, Any], apart_s: float = 0.0) -> list[str]:
    lines: list[str] = []
    log, clock = FaultLog(lines.append), Clock()
    for context in contexts:
        log(clock, context)  # type: ignore[arg-type]
        clock.now += apart_s
    return lines


@pytest.mark.parametrize(
    ("context", "line"),
    [
        ({}, "a fault in the event loop"),
        ({"message": "a task has failed"}, "a task has failed"),
        (
            {"message": "a task has failed", "exception": ValueError("eh")},
            "a task has failed: ValueError: eh",
        ),
        (
            {"message": "a write has failed", "exception": OSError(28, "No space left on device")},
            "a write has failed: No space left on device",
        ),
        (
            {
                "message": "socket.accept() out of system resource",
                "exception": OSError(24, "Too many open files"),
            },
            "a connection cannot be accepted, and the next is tried in a second: Too many open files",
        ),
    ],
)
def test_a_fault_is_a_line(context: dict[str, Any], line: str) -> None:
    (said,) = told(context)
    assert said.lower() == line.lower()


def test_a_flood_of_faults_is_a_few_lines_and_says_how_many_more_there_were() -> None:
    fault = {"message": "once more"}
    assert told(*[fault] * 1000) == ["once more"] * 5
    *_, last = told(*[fault] * 101, apart_s=0.5)
    assert last.startswith("once more (and ")
    assert "faults before that were not told" in last


def test_all_that_were_not_told_are_counted_once() -> None:
    lines = told(*[{"message": "it"}] * 400, apart_s=1.0)
    untold = sum(int(line.split("(and ")[1].split()[0]) for line in lines if "(and " in line)
    assert 390 <= len(lines) + untold <= 400  # the last few are told with the next fault


def test_the_traceback_is_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    try:
        raise ValueError("deep inside")
    except ValueError as error:
        told({"message": "a task has failed", "exception": error})
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ValueError


def test_a_loop_tells_by_it() -> None:
    lines: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(FaultLog(lines.append))
        loop.call_soon(lambda: 1 // 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    (line,) = lines
    assert "ZeroDivisionError" in line
