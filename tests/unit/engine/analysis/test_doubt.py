"""Servers that err, partial data, and paths that say nothing: what cannot be known stays unknown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from synthetic_nats import A1P1, A1P2, A2P2, CORNERS, PLAIN, World, dial_back, measurement, silent

from nattools.engine.analyse import analyse
from nattools.model.endpoint import Endpoint
from nattools.model.nat import Nat
from nattools.model.observation import Binding, Connection
from nattools.model.report import Measurement, Report, Server
from nattools.net.addresses import is_public

EIM, ADM, APDM = "endpoint-independent", "address-dependent", "address-and-port-dependent"


def diagnosed(source: World | Measurement) -> Report:
    made = source.measurement() if isinstance(source, World) else source
    return analyse(made, is_public=is_public)


def udp4(report: Report) -> Nat:
    assert report.nat.udp4 is not None
    return report.nat.udp4


def asked(world: World, *destinations: Endpoint) -> Report:
    """One local port, these destinations, from plain servers."""
    local = world.fresh()
    for destination in destinations:
        world.ask("mapping", local, destination, other=None)
    return diagnosed(world)


def tcp_connection(outcome: str, remote: Endpoint = A1P1) -> Connection:
    return Connection(id=1, family=4, local=None, remote=str(remote), outcome=outcome)  # type: ignore[arg-type]


def tcp_binding(**extra: Any) -> Binding:
    plain = World().binding("reach", Endpoint("10.0.1.2", 4000), A1P1)
    return msgspec.structs.replace(plain, transport="tcp", **extra)


# --- servers that err


def test_a_dissenting_server_is_outvoted_and_named() -> None:
    world = World()
    local = world.fresh()
    for corner in CORNERS:
        world.ask("mapping", local, corner)
    right = world.binding("mapping", local, PLAIN, other=None)
    world.add(msgspec.structs.replace(right, mapped="9.9.9.9:1"))
    world.add(right)  # it contradicts itself: no NAT changes a mapping between two questions
    report = diagnosed(world)
    assert udp4(report).mapping == EIM
    assert udp4(report).external == ("11.1.0.2",)
    assert any(str(PLAIN) in line and "9.9.9.9" in line for line in report.warnings)


def test_two_servers_that_disagree_leave_it_open() -> None:
    world = World()
    local = world.fresh()
    world.ask("mapping", local, A1P1, other=None)
    world.add(msgspec.structs.replace(world.binding("mapping", local, PLAIN, other=None), mapped="9.9.9.9:1"))
    report = diagnosed(world)
    assert udp4(report).mapping == "unknown"
    assert udp4(report).classic == "unknown"
    assert "do not agree" in udp4(report).unknowns["mapping"]
    assert report.warnings


def test_an_address_that_independent_servers_confirm_is_no_lie() -> None:
    world = World(outside=("11.1.0.2", "11.1.0.3"), seed=3)
    for _ in range(6):
        local = world.fresh()
        world.ask("mapping", local, A1P1)
        world.ask("mapping", local, PLAIN, other=None)
    assert set(udp4(diagnosed(world)).external) == {"11.1.0.2", "11.1.0.3"}


def faking(binding: Binding) -> Binding:
    """Answers CHANGE-REQUEST from its first address."""
    if not binding.change_port:
        return binding
    return msgspec.structs.replace(
        binding,
        outcome="answered",
        received=1,
        source=str(A1P1),
        mapped="11.1.0.2:5",
        response_origin=str(A1P1),
    )


def test_an_answer_from_the_first_address_is_no_sign_of_openness() -> None:
    report = diagnosed(World(mangle=faking).measure())
    assert udp4(report).filtering == "unknown"
    assert report.servers[0].rfc5780 is False
    assert "was asked to answer from its other address" in report.servers[0].problem
    assert any("not used" in line for line in report.warnings)


def test_a_server_that_names_itself_as_its_other_address() -> None:
    def narcissist(binding: Binding) -> Binding:
        if binding.other_address is None or binding.change_port:
            return binding
        return msgspec.structs.replace(binding, other_address=binding.asked)

    report = diagnosed(World(mangle=narcissist).measure())
    assert udp4(report).filtering == "unknown"
    assert "names its own address" in report.servers[0].problem


def test_a_server_whose_origin_is_not_its_source() -> None:
    def elsewhere(binding: Binding) -> Binding:
        return msgspec.structs.replace(binding, response_origin="192.0.2.1:3478")

    report = diagnosed(World(filtering=EIM, mangle=elsewhere).measure())
    assert udp4(report).filtering == "unknown"
    assert "192.0.2.1:3478" in report.servers[0].problem


def test_a_server_that_refuses_change_request() -> None:
    def refuses(binding: Binding) -> Binding:
        if not binding.change_port:
            return msgspec.structs.replace(binding, other_address=None)
        return msgspec.structs.replace(binding, outcome="error", error_code=420, received=1, source=str(A1P1))

    report = diagnosed(World(mangle=refuses).measure())
    assert udp4(report).filtering == "unknown"
    assert report.servers[0].rfc5780 is False
    assert "RFC 5780" in udp4(report).unknowns["filtering"]


def test_silence_of_an_address_that_is_not_alive_is_no_filter() -> None:
    world = World()
    for _ in range(30):
        world.ask("allocation", world.fresh(), A1P1)
    world.filter_test("filter-address", A2P2)
    world.filter_test("filter-port", A1P2)
    assert udp4(diagnosed(world)).filtering == "unknown"


def test_garbage_is_named() -> None:
    world = World()
    plain = world.binding("reach", world.fresh(), A1P1)
    world.add(
        msgspec.structs.replace(plain, outcome="malformed", mapped=None, source=None, detail="too short")
    )
    report = diagnosed(world)
    assert "invalid STUN answer" in report.servers[0].problem
    assert udp4(report).mapping == "unknown"
    assert udp4(report).present is None


# --- partial data


def test_plain_servers_that_agree_show_an_endpoint_independent_mapping() -> None:
    nat = udp4(asked(World(), A1P1, PLAIN))
    assert (nat.mapping, nat.filtering) == (EIM, "unknown")
    assert "nattools serve" in nat.unknowns["filtering"]


def test_plain_servers_that_differ_show_that_it_varies_and_no_more() -> None:
    report = asked(World(mapping=APDM, allocation="random"), A1P1, PLAIN)
    nat = udp4(report)
    assert (nat.mapping, nat.classic) == ("unknown", "symmetric")
    assert "ports of one address" in nat.unknowns["mapping"]
    assert next(r for r in report.requirements if r.number == "REQ-1").status == "not met"


def test_two_ports_of_one_address_cannot_prove_endpoint_independence() -> None:
    nat = udp4(asked(World(), A1P1, A1P2))
    assert nat.mapping == "unknown"
    assert "second address" in nat.unknowns["mapping"]


def test_one_destination_shows_the_nat_but_not_its_mapping() -> None:
    nat = udp4(asked(World(), A1P1))
    assert (nat.present, nat.mapping, nat.external) == (True, "unknown", ("11.1.0.2",))


def test_a_port_moved_by_a_collision_is_outvoted() -> None:
    world = World()
    local = world.fresh()
    for corner in CORNERS[:3]:
        world.ask("mapping", local, corner)
    world.add(msgspec.structs.replace(world.binding("mapping", local, A1P2), mapped="11.1.0.2:45801"))
    report = diagnosed(world)
    assert udp4(report).mapping == EIM
    assert next(r for r in report.requirements if r.number == "REQ-11").status == "not met"


def test_kept_first_ports_do_not_hide_a_random_allocation() -> None:
    """Many a symmetric NAT keeps the port towards the first destination only."""
    world = World(mapping=APDM, allocation="random")
    for _ in range(8):
        local = world.fresh()
        world._mappings[(local, *A1P1)] = Endpoint("11.1.0.2", local.port)
        for corner in (A1P1, A2P2, PLAIN):
            world.ask("mapping", local, corner)
    assert udp4(diagnosed(world)).port_allocation == "random"


# --- nothing comes back


def test_udp_is_blocked_if_the_same_server_answers_over_tcp() -> None:
    plain = World().binding("reach", Endpoint("10.0.1.2", 4000), A1P1)
    nothing = silent(plain, sent=10, change_address=False, change_port=False)
    report = diagnosed(measurement((nothing, tcp_binding(id=2))))
    nat = udp4(report)
    assert (nat.reachable, nat.classic) == (False, "udp blocked")
    verdicts = {t.id: t.verdict for t in report.techniques}
    assert verdicts["udp-punch"] == verdicts["udp-birthday"] == "fails"
    assert report.advice is not None
    assert report.advice.reachable == "over tcp only"
    assert any("UDP out" in line for line in report.advice.to_do)


def test_a_few_silent_copies_do_not_block_udp() -> None:
    plain = World().binding("reach", Endpoint("10.0.1.2", 4000), A1P1)
    nothing = silent(plain, sent=4, change_address=False, change_port=False)
    nat = udp4(diagnosed(measurement((nothing, tcp_binding(id=2)))))
    assert (nat.reachable, nat.classic) == (None, "unknown")


def test_no_answer_at_all_is_offline() -> None:
    plain = World().binding("reach", Endpoint("10.0.1.2", 4000), A1P1)
    nothing = silent(plain, sent=10, change_address=False, change_port=False)
    report = diagnosed(measurement((nothing, tcp_connection("timeout"))))
    assert report.advice is not None
    assert report.advice.reachable == "offline"
    assert (udp4(report).reachable, udp4(report).present) == (None, None)
    assert report.servers[0].answered is False


def test_nothing_asked_is_unknown() -> None:
    report = diagnosed(measurement())
    assert report.advice is not None
    assert report.advice.reachable == "unknown"
    assert report.nat == msgspec.structs.replace(report.nat, udp4=None, udp6=None, tcp4=None, tcp6=None)
    assert {t.verdict for t in report.techniques} <= {"unknown", "skipped", "fails"}


@pytest.mark.parametrize(("purpose", "blocked"), [("reach", (3478,)), ("ports", ())])
def test_a_port_is_blocked_only_where_the_server_must_be_listening(
    purpose: str, blocked: tuple[int, ...]
) -> None:
    world = World()
    https = Endpoint(A1P1.host, 443)
    for _ in range(20):
        world.ask("control", world.fresh(), https, other=None)
    plain = world.binding(purpose, world.fresh(), A1P1, other=None)
    world.add(silent(plain, sent=20, change_address=False, change_port=False))
    nat = udp4(diagnosed(world))
    assert (nat.open_ports, nat.blocked_ports) == ((443,), blocked)


# --- TCP


def over_tcp(world: World, *backs: Any) -> Nat:
    world.measure()
    world.seen = [
        msgspec.structs.replace(o, transport="tcp")
        if isinstance(o, Binding) and o.purpose == "mapping"
        else o
        for o in world.seen
    ]
    made = tuple(msgspec.structs.replace(back, id=1000 + i) for i, back in enumerate(backs))
    report = diagnosed(measurement((*world.seen, *made), host=world.host))
    assert report.nat.tcp4 is not None
    return report.nat.tcp4


def test_tcp_mapping_and_filtering() -> None:
    silent_back = dial_back("tcp", "timeout")
    silent_port = dial_back("tcp", "timeout", change_address=False, origin=str(A1P2))
    nat = over_tcp(World(), silent_back, silent_port)
    assert (nat.mapping, nat.filtering, nat.classic) == (EIM, APDM, "port-restricted cone")
    assert over_tcp(World(), dial_back("tcp", "arrived")).filtering == EIM
    assert over_tcp(World(), dial_back("tcp", "denied")).filtering == "unknown"
    assert over_tcp(World(), dial_back("tcp", "timeout", sent=1)).filtering == "unknown"


def test_a_refused_connection_needs_no_copies() -> None:
    refused = dial_back("tcp", "refused", sent=1, change_address=False, origin=str(A1P2))
    report = over_tcp(World(), refused)
    assert report.filtering == APDM


def test_servers_are_described_by_what_they_did() -> None:
    report = diagnosed(World(filtering=EIM).measure())
    assert report.servers[0] == Server(
        uri="stun:11.201.0.2", address="11.201.0.2", answered=True, rfc5780=True, nattools=True
    )
    plain = World(mangle=lambda binding: msgspec.structs.replace(binding, nattools_server=False))
    assert diagnosed(plain.measure()).servers[0].rfc5780 is None


@pytest.mark.parametrize("step", [1, 2, 4])
@pytest.mark.parametrize("seed", range(5))
def test_a_disordered_sequence_is_not_taken_for_random(step: int, seed: int) -> None:
    """Probes that run side by side record in another order than the NAT saw."""
    world = World(mapping=APDM, allocation="sequential", step=step, seed=seed).measure()
    shuffled = [msgspec.structs.replace(observation, at_s=0.02) for observation in world.seen]
    world.rng.shuffle(shuffled)
    world.seen = shuffled
    nat = udp4(diagnosed(world))
    assert nat.port_allocation == "sequential"
    assert nat.port_step == step


def test_too_few_ports_close_together_are_not_named() -> None:
    world = World(allocation="block", block=(20032, 20047))
    for _ in range(6):
        world.ask("control", world.fresh(), A1P1)
    assert udp4(diagnosed(world)).port_allocation == "unknown"


# --- several external addresses


def pooled(world: World, *, plain: str | None = None) -> Nat:
    """What follows where one address, X or Y, is seen by each of two servers, from several ports, twice."""
    for _ in range(4):
        local = world.fresh()
        for _ in range(2):
            for corner in CORNERS:
                world.ask("mapping", local, corner)
            other = world.binding("mapping", local, PLAIN, other=None)
            seen = other.mapped if plain is None else f"{plain}:{local.port}"
            world.add(msgspec.structs.replace(other, mapped=seen))
    return udp4(diagnosed(world))


def test_a_server_that_alone_sees_another_address_is_neither_believed_nor_accused() -> None:
    world = World()
    found = pooled(world, plain="11.1.0.3")
    assert (found.mapping, found.pooling) == ("unknown", "unknown")
    assert found.external == ("11.1.0.2",)
    warnings = " ".join(diagnosed(world).warnings)
    assert "several uplinks" in warnings
    assert "not believed" not in warnings


def test_the_second_way_out_is_proven_by_a_server_that_sees_both() -> None:
    def uplink(binding: Binding) -> Binding:
        if not binding.asked.startswith("11.201.0.3"):
            return binding
        return msgspec.structs.replace(binding, mapped=str(binding.mapped).replace("0.2:", "0.3:"))

    found = pooled(World(mangle=uplink))
    assert (found.mapping, found.pooling) == (ADM, "per-destination")
    assert set(found.external) == {"11.1.0.2", "11.1.0.3"}


def test_any_address_for_any_port_is_arbitrary_pooling() -> None:
    found = pooled(World(outside=("11.1.0.2", "11.1.0.3"), seed=4))
    assert (found.mapping, found.pooling) == (EIM, "arbitrary")


def test_one_address_after_the_other_may_be_a_new_one() -> None:
    world = World(outside=("11.1.0.2", "11.1.0.3"), seed=3)
    found = pooled(world)
    assert (found.mapping, found.pooling) == (EIM, "unknown")
    assert any("one after the other" in warning for warning in diagnosed(world).warnings)


def test_one_port_with_one_address_after_the_other_tells_nothing_of_mapping() -> None:
    world = World()
    local = world.fresh()
    for address in ("11.1.0.2", "11.1.0.3"):
        world.outside = (address,)
        world._mappings.clear()
        for corner in CORNERS[:1] if address == "11.1.0.2" else CORNERS[1:2]:
            world.ask("mapping", local, corner)
    found = udp4(diagnosed(world))
    assert (found.mapping, found.pooling) == ("unknown", "unknown")
    assert "addresses-in-turn" in [each.code for each in found.unknown_reasons["mapping"]]


def test_one_address_for_many_ports_is_paired_pooling() -> None:
    assert udp4(diagnosed(World().measure())).pooling == "paired"
    world = World()
    for _ in range(3):
        world.ask("allocation", world.fresh(), A1P1)
    assert udp4(diagnosed(world)).pooling == "unknown"


def test_a_new_address_in_the_middle_of_it_is_told() -> None:
    world = World()
    for address in ("11.1.0.2", "11.1.0.9"):
        world.outside = (address,)
        world._mappings.clear()
        for _ in range(12):
            local = world.fresh()
            for corner in CORNERS:
                world.ask("mapping", local, corner)
    report = diagnosed(world)
    assert (udp4(report).mapping, udp4(report).external) == (EIM, ("11.1.0.9",))
    assert any("changed during the measurement" in warning for warning in report.warnings)
