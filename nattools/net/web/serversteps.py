"""The way to a server step by step: how long each took, and the first that failed."""

from __future__ import annotations

import asyncio
from typing import Literal, NamedTuple

StepName = Literal["resolve", "connect", "tls", "authenticate", "allocate", "relay"]
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
    "error",  # its own error code says why
    "challenge",  # its challenge makes no sense, or asks for what is not supported
    "no-credentials",  # it asks for them, and there are none
]


class ServerStep(NamedTuple):
    """`ms`: how many milliseconds it took, None where there was nothing to do. `detail`: what came of it, or
    why it failed."""

    name: StepName
    ok: bool
    ms: float | None
    detail: str = ""


class StepFailure(NamedTuple):
    """Why a way leads nowhere. The last of `steps` is the one that failed; `code` is the server's own."""

    cause: Cause
    steps: tuple[ServerStep, ...]
    code: int | None = None

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
        self._taken: list[ServerStep] = []
        self._began_at = asyncio.get_running_loop().time()

    @property
    def taken(self) -> tuple[ServerStep, ...]:
        """Up to now."""
        return tuple(self._taken)

    def copied(self) -> Steps:
        """A copy of the steps so far, for an attempt that goes on from here by itself."""
        copy = Steps()
        copy._taken, copy._began_at = list(self._taken), self._began_at
        return copy

    def done(
        self, name: StepName, detail: str = "", *, at_once: bool = False, at: float | None = None
    ) -> None:
        """A step has succeeded, now or `at` that time of the loop, and the next one begins. `at_once`: there
        was nothing to do."""
        self._note(name, True, detail, at_once, at)

    def failed(self, name: StepName, cause: Cause, detail: str, code: int | None = None) -> StepFailure:
        """A step has failed, and the way ends here."""
        self._note(name, False, detail, False)
        return StepFailure(cause, self.taken, code)

    def _note(self, name: StepName, ok: bool, detail: str, at_once: bool, at: float | None = None) -> None:
        now = asyncio.get_running_loop().time() if at is None else at
        ms = None if at_once else round((now - self._began_at) * 1000, 3)
        self._taken.append(ServerStep(name, ok, ms, detail))
        if not at_once:
            self._began_at = now
