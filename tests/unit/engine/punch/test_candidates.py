"""How soon checks get in: what the first packets of an attempt are."""

from __future__ import annotations

import msgspec
import pytest

from nattools.lab.natkinds import MATRIX_KINDS, scenario_of_pairs
from nattools.lab.sim.simlab import SimLab
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
