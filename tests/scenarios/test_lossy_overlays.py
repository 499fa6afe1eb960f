"""With 10% of all packets lost each way, nothing wrong is said of tailnets and of the local network: what
lost packets leave open is unknown."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nattools.engine.lanlook import measure_lan
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.tailnets import measure_tailnets
from nattools.lab.scenariofiles import load
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.trials.scenarios import measure_options

SEEDS = range(12)


def lossy(name: str, seed: int) -> Report:
    """What alice says where every host loses packets."""
    drawn = load(name)
    hosts = {host: replace(spec, loss=0.1) for host, spec in drawn.host.items()}
    with SimLab(replace(drawn, host=hosts), seed=seed) as lab:
        chosen = measure_options(lab, "alice")
        network = lab.network("alice")
        if chosen.command == "lan":
            return lab.run(lambda: measure_lan(network, chosen, lambda event: None))
        return lab.run(lambda: measure_tailnets(network, chosen, lambda event: None, MemoryJournal()))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "varies"), [("tailnet", False), ("tailnet-symmetric", True)])
def test_no_tailnet_is_taken_for_broken(name: str, varies: bool, seed: int) -> None:
    report = lossy(name, seed)
    assert report.tailscale is not None
    (found,) = report.tailscale.tailnets
    assert found.reachable is not False
    assert found.logs_in is not False
    assert found.netcheck is not None
    if varies and found.netcheck.MappingVariesByDestIP is False:
        # one server alone has answered; netcheck would say so, and is contradicted
        assert "ts-varies-after-all" in [each.code for each in report.tailscale.beyond_netcheck]
    else:
        assert found.netcheck.MappingVariesByDestIP in (varies, None)
    foretold = report.tailscale.direct_with
    assert foretold["port-restricted"] in ("relay" if varies else "direct", "unknown")
    assert foretold["symmetric random"] in ("relay", "unknown")


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_is_taken_to_be_kept_apart(seed: int) -> None:
    found = lossy("lan-open", seed).lan
    assert found is not None
    assert found.isolated is not True
    for value in (found.unicast, found.broadcast, found.multicast4, found.multicast6, found.mdns.works):
        assert value is not False
