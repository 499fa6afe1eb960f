"""The plan is pure: tables of what servers can do, and what is asked of them."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.plan import gaps, lanes, ranked, steps
from nattools.engine.registry import lane_probes
from nattools.model.endpoint import Endpoint
from nattools.probes.probe import LaneProbe
from nattools.probes.target import Lane, Target
from nattools.protocols.stun.constants import SERVICE_DIAL_BACK_TCP

Command = Literal["diagnose", "nat"]

HOME = Endpoint("11.201.0.2", 3478)


def server(
    *, other: Endpoint | None = None, nattools: bool = False, dial_back: bool = False, host: str = HOME.host
) -> Target:
    return Target(
        uri=host,
        endpoint=Endpoint(host, 3478),
        transport="udp",
        mapped=Endpoint("11.1.0.2", 40000),
        rtt_s=0.01,
        other=other,
        nattools=nattools,
        services=SERVICE_DIAL_BACK_TCP if dial_back else 0,
    )


OWN = server(other=Endpoint("11.201.0.3", 3479), nattools=True, dial_back=True)
COTURN = server(other=Endpoint("11.202.0.3", 3479), host="11.202.0.2")
ONE_ADDRESS = server(other=Endpoint("11.203.0.2", 3479), host="11.203.0.2")
PLAIN = server(host="11.204.0.2")


def probes(command: Command = "nat", *, lifetime: bool = False) -> list[LaneProbe]:
    options = MeasureOptions(command, (), lifetime=lifetime)
    return [probe for probe in lane_probes(options) if probe.wanted(options)]


def names(lane: Lane, *targets: Target, command: Command = "nat", lifetime: bool = False) -> list[str]:
    return [step.probe.name for step in steps(probes(command, lifetime=lifetime), lane, targets)]


def test_each_family_has_a_lane_for_udp_and_one_for_tcp() -> None:
    assert [lane.name for lane in lanes((4, 6))] == ["udp4", "tcp4", "udp6", "tcp6"]


def test_the_ablest_server_is_asked_first_and_equals_keep_the_users_order() -> None:
    second = server(host="11.205.0.2")
    assert ranked([PLAIN, ONE_ADDRESS, second, COTURN, OWN]) == [OWN, COTURN, ONE_ADDRESS, PLAIN, second]


def test_among_equals_those_that_seem_overloaded_or_far_come_last() -> None:
    far, lossy = msgspec.structs.replace(OWN, rtt_s=0.2), msgspec.structs.replace(OWN, lost=1)
    near = msgspec.structs.replace(OWN, rtt_s=0.13)
    assert ranked([far, lossy, near, OWN, PLAIN]) == [near, OWN, far, lossy, PLAIN]
    assert ranked([PLAIN, far]) == [far, PLAIN]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (OWN, {"filter-address", "filter-port"}),
        (COTURN, {"filter-address", "filter-port"}),
        (ONE_ADDRESS, {"filter-port"}),
        (PLAIN, set()),
    ],
)
def test_filtering_is_asked_only_of_servers_that_can_answer_from_elsewhere(
    target: Target, expected: set[str]
) -> None:
    assert {name for name in names(Lane("udp", 4), target) if name.startswith("filter")} == expected


def test_mapping_is_asked_of_all_servers_and_the_rest_of_the_best_one() -> None:
    by_name = {step.probe.name: step for step in steps(probes(lifetime=True), Lane("udp", 4), (PLAIN, OWN))}
    assert by_name["mapping"].targets == (OWN, PLAIN)
    assert by_name["allocation"].targets == by_name["lifetime"].targets == (OWN,)


def test_lifetime_is_measured_only_when_asked_for() -> None:
    assert "lifetime" not in names(Lane("udp", 4), OWN)
    assert "lifetime" in names(Lane("udp", 4), OWN, lifetime=True)


def test_tcp_filtering_needs_a_server_that_dials_back() -> None:
    assert names(Lane("tcp", 4), COTURN) == ["mapping-tcp"]
    assert names(Lane("tcp", 4), OWN) == ["mapping-tcp", "filter-port-tcp", "filter-address-tcp"]


@pytest.mark.parametrize(
    ("target", "services", "udp", "tcp"),
    [(OWN, 3, True, True), (OWN, 1, True, False), (OWN, 0, False, False), (ONE_ADDRESS, 3, False, False)],
)
def test_a_hole_is_punched_to_the_second_address_of_a_server_that_dials_back(
    target: Target, services: int, udp: bool, tcp: bool
) -> None:
    able = msgspec.structs.replace(target, services=services)
    found = [names(Lane(transport, 4), able, command="diagnose") for transport in ("udp", "tcp")]
    assert [("punch" in found[0]), ("punch-tcp" in found[1])] == [udp, tcp]
    assert "punch" not in names(Lane("udp", 4), able), "it is for a diagnosis"


def test_what_cannot_be_asked_is_said_with_what_would_settle_it() -> None:
    udp, tcp = gaps(probes(), Lane("udp", 4), [PLAIN]), gaps(probes(), Lane("tcp", 4), [COTURN])
    assert [gap.question for gap in udp + tcp] == ["Who may send in (udp4)?", "Who may connect in (tcp4)?"]
    assert all("nattools serve" in gap.settle for gap in udp + tcp)
    assert gaps(probes(), Lane("udp", 4), [OWN]) == gaps(probes(), Lane("tcp", 4), [OWN]) == []
