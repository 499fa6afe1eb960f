"""How often the network is looked at before a punch."""

from __future__ import annotations

import pytest
from msgspec import structs
from punching import MATRIX_KINDS, pair, punching

from nattools.engine.measurement import MeasurementRun
from nattools.engine.punch import punch
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.punch import punch_both
from nattools.engine.run import CompletedRun
from nattools.lab.scenario import ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.model.serveruri import parse_server


@pytest.mark.parametrize(("tcp", "looks"), [(True, 2), (False, 1)], ids=["tcp", "--udp-only"])
def test_tcp_that_was_missed_is_measured_anew_where_it_may_be_used(
    tcp: bool, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[MeasurementRun] = []
    look = punch.observe

    async def missing_tcp(run: MeasurementRun) -> CompletedRun:
        looked_at.append(run)
        looked = await look(run)
        run.reached[:] = [target for target in run.reached if target.transport == "udp"]
        return looked

    monkeypatch.setattr(punch, "observe", missing_tcp)
    with SimLab(pair(MATRIX_KINDS["full-cone"], MATRIX_KINDS["full-cone"]), seed=1) as lab:

        async def main() -> tuple[Report, Report]:
            measuring = punching(lab)
            side = (PunchOptions(measuring=measuring, tcp=tcp), Watcher())
            return await punch_both((lab.network("alice"), *side), (lab.network("bob"), *side))

        reports = lab.run(main)
    assert all(report.punch is not None and report.punch.connected for report in reports)
    assert len(looked_at) == 2 * looks


def test_the_first_server_that_says_that_it_has_a_mailbox() -> None:
    """Of several that are named, the public one answers STUN alone."""
    servers = {"public": ServerSpec(kind="plain"), "own": ServerSpec()}
    kinds = pair(MATRIX_KINDS["full-cone"], MATRIX_KINDS["full-cone"])
    with SimLab(structs.replace(kinds, server=servers), seed=1) as lab:

        async def main() -> tuple[Report, Report]:
            named = tuple(map(parse_server, lab.server_uris()))
            measuring = structs.replace(punching(lab), servers=named)
            side = (PunchOptions(measuring=measuring), Watcher())
            return await punch_both((lab.network("alice"), *side), (lab.network("bob"), *side))

        for report in lab.run(main):
            assert report.punch is not None
            assert report.punch.connected
