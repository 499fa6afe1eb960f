"""Every kind of listener's network with every kind of caller's, connected by pwnat in three ways; run as a
program it prints the table of the guide."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable
from typing import Literal

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import Watcher
from nattools.engine.pwnat.connecting import Side
from nattools.engine.pwnat.knockoptions import PwnatOptions
from nattools.lab.backend import Backend, Lab, open_lab
from nattools.lab.scenario import FirewallSpec, HostSpec, NatSpec, RouterSpec, Scenario
from nattools.model.serveruri import parse_server
from nattools.trials.knocks import connected_in_lab

Way = Literal["alone", "with a server", "as the original"]
WAYS: tuple[Way, ...] = ("alone", "with a server", "as the original")
APD = "address-and-port-dependent"
RANDOM = NatSpec(mapping=APD, allocation="random", echo_ids="rewritten", errors_out="untranslated")
SEQUENTIAL = NatSpec(mapping=APD, allocation="sequential", errors_out="untranslated")
CALLERS: dict[str, RouterSpec | None] = {
    "public": None,
    "firewall": FirewallSpec(errors_out="untranslated"),
    "port-restricted": NatSpec(errors_out="untranslated"),
    "invalid drop": NatSpec(),
    "random": RANDOM,
    "sequential": SEQUENTIAL,
    "CGNAT": NatSpec(errors_out="untranslated"),
}
"""The routers before each; before that of "CGNAT" there is another one. All but "invalid drop" are Linux
routers without that rule."""
LISTENERS: dict[str, RouterSpec | None] = {
    **CALLERS,
    "random, told": NatSpec(mapping=APD, allocation="random", quotes="translated"),
    "sequential, told": NatSpec(mapping=APD, allocation="sequential", quotes="translated"),
}
"""Of the last ones, which are no Linux routers, the checksums that routers quote tell the port."""
WAIT_S = 12.0
PATIENT_S = 60.0
"""For a pair that is to connect and has not: where a port is drawn it takes 9 s on a busy machine."""
Results = dict[tuple[str, str], bool]


def scenario() -> Scenario:
    """A listener `lN` and a caller `cN` in a network of each kind."""
    nat, firewall, host = dict[str, NatSpec](), dict[str, FirewallSpec](), dict[str, HostSpec]()
    for end, kinds in (("l", LISTENERS), ("c", CALLERS)):
        for number, (kind, spec) in enumerate(kinds.items()):
            name = f"{end}{number}"
            host[name] = HostSpec(behind=None if spec is None else f"r{name}", delay_ms=2)
            if isinstance(spec, FirewallSpec):
                firewall[f"r{name}"] = spec
            elif spec is not None and kind == "CGNAT":
                nat[f"o{name}"] = NatSpec(
                    address=f"100.{64 + number}.{ord(end)}.0/24", errors_out="untranslated"
                )
                nat[f"r{name}"] = NatSpec(behind=f"o{name}", errors_out="untranslated")
            elif spec is not None:
                nat[f"r{name}"] = spec
    return Scenario(title="pwnat", name="pwnat", nat=nat, firewall=firewall, host=host)


def pairs_in_rounds() -> list[list[tuple[int, int]]]:
    """All pairs; in a round no host is in two of them."""
    turns = [
        [(number, (number + turn) % len(LISTENERS)) for number in range(len(LISTENERS))]
        for turn in range(len(LISTENERS))
    ]
    return [[pair for pair in turn if pair[1] < len(CALLERS)] for turn in turns]


async def connected(
    lab: Lab, way: Way, listener: int, caller: int, port: int, wait_s: float = WAIT_S
) -> bool:
    """Do these two connect, both of them?"""
    uris = lab.server_uris() if way == "with a server" else ()
    sides: list[Side] = []
    for host in (f"l{listener}", f"c{caller}"):
        measuring = MeasureOptions("pwnat", tuple(map(parse_server, uris)), families=(4,))
        chosen = PwnatOptions(
            secret=f"of {listener} and {caller}",
            measuring=measuring,
            wait_s=wait_s,
            port=port,
            compat=way == "as the original",
        )
        sides.append((lab.network(host), chosen, Watcher()))
    reports = await connected_in_lab(lab, f"l{listener}", (sides[0], sides[1]))
    return all(report.pwnat is not None and report.pwnat.connected for report in reports)


async def missed(lab: Lab, way: Way, missing: Iterable[tuple[str, str]]) -> Results:
    """These once more, one after the other, each by a port of its own."""
    rows, columns, found = list(LISTENERS), list(CALLERS), Results()
    for number, (row, column) in enumerate(missing):
        port = 2222 if way == "as the original" else 4000 + number
        pair = rows.index(row), columns.index(column)
        found[row, column] = await connected(lab, way, *pair, port, PATIENT_S)
    return found


async def matrix(lab: Lab, way: Way) -> Results:
    """A round after the other; the pairs of a round side by side."""
    rows, columns, found = list(LISTENERS), list(CALLERS), Results()
    for turn, pairs in enumerate(pairs_in_rounds()):
        port = 2222 if way == "as the original" else 3000 + turn
        async with asyncio.TaskGroup() as group:
            tasks = {pair: group.create_task(connected(lab, way, *pair, port)) for pair in pairs}
        for (listener, caller), task in tasks.items():
            found[rows[listener], columns[caller]] = task.result()
    return found


def results(backend: Backend, way: Way, missing: Iterable[tuple[str, str]] = ()) -> Results:
    """Of the whole matrix, or of these pairs alone."""
    with open_lab(scenario(), backend) as lab:
        return lab.run(lambda: missed(lab, way, missing) if missing else matrix(lab, way))


def table(found: dict[Way, Results]) -> str:
    """Rows are listeners, columns callers; a letter for each way that connects."""
    letters = {"alone": "A", "with a server": "S", "as the original": "o"}
    lines = [f"| listener | {' | '.join(CALLERS)} |", "| --- |" + " --- |" * len(CALLERS)]
    for listener in LISTENERS:
        cells = [
            "".join(letter for way, letter in letters.items() if found[way][listener, caller]) or "-"
            for caller in CALLERS
        ]
        lines.append(f"| {listener} | {' | '.join(cells)} |")
    counts = [f"{way}: {sum(each.values())} of {len(each)}" for way, each in found.items()]
    same = [
        f"{way}: {sum(met for (row, _), met in each.items() if row in CALLERS)} of {len(CALLERS) ** 2}"
        for way, each in found.items()
    ]
    return "\n".join([*lines, "", "; ".join(counts), f"of the first rows {'; '.join(same)}"])


if __name__ == "__main__":
    began = time.monotonic()
    backend: Backend = "netns" if "netns" in sys.argv else "sim"
    print(table({way: results(backend, way) for way in WAYS}))
    print(f"{time.monotonic() - began:.0f} s on {backend}")
