"""How soon checks get in: what the first packets of an attempt are."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.candidates import CandidateFilter, gather
from nattools.engine.run import new_run, observe
from nattools.lab.natkinds import MATRIX_KINDS, scenario_of_pairs
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.serveruri import parse_server
from nattools.protocols import ice
from nattools.trials.pairs import PairOptions, connect_pair

RTT_S = 0.08


@pytest.mark.parametrize("kind", ["address-restricted", "port-restricted", "symmetric-sequential"])
def test_a_router_that_only_drops_what_is_early_is_not_waited_for(kind: str) -> None:
    """The second to introduce itself begins before the first knows of it, whose router opens only then: about
    when the packets come that were sent meanwhile."""
    specs = [MATRIX_KINDS[each] for each in ("address-restricted", kind)]
    first, second = (msgspec.structs.replace(each, delay_ms=1000 * RTT_S / 4) for each in specs if each)
    with SimLab(scenario_of_pairs([(first, second)])) as lab:
        reports = lab.run(lambda: connect_pair(lab, "a0", "b0", PairOptions(low_ports=False)))
    for report in reports:
        assert report.punch is not None
        assert report.punch.connected
        assert report.punch.elapsed_s is not None
        assert report.punch.elapsed_s < 1.25 * RTT_S


def test_an_interface_without_internet_delays_nothing() -> None:
    scenario = Scenario(
        title="two interfaces",
        nat={"home": NatSpec(), "dead": NatSpec()},
        host={"alice": HostSpec(behind=("home", "dead"))},
        server={"stun": ServerSpec()},
    )

    async def main(lab: SimLab) -> None:
        loop = asyncio.get_running_loop()
        options = MeasureOptions("punch", (parse_server(lab.server_uris()[0]),), families=(4,))
        looked = await observe(new_run(lab.network("alice"), options, lambda _: None))
        lab.cut("dead")
        began = loop.time()
        bases = await gather(looked.run, [4], looked.report().nat)
        assert loop.time() - began < 0.3
        assert [len(base.seen) for base in bases] == [1, 0]

    with SimLab(scenario) as lab:
        lab.run(lambda: main(lab))


@pytest.mark.parametrize(("second", "checked"), [("11.2.0.3", True), (None, False)])
def test_where_a_nat_has_several_outside_addresses_all_of_them_are_checked(
    second: str | None, checked: bool
) -> None:
    """Though the plan leaves plain checks out, since the NAT's mapping depends on the address."""
    inside = Endpoint("10.0.2.2", 4000)
    places = [Endpoint(host, 4000) for host in ("11.2.0.2", second) if host is not None]
    told = [ice.encode(ice.local_candidate("srflx", place, base=inside)) for place in places]
    with SimLab(scenario_of_pairs([(None, None)])) as lab:
        useful = CandidateFilter(lab.network("a0"), [], told)
        assert [useful.of_use(each, wide=False) for each in told] == [checked] * len(places)
