"""Bringing a scenario up on the backend asked for. Only that backend is imported."""

from __future__ import annotations

from nattools.errors import UsageError
from nattools.lab.base import Backend, Lab
from nattools.lab.loader import load
from nattools.lab.scenario import Scenario


def load_scenario(name: str) -> Scenario:
    """A scenario by the name of one that comes with nattools, or by the path of a file."""
    return load(name)


def find_host(scenario: Scenario, name: str | None) -> str:
    """The host of that name, or the first one; UsageError if there is none of that name."""
    if name is None:
        return next(iter(scenario.host))
    if name not in scenario.host:
        raise UsageError(f"the scenario has no host {name!r}; it has: {', '.join(scenario.host)}")
    return name


def open_lab(scenario: Scenario, backend: Backend, seed: int | None = None) -> Lab:
    """A lab to be entered. `seed`: where chance starts; None: the backend's own fixed choice."""
    if backend == "sim":
        from nattools.lab.sim import SimLab

        return SimLab(scenario) if seed is None else SimLab(scenario, seed=seed)
    from nattools.lab.netns import NetnsLab

    return NetnsLab(scenario) if seed is None else NetnsLab(scenario, seed=seed)
