"""What a running lab offers, whichever backend built it, and the one that is asked for. Only that backend is
imported."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Literal, Protocol, Self, TypeVar

from nattools.errors import UsageError
from nattools.lab.layout import Layout
from nattools.lab.scenario import Scenario
from nattools.net.base import Network

Backend = Literal["sim", "netns"]
T = TypeVar("T")


class Lab(Protocol):
    """A running scenario. Enter it, run coroutines in it, leave it; leaving removes all that it made."""

    scenario: Scenario
    layout: Layout
    backend: Backend
    seed: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def network(self, node: str) -> Network:
        """The network as the named host (or server) sees it."""

    def server_uris(self) -> tuple[str, ...]:
        """The scenario's servers, as `--server` takes them, in the order of the file."""

    async def stop_router(self, router: str) -> None:
        """Switch off a router's port mapping service: it forgets all mappings."""

    async def start_router(self, router: str) -> None:
        """Switch it on again."""

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        """Run to completion on the lab's own event loop and clock; raises what `main` raises."""


def find_host(scenario: Scenario, name: str | None) -> str:
    """The host of that name, or the first one; UsageError if there is none of that name."""
    if name is None:
        return next(iter(scenario.host))
    if name not in scenario.host:
        raise UsageError(f"the scenario has no host {name!r}; it has: {', '.join(scenario.host)}")
    return name


def open_lab(scenario: Scenario, backend: Backend, seed: int | None = None) -> Lab:
    """A lab to be entered. `seed` of the random choices; None: the backend's own fixed one."""
    if backend == "sim":
        from nattools.lab.sim.simlab import SimLab

        return SimLab(scenario) if seed is None else SimLab(scenario, seed=seed)
    from nattools.lab.netns.netnslab import NetnsLab

    return NetnsLab(scenario) if seed is None else NetnsLab(scenario, seed=seed)
