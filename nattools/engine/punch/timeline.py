"""What happened, in order, as typed events: for the person who looks on, for the report and for the peer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from nattools.model.punch import PunchStage, Stage, Strategy
from nattools.model.statement import Statement
from nattools.wording.texts import stage_with_text

MAX_STAGES = 400
"""Of more, as in weeks of a connection that is kept, the middle is left out."""


@dataclass(frozen=True, slots=True)
class NoPath:
    """Why there is no path, and what would help."""

    reasons: tuple[Statement, ...]
    remedies: tuple[Statement, ...] = ()


class Timeline:
    """Grows while a punch goes on; `tell` gets each stage as it comes. The peer's stages are put where they
    belong on our clock."""

    def __init__(self, tell: Callable[[Stage], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self.began = self._loop.time()
        self._stages: list[Stage] = []

    def note(
        self,
        stage: PunchStage,
        *statements: Statement,
        ok: bool | None = None,
        strategy: Strategy | None = None,
        sent: int | None = None,
        seen: int | None = None,
        side: Literal["here", "there"] = "here",
    ) -> None:
        """Something that this side did or found just now, on its own side or on the peer's."""
        noted = Stage(
            at_s=round(self._loop.time() - self.began, 3),
            side=side,
            stage=stage,
            text="",
            ok=ok,
            strategy=strategy,
            sent=sent,
            seen=seen,
            statements=statements,
        )
        self._put(noted)
        self._tell(stage_with_text(noted))

    def _put(self, stage: Stage) -> None:
        if len(self._stages) >= MAX_STAGES:
            del self._stages[MAX_STAGES // 2]
        self._stages.append(stage)

    def since(self, at: float) -> tuple[Stage, ...]:
        """This side's stages since a moment of the loop's time, with their times counted from it."""
        offset = at - self.began
        return tuple(
            stage_with_text(msgspec.structs.replace(stage, at_s=round(stage.at_s - offset, 3)))
            for stage in self._stages
            if stage.side == "here" and stage.at_s >= offset and not _is_known_to_both(stage)
        )

    def merge(self, stages: tuple[Stage, ...], at: float) -> None:
        """Take the peer's stages, whose times count from what was `at` on our loop, without those that are
        here already. `tell` does not get them: they are in the past."""
        offset = at - self.began
        known = {(each.stage, stage_with_text(each).text) for each in self._stages if each.side == "there"}
        for stage in map(stage_with_text, stages):
            if (stage.stage, stage.text) not in known:
                moved = round(stage.at_s + offset, 3)
                self._put(msgspec.structs.replace(stage, at_s=moved, side="there"))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of both sides, in the order of time."""
        return tuple(sorted(map(stage_with_text, self._stages), key=lambda stage: stage.at_s))


def _is_known_to_both(stage: Stage) -> bool:
    """Do both sides note it, each in the words that are right for it?"""
    return stage.stage == "plan" or (stage.stage == "attempt" and stage.ok is None)
