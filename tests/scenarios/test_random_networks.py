"""Networks drawn at random, an oracle beside them: no finding is wrong, and few are unknown.

`make loss` draws 20,000 of them, and 10,000 stranger ones; the ordinary tests some. The seeds are fixed:
NATTOOLS_FIRST_NETWORK names the first one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from randomnetworks import UNKNOWN, Drawing, drawn
from strangenetworks import strange

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.errors import CannotRun
from nattools.lab.scenariofiles import parse
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.model.serveruri import parse_server

NETWORKS = int(os.environ.get("NATTOOLS_RANDOM_NETWORKS", "400"))
FIRST = int(os.environ.get("NATTOOLS_FIRST_NETWORK", "0"))
STRANGE = NETWORKS // 2
PARTS = 4
ONCE_WRONG = (101407, 101772, 102205, 102976, 15796, 16632, 19296, 202869, 6102089)
"""Two servers that are both silent when another address is to answer; a server that errs in step with the
ports that ask it; a NAT that counts and gives every second port another of its addresses; a server that errs
now and then, with a NAT that deals out several addresses; ports at random that fall by chance; a counter of
which few ports are seen."""
MOST_UNKNOWN = {"pooling": 0.03, "filtering": 0.15, "hairpinning": 0.7, "double_nat": 0.4, "cgnat": 0.4}
"""Of the findings of each part where an able server was asked and nothing is lost; of others 0.01. The filter
hides hairpinning from one machine alone; where it lets everybody in, an opener does not tell how many NATs
there are."""
STRANGE_ONCE_WRONG = (
    67, 77, 453, 1444, 1788, 1921, 2432, 4262, 5945, 21344, 23217, 25043, 26842, 28652, 28938, 43596, 44042,
    5000605, 5003267, 5005302, 5006895, 5105711, 5106810,
    5007523, 5109228, 5109359, 5008102, 5302493, 5105745, 5104764, 5101310,
    6101867, 6102384, 6102762, 6104147, 6100294,
    6202458, 6209303, 6106373, 6100838,
)  # fmt: skip
"""A carrier with squatted addresses that lets everybody in; counters that keep parity, seen under loss and by
several tests at once; public addresses routed behind a NAT; blocks that are aligned to nothing; a
silent NAT that lets everybody in; two addresses of which one server alone saw both; one counter for several
addresses; ports at random of a short range that fall by chance, and a counter's that wrap around; bursts of
losses that nothing else met, or that come twice; outages that end as connections get through; a NAT with
several addresses that ends mappings at ICMP errors, and such ends between two answers; two of three ports
that are the same by chance, and a few of a port set that fall by it."""
STRANGE_UNKNOWN = MOST_UNKNOWN | {
    "mapping": 0.1,
    "filtering": 0.25,
    "port_allocation": 0.25,
    "port_step": 0.2,
    "double_nat": 0.7,
    "cgnat": 0.7,
}
"""Of these: ports are drawn from ranges that hold few, mappings end early, routers keep silent."""


def measured(text: str, seed: int) -> Report | None:
    """None: nobody answered."""
    with SimLab(parse(text, "random"), seed=seed) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions(command="nat", servers=servers, families=(4,))
        try:
            return lab.run(lambda: measure(lab.network("a"), options, lambda event: None))
        except CannotRun:
            return None


def wrong(report: Report, drawing: Drawing, counts: Counter[str]) -> list[str]:
    """Findings that are not true. What is right and what is unknown is counted."""
    nat = report.nat.udp4
    if nat is None or nat.reachable is None:
        return []
    found: list[str] = []
    for field, right in drawing.truth.items():
        said: Any = getattr(nat, field)
        if said not in right and said not in UNKNOWN:
            found.append(f"{field} is {said}, not {sorted(map(str, right))}")
        if drawing.able:
            counts[field] += 1
            counts[f"{field} unknown"] += said in UNKNOWN and not right & set(UNKNOWN)
    if not drawing.hosts.issuperset(nat.external):
        found.append(f"external is {nat.external}, not of {sorted(drawing.hosts)}")
    return found


def held(networks: Iterable[tuple[int, Drawing]], most_unknown: dict[str, float]) -> None:
    """Each measured: what is wrong, and whether too much is unknown."""
    counts: Counter[str] = Counter()
    problems = []
    for seed, drawing in networks:
        text = drawing.text
        report = measured(text, seed)
        if report is not None:
            problems += [f"network {seed}: {each}\n{text}" for each in wrong(report, drawing, counts)]
    assert not problems, f"{len(problems)} wrong; the first:\n" + "\n".join(problems[:3])
    fields = [name for name in counts if " " not in name]
    allowed = {name: 1 + most_unknown.get(name, 0.01) * counts[name] for name in fields}
    assert not {name: counts[name] for name in fields if counts[f"{name} unknown"] > allowed[name]}, counts


@pytest.mark.parametrize("part", range(PARTS))
def test_no_finding_is_wrong_and_few_are_unknown(part: int) -> None:
    seeds = (*range(FIRST + part, FIRST + NETWORKS, PARTS), *ONCE_WRONG[part::PARTS])
    held(((seed, drawn(seed)) for seed in seeds), MOST_UNKNOWN)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_finding_is_wrong_in_stranger_networks(part: int) -> None:
    seeds = (*range(FIRST + part, FIRST + STRANGE, PARTS), *STRANGE_ONCE_WRONG[part::PARTS])
    held(((seed, strange(seed)) for seed in seeds), STRANGE_UNKNOWN)
