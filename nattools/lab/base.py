"""What a running lab offers, whichever backend built it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Literal, Protocol, Self, TypeVar

from nattools.lab.layout import Layout
from nattools.lab.scenario import Scenario
from nattools.net.base import Network

Backend = Literal["sim", "netns"]
T = TypeVar("T")


class Lab(Protocol):
    """A scenario brought up. Enter it, run coroutines in it, leave it; leaving removes all that it made."""

    scenario: Scenario
    layout: Layout
    backend: Backend

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def network(self, node: str) -> Network:
        """The network as the named host (or server) sees it."""

    def server_uris(self) -> tuple[str, ...]:
        """The scenario's servers, as `--server` takes them, in the order of the file."""

    async def stop_router(self, router: str) -> None:
        """Switch off what makes port mappings on a router: it forgets them all."""

    async def start_router(self, router: str) -> None:
        """Switch it on again."""

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        """Run to completion on the lab's own event loop and clock; raises what `main` raises."""
