"""What a shell may complete words of a command line with. It is asked at each Tab: nothing is imported
beforehand, and nothing is said of what goes wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any


def scenarios(incomplete: str) -> list[str]:
    """The names of those that come with nattools; a path is the shell's affair."""
    from nattools.lab.scenariofiles import available

    return _that_begin(incomplete, available())


def hosts(ctx: Any, incomplete: str) -> list[str]:
    """The hosts of the scenario that was typed before."""
    return _that_begin(incomplete, _hosts_of(str(ctx.params.get("scenario") or "")))


def labs(incomplete: str) -> list[str]:
    """`SCENARIO[:HOST]`."""
    scenario, colon, _ = incomplete.partition(":")
    if not colon:
        return scenarios(incomplete)
    return _that_begin(incomplete, (f"{scenario}:{host}" for host in _hosts_of(scenario)))


def one_of(*words: str) -> Callable[[str], list[str]]:
    """One of a few words."""
    return lambda incomplete: _that_begin(incomplete, words)


def codes(incomplete: str) -> list[str]:
    """The codes that `nattools explain` knows."""
    from nattools.model.report import TECHNIQUE_IDS
    from nattools.wording.explanations import all_codes

    return _that_begin(incomplete, [*TECHNIQUE_IDS, *all_codes()])


def interfaces(incomplete: str) -> list[str]:
    """The interfaces of this machine."""
    from nattools.net.system.hostnetwork import HostNetwork

    with contextlib.suppress(Exception):
        return _that_begin(incomplete, (each.name for each in HostNetwork().interfaces()))
    return []


def _hosts_of(scenario: str) -> Iterable[str]:
    from nattools.errors import UsageError
    from nattools.lab.scenariofiles import load

    try:
        return list(load(scenario).host)
    except UsageError:
        return ()


def _that_begin(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
