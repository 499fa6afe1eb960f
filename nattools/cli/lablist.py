"""`nattools lab list` and `show`: the scenarios that come with nattools, in groups, and one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final

from nattools.errors import UsageError
from nattools.lab.scenario import Scenario
from nattools.lab.scenariofiles import available, file_of, load
from nattools.report.safetext import safe, wrap
from nattools.report.terminal import terminal_columns


def _behind(scenario: Scenario) -> bool:
    return any(nat.behind is not None for nat in scenario.nat.values())


GROUPS: Final[tuple[tuple[str, Callable[[Scenario], bool]], ...]] = (
    ("Two machines that are to connect", lambda it: "pair" in it.expect),
    ("Servers of other kinds", lambda it: any(each.kind != "nattools" for each in it.server.values())),
    ("Routers that map ports on request", lambda it: any(nat.mapper for nat in it.nat.values())),
    ("VPNs, and several ways out", lambda it: any(isinstance(h.behind, tuple) for h in it.host.values())),
    ("IPv6 alone, and IPv4 by translation", lambda it: any(nat.nat64 for nat in it.nat.values())),
    ("Several routers, one behind the other", _behind),
    ("Firewalls without translation", lambda it: bool(it.firewall)),
    ("One router that translates", lambda it: bool(it.nat)),
    ("No router", lambda _: True),
)
"""Each scenario is in the first group that it belongs to."""


def group_of(scenario: Scenario) -> int:
    """The number of its group."""
    return next(number for number, (_, belongs) in enumerate(GROUPS) if belongs(scenario))


def found(words: Sequence[str]) -> list[Scenario]:
    """The scenarios that have all these words, in their name, title, description or group; by groups.
    UsageError: none has."""
    scenarios = [load(name) for name in available()]
    scenarios = [each for each in scenarios if all(word.casefold() in _searched(each) for word in words)]
    if not scenarios:
        raise UsageError(f"no scenario has {safe(' '.join(words), 60)!r}; nattools lab list shows them all")
    return sorted(scenarios, key=group_of)


def _searched(scenario: Scenario) -> str:
    group, _ = GROUPS[group_of(scenario)]
    description = " ".join(scenario.description.split())
    return f"{scenario.name} {scenario.title} {description} {group}".casefold()


def listing(scenarios: Sequence[Scenario], columns: int | None = None) -> str:
    """A heading for each group; below it a line for each name with its title, which may go on in more."""
    columns = columns or terminal_columns(sys.stdout)
    width = max(len(each.name) for each in scenarios)
    lines: list[str] = []
    for number, members in groupby(scenarios, key=group_of):
        lines += ["", GROUPS[number][0].upper()]
        for each in members:
            title = wrap(safe(each.title), max(columns - width - 4, 20)) or [""]
            lines += [
                f"  {each.name:{width}}  {title[0]}",
                *(f"{'':{width + 4}}{line}" for line in title[1:]),
            ]
    return "".join(f"{line}\n" for line in (*lines[1:], "", "nattools lab show NAME says more of one."))


def shown(scenario: Scenario, columns: int | None = None) -> str:
    """Its title and description, what stands behind what, and where the file is."""
    columns = columns or terminal_columns(sys.stdout)
    lines = wrap(safe(scenario.title), columns - 2)
    description = " ".join(scenario.description.split())
    lines += ["", *wrap(safe(description), columns - 2)] if description else []
    lines += ["", *_drawing(scenario)]
    lines += ["", f"  File: {safe(str(file_of(scenario.name)))}" if scenario.name in available() else ""]
    lines += ["", f"nattools lab run {scenario.name}"]
    if len(scenario.host) > 1:
        lines.append(f"nattools punch --lab {scenario.name}")
    return "".join(f"{line}\n" for line in lines)


def _drawing(scenario: Scenario) -> Iterator[str]:
    for kind, nodes in (("host", scenario.host), ("NAT", scenario.nat), ("firewall", scenario.firewall)):
        for name, node in nodes.items():
            behind = (node.behind,) if isinstance(node.behind, str) else node.behind
            place = f"behind {' and '.join(behind)}" if behind else "on the internet"
            yield f"  {kind:8}  {name:12}  {place}"
    for name, server in scenario.server.items():
        yield f"  {'server':8}  {name:12}  {server.kind}"
