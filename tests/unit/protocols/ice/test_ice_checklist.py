"""The check list: what is paired, what is left out, what comes next; and the pace."""

from __future__ import annotations

import pytest
from icepipe import A1, A2, B1, B2, host

from nattools.model.endpoint import Endpoint
from nattools.protocols import ice
from nattools.protocols.ice.checklist import MAX_PAIRS, NEXT_STATE, CheckList, Pair, PairState, goes_with
from nattools.protocols.ice.pacing import MAX_RTO_S, MAX_TA_S, MIN_RTO_S, MIN_TA_S, Pacer, RoundTripEstimate


class Noted:
    """A check list, and the states its pairs went through."""

    def __init__(self) -> None:
        self.changes: list[tuple[PairState, PairState]] = []
        self.list = CheckList(True, lambda pair, before: self.changes.append((before, pair.state)))

    def pair(self, local: ice.Candidate, remote: ice.Candidate) -> Pair:
        formed = self.list.form(local, remote)
        assert formed is not None
        return formed


def never(pair: Pair) -> bool:
    return False


def tcp(kind: ice.TcpType) -> ice.Candidate:
    return host(Endpoint("10.0.0.1", 9), transport="tcp", tcp_type=kind)


class TestPairing:
    def test_by_family_scope_and_transport(self) -> None:
        local6 = host(Endpoint("fe80::1%eth0", 1))
        assert goes_with(host(A1), host(B1))
        assert not goes_with(host(A1), host(Endpoint("2a10::1", 1)))
        assert not goes_with(host(A1), host(Endpoint("127.0.0.1", 1)))
        assert not goes_with(local6, host(Endpoint("2a10::1", 1)))
        assert goes_with(local6, host(Endpoint("fe80::2", 1)))
        assert not goes_with(host(A1), tcp("passive"))

    def test_what_stands_for_a_key_goes_with_keys_alone(self) -> None:
        keys = [ice.local_candidate("relay", Endpoint(f"100::{number}", 1)) for number in (1, 2)]
        address = host(Endpoint("2a10::1", 1))
        assert goes_with(*keys)
        assert not goes_with(keys[0], address)
        assert not goes_with(address, keys[0])
        assert not goes_with(ice.local_candidate("relay", Endpoint("2a10::2", 1)), keys[0])

    @pytest.mark.parametrize("local", ["active", "passive", "so"])
    @pytest.mark.parametrize("remote", ["active", "passive", "so"])
    def test_tcp_candidates_are_not_paired(self, local: ice.TcpType, remote: ice.TcpType) -> None:
        assert not goes_with(tcp(local), tcp(remote))

    def test_a_link_local_destination_gets_the_zone(self) -> None:
        pair = Noted().pair(host(Endpoint("fe80::1%eth0", 1)), host(Endpoint("fe80::2", 2)))
        assert pair.remote_endpoint == Endpoint("fe80::2%eth0", 2)

    def test_reflexive_candidates_send_from_their_base(self) -> None:
        """RFC 8445 6.1.2.4: they add nothing to their base."""
        noted = Noted()
        noted.pair(host(A1), host(B1))
        reflexive = ice.local_candidate("srflx", Endpoint("198.51.100.1", 4000), base=A1)
        assert noted.list.form(reflexive, host(B1)) is None
        assert len(noted.list) == 1

    def test_priority_of_pairs(self) -> None:
        pair = Noted().pair(host(A1), ice.local_candidate("srflx", Endpoint("198.51.100.1", 1), base=B1))
        high, low = pair.local.priority, pair.remote.priority
        assert pair.priority == 2**32 * low + 2 * high + 1


class TestLimit:
    def test_a_hundred_of_the_best(self) -> None:
        noted = Noted()
        for port in range(1, 151):
            noted.list.form(host(A1), host(Endpoint("10.0.1.1", port), local_preference=port))
        assert len(noted.list) == MAX_PAIRS
        assert noted.list.pruned == 50
        assert min(pair.remote.endpoint.port for pair in noted.list) == 51

    def test_a_peers_check_finds_room(self) -> None:
        noted = Noted()
        for port in range(1, 101):
            noted.list.form(host(A1), host(Endpoint("10.0.1.1", port), local_preference=port))
        late = Pair(host(A1), host(B2, local_preference=0), True)
        assert noted.list.insert(late, wanted=True)
        assert len(noted.list) == MAX_PAIRS


