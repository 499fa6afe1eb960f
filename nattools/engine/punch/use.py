"""What is done with a connection."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from nattools.model.punch import Echoes, Throughput
from nattools.model.report import Report
from nattools.traversal.tunnel import Tunnel
from nattools.traversal.tunnel.echo import echoes


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection to use: `report` is what there is to tell so far."""

    tunnel: Tunnel
    report: Callable[[], Report]


@dataclass(frozen=True, slots=True)
class Used:
    """What its use came to; `problem` says what went wrong, in words, or is empty."""

    echoes: Echoes | None = None
    throughput: Throughput | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """`prepare` registers what the peer may open, before there is a connection; `run` uses it, and the
    connection ends when it returns. `names` tell the peer what this side was started for."""

    run: Callable[[Connected], Coroutine[Any, Any, Used]]
    prepare: Callable[[Tunnel], None] = lambda _: None
    names: tuple[str, ...] = ()


def echoing(count: int) -> Use:
    """Some echoes, and no more."""

    async def run(connected: Connected) -> Used:
        return Used(echoes=await echoes(connected.tunnel, count))

    return Use(run)
