"""`nattools lab list` and `show`: the scenarios that come with nattools, in groups, and one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final

from nattools.errors import UsageError
from nattools.lab.impairment import Impairment
from nattools.lab.scenario import Scenario
from nattools.lab.scenarioevents import ScheduledEvent
from nattools.lab.scenariofiles import available, file_of, load
from nattools.report.safetext import safe, untied, wrap
from nattools.report.terminal import terminal_columns
from nattools.wording import terms


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
_MOST_EVENTS = 20


def _group_of(scenario: Scenario) -> int:
    """The number of its group."""
    return next(number for number, (_, belongs) in enumerate(GROUPS) if belongs(scenario))


def found(words: Sequence[str]) -> list[Scenario]:
    """The scenarios that have all these words, in their name, title, description or group; by groups.
    UsageError: none has."""
    scenarios = [load(name) for name in available()]
    scenarios = [each for each in scenarios if all(word.casefold() in _searched(each) for word in words)]
    if not scenarios:
        raise UsageError(f"no scenario has {safe(' '.join(words), 60)!r}; nattools lab list shows them all")
    return sorted(scenarios, key=_group_of)


def _searched(scenario: Scenario) -> str:
    group, _ = GROUPS[_group_of(scenario)]
    description = " ".join(scenario.description.split())
    return f"{scenario.name} {scenario.title} {description} {group}".casefold()


def listing(scenarios: Sequence[Scenario], columns: int | None = None) -> str:
    """A heading for each group; below it a line for each name with its title, which may go on in more."""
    columns = columns or terminal_columns(sys.stdout)
    width = max(len(each.name) for each in scenarios)
    lines: list[str] = []
    for number, members in groupby(scenarios, key=_group_of):
        lines += ["", GROUPS[number][0].upper()]
        for each in members:
            title = wrap(safe(each.title), max(columns - width - 4, 20)) or [""]
            lines += [
                f"  {each.name:{width}}  {title[0]}",
                *(f"{'':{width + 4}}{line}" for line in title[1:]),
            ]
    return "".join(f"{line}\n" for line in (*lines[1:], "", "nattools lab show NAME says more of one."))


def shown(scenario: Scenario) -> str:
    """A scenario's title and description, what stands behind what, and where its file is."""
    columns = terminal_columns(sys.stdout)
    lines = wrap(safe(scenario.title), columns - 2)
    description = " ".join(scenario.description.split())
    lines += ["", *wrap(safe(description), columns - 2)] if description else []
    lines += ["", *_drawing(scenario, columns)]
    lines += ["", f"  File: {safe(str(file_of(scenario.name)))}" if scenario.name in available() else ""]
    lines += ["", f"nattools lab run {scenario.name}"]
    if scenario.event:
        lines.append(f"nattools lab run {scenario.name} --events")
    if len(scenario.host) > 1:
        lines.append(f"nattools punch --lab {scenario.name}")
    return "".join(f"{line}\n" for line in lines)


def _drawing(scenario: Scenario, columns: int) -> Iterator[str]:
    """A line a node, and below it what its uplink does to packets."""
    for kind, nodes in (("host", scenario.host), ("NAT", scenario.nat), ("firewall", scenario.firewall)):
        for name, node in nodes.items():
            behind = (node.behind,) if isinstance(node.behind, str) else node.behind
            place = f"behind {' and '.join(behind)}" if behind else "on the internet"
            yield f"  {kind:8}  {name:12}  {place}"
            yield from _uplink(node, columns)
    for name, server in scenario.server.items():
        yield f"  {'server':8}  {name:12}  {server.kind}"
        yield from _uplink(server, columns)
    for event in scenario.event[:_MOST_EVENTS]:
        again = "" if event.every_s is None else f", and every {untied(terms.seconds(event.every_s))}"
        text = ScheduledEvent(event.at_s, 0, event).text
        yield from _indented(f"after {untied(terms.seconds(event.at_s))}{again}: {text}", columns, "event")
    if len(scenario.event) > _MOST_EVENTS:
        yield f"  {'':8}  and {len(scenario.event) - _MOST_EVENTS} more"


def _uplink(node: Impairment, columns: int) -> Iterator[str]:
    text = "; ".join(_figures(node))
    if text:
        yield from _indented(text, columns, "")


def _indented(text: str, columns: int, label: str) -> Iterator[str]:
    for number, line in enumerate(wrap(safe(text), max(columns - 14, 20))):
        yield f"  {'' if number else label:8}  {'  ' if number or not label else ''}{line}"


def _figures(node: Impairment) -> Iterator[str]:
    """What an uplink does to packets, a phrase each."""
    if node.link is not None:
        yield f"a {node.link} link"
    if node.rate_mbps is not None:
        up = node.rate_mbps if node.rate_up_mbps is None else node.rate_up_mbps
        yield f"{node.rate_mbps:g} Mbit/s down, {up:g} up, a queue of {node.queue_ms:g} ms"
    if node.delay_ms or node.jitter_ms:
        jitter = f", up to {node.jitter_ms:g} ms more by chance" if node.jitter_ms else ""
        yield f"{node.delay_ms:g} ms each way{jitter}"
    if node.more_delay6_ms:
        yield f"IPv6 {node.more_delay6_ms:g} ms later"
    if node.loss:
        yield f"{terms.percent(node.loss)} of packets lost"
    if node.bursts is not None:
        bad, good = (untied(terms.seconds(each)) for each in (node.bursts.bad_s, node.bursts.good_s))
        yield f"after {good} on average, {terms.percent(node.bursts.bad_loss)} lost for {bad}"
    if node.reorder:
        yield f"{terms.percent(node.reorder)} of packets overtaken"
    if node.mtu is not None:
        yield f"MTU {node.mtu}"