class TestOrder:
    def test_one_of_each_foundation_first(self) -> None:
        noted = Noted()
        first = noted.pair(host(A1), host(Endpoint("10.0.1.1", 1)))
        like = noted.pair(host(A1), host(Endpoint("10.0.1.1", 2), local_preference=5))
        other = noted.pair(host(A1), host(B2, local_preference=1))
        assert [first.state, like.state, other.state] == ["waiting", "frozen", "waiting"]
        noted.list.change(first, "start", "")
        noted.list.change(first, "success", "")
        noted.list.succeeded(first)
        assert like.state == "waiting"

    def test_a_frozen_one_does_not_wait_for_ever(self) -> None:
        noted = Noted()
        first = noted.pair(host(A1), host(Endpoint("10.0.1.1", 1)))
        like = noted.pair(host(A1), host(Endpoint("10.0.1.1", 2), local_preference=5))
        noted.list.change(first, "start", "")
        assert not noted.list.has_work(never)
        assert noted.list.next_pair(never) is None
        assert noted.list.next_pair(lambda pair: pair is first) == (like, False)

    def test_triggered_ones_go_first(self) -> None:
        noted = Noted()
        noted.pair(host(A1), host(B1))
        low = noted.pair(host(A2), host(B2, local_preference=1))
        noted.list.trigger(low, "the peer's check came this way")
        assert noted.list.hurried
        assert noted.list.next_pair(never) == (low, True)

    def test_states_follow_the_table(self) -> None:
        noted = Noted()
        pair = noted.pair(host(A1), host(B1))
        for event in ("success", "trigger", "start", "failure", "start", "trigger", "start", "success"):
            noted.list.change(pair, event, "")
        assert set(noted.changes) <= {(before, after) for (before, _), after in NEXT_STATE.items()}
        visited = ["waiting", "succeeded", "failed", "waiting", "in-progress", "succeeded"]
        assert [after for _, after in noted.changes] == visited

    def test_roles_turn_the_order(self) -> None:
        noted = Noted()
        pair = noted.pair(host(A1), host(B1, local_preference=9))
        assert pair.priority % 2 == 1
        noted.list.switch_role(False)
        assert pair.priority % 2 == 0


class TestPace:
    def test_a_fast_path_is_searched_fast(self) -> None:
        pacer = Pacer()
        assert pacer.ta_s == MIN_TA_S
        for rtt_s, expected in ((0.004, MIN_TA_S), (0.08, 0.02), (2.0, MAX_TA_S)):
            pacer.round_trip = RoundTripEstimate()
            pacer.round_trip.add(rtt_s)
            assert pacer.ta_s == pytest.approx(expected)

    def test_unknown_paths_are_not_flooded(self) -> None:
        pacer, now = Pacer(), 0.0
        for _ in range(100):
            now = pacer.next_start(now, hurried=False)
            pacer.started(now)
        assert now > 1.5

    def test_triggered_checks_do_not_wait(self) -> None:
        pacer = Pacer()
        pacer.started(1.0)
        assert pacer.next_start(1.001, hurried=True) == 1.001
        assert pacer.next_start(1.001, hurried=False) == pytest.approx(1.005)

    def test_the_time_to_wait(self) -> None:
        assert Pacer().rto_s(RoundTripEstimate()) == 0.25
        assert Pacer(0.1).rto_s(RoundTripEstimate()) == pytest.approx(0.22)
        near, far = RoundTripEstimate(), RoundTripEstimate()
        for _ in range(20):
            near.add(0.001)
            far.add(3.0)
        assert Pacer().rto_s(near) == MIN_RTO_S
        assert Pacer().rto_s(far) == MAX_RTO_S
        assert near.lowest_s == 0.001
