"""What is done with a connection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from nattools.model.punch import Echoes, Throughput
from nattools.model.report import Report
from nattools.traversal.tunnel import Tunnel
from nattools.traversal.tunnel.echo import echoes

GIVE_UP_S: Final = 120.0
"""So long another way is looked for when one is lost."""
PIPE_GIVE_UP_S: Final = 3600.0
"""The same for a pipe, of which the rest would be missing."""
LASTING_GIVE_UP_S: Final = 7 * 24 * 3600.0
"""The same for a connection that is wanted until somebody says that it is enough."""


def patience_s(*uses: Collection[str]) -> float:
    """How long another way is worth looking for, by what the two sides were started for: the same to both."""
    return max(map(_patience_s, uses), default=GIVE_UP_S)


def _patience_s(uses: Collection[str]) -> float:
    ends = "exec" in uses or "bench" in uses
    if "keep" in uses or (not ends and ("forward" in uses or "reverse" in uses)):
        return LASTING_GIVE_UP_S
    return PIPE_GIVE_UP_S if "pipe" in uses else GIVE_UP_S


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
