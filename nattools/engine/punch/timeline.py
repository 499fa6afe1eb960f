"""What happened, in order, for the person who looks on and for the report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

import msgspec

from nattools.model.punch import PunchStage, Stage, Strategy

MAX_STAGES = 400
"""Of more, as in weeks of a connection that is kept, the midst is left out."""


class Timeline:
    """Grows while a punch goes on; `tell` hears each stage as it comes. What the peer tells of its side is
    put where it belongs in our time."""

    def __init__(self, tell: Callable[[Stage], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self.began = self._loop.time()
        self._stages: list[Stage] = []

    def note(
        self,
        stage: PunchStage,
        text: str,
        *,
        ok: bool | None = None,
        strategy: Strategy | None = None,
        sent: int | None = None,
        seen: int | None = None,
        at: float | None = None,
        side: Literal["here", "there"] = "here",
    ) -> None:
        """Something that this side did or found, or found out of the other, now or at the loop's time
        `at`."""
        moment = self._loop.time() if at is None else at
        self._add(
            Stage(
                at_s=round(moment - self.began, 3),
                side=side,
                stage=stage,
                text=text,
                ok=ok,
                strategy=strategy,
                sent=sent,
                seen=seen,
            )
        )

    def _add(self, stage: Stage) -> None:
        self._put(stage)
        self._tell(stage)

    def _put(self, stage: Stage) -> None:
        if len(self._stages) >= MAX_STAGES:
            del self._stages[MAX_STAGES // 2]
        self._stages.append(stage)

    def since(self, at: float) -> tuple[Stage, ...]:
        """This side's stages since a moment of the loop's time, with their times counted from it."""
        offset = at - self.began
        return tuple(
            msgspec.structs.replace(stage, at_s=round(stage.at_s - offset, 3))
            for stage in self._stages
            if stage.side == "here" and stage.at_s >= offset and not _is_said_twice(stage)
        )

    def merge(self, stages: tuple[Stage, ...], at: float) -> None:
        """The peer's, whose times count from what was `at` on our loop. It is not told: it is the past. What
        was known of it already is left out."""
        offset = at - self.began
        known = {(stage.stage, stage.text) for stage in self._stages if stage.side == "there"}
        for stage in stages:
            if (stage.stage, stage.text) not in known:
                moved = round(stage.at_s + offset, 3)
                self._put(msgspec.structs.replace(stage, at_s=moved, side="there"))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Of both sides, in the order of time."""
        return tuple(sorted(self._stages, key=lambda stage: stage.at_s))


def _is_said_twice(stage: Stage) -> bool:
    """What both sides say alike, in words that are right for one of them."""
    return stage.stage == "plan" or (stage.stage == "attempt" and stage.ok is None)
