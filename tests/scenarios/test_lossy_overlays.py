"""With 10% of all packets lost each way nothing wrong is said of tailnets, libp2p and the local network: what
a scenario expects is found, or left unknown.

NATTOOLS_LOSSY_RUNS says how often for each scenario; `make loss` takes 200."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from nattools.engine.lanscan import measure_lan
from nattools.engine.libp2pmeasurement import measure_libp2p
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.run import measure
from nattools.engine.tailnets import measure_tailnets
from nattools.lab.scenariofiles import available, load
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.trials.scenarios import measure_options

RUNS = int(os.environ.get("NATTOOLS_LOSSY_RUNS", "6"))
NAMES = [name for name in available() if name.startswith(("tailnet", "libp2p-", "lan-"))]
PARTS = ("tailscale", "libp2p", "lan")
TOLD = ("reason", "actions", "remedy", "steps", "neighbours", "peers")
"""Which words are used depends on what came, and who answers at all on chance."""
MADE = ("netcheck", "home_region")
"""What another program would say of the few answers that came, right or wrong."""
FLAGS = ("false_positive",)
"""What is set where it was found out, and else not."""
ABOUT = ("kind", "name")
UNKNOWN: tuple[Any, ...] = (None, "unknown", "")


def lossy(name: str, seed: int) -> Report:
    """What alice says where every host loses packets."""
    drawn = load(name)
    hosts = {host: replace(spec, loss=0.1) for host, spec in drawn.host.items()}
    with SimLab(replace(drawn, host=hosts), seed=seed) as lab:
        chosen = measure_options(lab, "alice")
        return lab.run(lambda: measured(lab.network("alice"), chosen))


async def measured(network: Network, chosen: MeasureOptions) -> Report:
    match chosen.command:
        case "lan":
            return await measure_lan(network, chosen, lambda event: None)
        case "libp2p":
            return await measure_libp2p(network, chosen, lambda event: None)
        case "tailscale":
            return await measure_tailnets(network, chosen, lambda event: None, MemoryJournal())
        case _:
            return await measure(network, chosen, lambda event: None, MemoryJournal())


def contradicted(found: Any, wanted: Any, where: str) -> list[str]:
    """What is said otherwise than it has to be. What is not known, and a row that is missing, is none."""
    if wanted == "null" or found in UNKNOWN:
        return [] if found in UNKNOWN else [f"{where}: {found!r}, and it cannot be known"]
    if isinstance(wanted, dict):
        return [
            each
            for key, value in wanted.items()
            if key not in (*TOLD, *MADE) and not (key in FLAGS and not found.get(key))
            for each in contradicted(found.get(key), value, f"{where}.{key}")
        ]
    if isinstance(wanted, list) and any(isinstance(each, dict) for each in wanted):
        return [each for row in found for each in _row(row, wanted, where)]
    return [] if found == wanted else [f"{where}: {found!r}, not {wanted!r}"]


def _row(found: dict[str, Any], wanted: list[dict[str, Any]], where: str) -> list[str]:
    """A row of a table: held to those that are about the same, if these say what they are about."""
    same = [row for row in wanted if all(row.get(key, found.get(key)) == found.get(key) for key in ABOUT)]
    tried = [contradicted(found, row, where) for row in same]
    return [] if not tried or [] in tried else tried[0]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_wrong_is_said(name: str) -> None:
    expected = load(name).expect["alice"]

    for seed in range(RUNS):
        report = lossy(name, seed)
        said = msgspec.json.decode(msgspec.json.encode(report))
        verdicts = {each.id: each.verdict for each in report.techniques}
        wrong = contradicted(verdicts, expected.get("technique", {}), "technique")
        for part in PARTS:
            wrong += contradicted(said[part], expected.get(part, {}), part)
        assert wrong == [], f"seed {seed}"
    print(f"{name}: nothing wrong in {RUNS} runs")


@pytest.mark.parametrize("seed", range(RUNS))
def test_netcheck_is_contradicted_where_one_server_alone_answered(seed: int) -> None:
    report = lossy("tailnet-symmetric", seed)
    assert report.tailscale is not None
    (found,) = report.tailscale.tailnets
    assert found.netcheck is not None
    if found.netcheck.MappingVariesByDestIP is False:
        assert "ts-varies-after-all" in [each.code for each in report.tailscale.beyond_netcheck]
    assert report.tailscale.direct_with["port-restricted"] in ("relay", "unknown")
    assert report.tailscale.direct_with["symmetric random"] in ("relay", "unknown")
