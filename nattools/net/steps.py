"""The way to a server step by step: how long each took, and the first that failed."""

from __future__ import annotations

import asyncio
from typing import Literal, NamedTuple

StepName = Literal["resolve", "connect", "tls", "authenticate", "relay"]
Cause = Literal[
    "unresolved",  # its name has no address
    "timeout",
    "refused",
    "unreachable",
    "prohibited",  # a firewall rejects it
    "closed",
    "certificate",  # it is not the right one
    "not-tls",
    "not-a-relay",  # something else answered
    "verifies",  # it lets only known keys in
]


class Step(NamedTuple):
    """`ms`: how many milliseconds it took, None where there was nothing to do. `detail`: what came of it, or
    why it failed."""

    name: StepName
    ok: bool
    ms: float | None
    detail: str = ""


class StepFailure(NamedTuple):
    """Why a way leads nowhere. The last of `steps` is the one that failed."""

    cause: Cause
    steps: tuple[Step, ...]

    @property
    def step(self) -> StepName:
        """The one that failed."""
        return self.steps[-1].name

    @property
    def detail(self) -> str:
        """In words."""
        return self.steps[-1].detail


class Steps:
    """The steps of one way, as they are taken. Make it within the event loop, when the first one begins."""

    def __init__(self) -> None:
        self._taken: list[Step] = []
        self._began_at = asyncio.get_running_loop().time()

    @property
    def taken(self) -> tuple[Step, ...]:
        """Up to now."""
        return tuple(self._taken)

    def done(self, name: StepName, detail: str = "", *, at_once: bool = False) -> None:
        """A step has succeeded, and the next one begins. `at_once`: there was nothing to do."""
        self._note(name, True, detail, at_once)

    def failed(self, name: StepName, cause: Cause, detail: str) -> StepFailure:
        """A step has failed, and the way ends here."""
        self._note(name, False, detail, False)
        return StepFailure(cause, self.taken)

    def _note(self, name: StepName, ok: bool, detail: str, at_once: bool) -> None:
        now = asyncio.get_running_loop().time()
        ms = None if at_once else round((now - self._began_at) * 1000, 3)
        self._taken.append(Step(name, ok, ms, detail))
        self._began_at = now
