"""Two agents on a clock of numbers."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from icepipe import A1, A2, A3, B1, B2, Pipe, always, host

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import ice, stun
from nattools.protocols.stun import constants as c


def answer_to_a(pipe: Pipe) -> bytes:
    """The first one of the other side."""
    answers = (
        i.data for _, agent, i in pipe.sent if agent is pipe.b and stun.decode(i.data).kind == "success"
    )
    return next(answers)


def test_one_path_connects_in_two_round_trips() -> None:
    """A check and its answer, then the nomination and its answer. The peer's check triggers one more."""
    pipe = Pipe(always(0.04))
    pipe.start()
    assert pipe.run(10.0, pipe.connected) == pytest.approx(0.16, abs=0.001)
    assert pipe.a.state == pipe.b.state == "connected"
    assert len(pipe.sent) <= 10
    pair = pipe.a.selected
    assert pair is not None
    assert pair.round_trip.smoothed_s == pytest.approx(0.08)


def test_a_peer_that_is_told_of_nothing_is_found() -> None:
    """B does not know A's candidates: they are peer-reflexive for it."""
    pipe = Pipe(always(0.01))
    pipe.add(pipe.a, A1, tell=False)
    pipe.add(pipe.b, B1)
    pipe.introduce()
    pipe.run(5.0, pipe.connected)
    assert pipe.connected()
    (found,) = pipe.b.remote_candidates
    assert found.kind == "prflx"
    assert any(isinstance(event, ice.CandidateFound) for event in pipe.told[pipe.b])


def test_checks_before_the_peers_credentials() -> None:
    pipe = Pipe(always(0.01))
    pipe.add(pipe.a, A1)
    pipe.add(pipe.b, B1)
    pipe.a.set_remote_credentials(*pipe.b.credentials, 0.0)
    pipe.run(1.0)
    assert pipe.b.state == "new"
    assert pipe.a.selected is not None, "answers need only the own password"
    pipe.b.set_remote_credentials(*pipe.a.credentials, pipe.now)
    pipe.run(2.0, pipe.connected)
    assert pipe.connected()


def test_trickled_candidates_connect() -> None:
    pipe = Pipe(lambda source, to, ttl: 0.01 if {source, to} == {A2, B2} else None)
    pipe.start()
    pipe.run(3.0)
    assert pipe.a.state == "checking"
    pipe.add(pipe.a, A2)
    pipe.add(pipe.b, B2)
    pipe.run(4.0, pipe.connected)
    assert pipe.connected()


class TestRoles:
    @pytest.mark.parametrize("role", ["controlling", "controlled"])
    @pytest.mark.parametrize("seed", range(6))
    def test_a_conflict_is_settled(self, role: ice.Role, seed: int) -> None:
        pipe = Pipe(always(0.02), roles=(role, role), seed=seed)
        pipe.start()
        pipe.run(5.0, pipe.connected)
        assert pipe.connected()
        assert {pipe.a.role, pipe.b.role} == {"controlling", "controlled"}
        switched = [e for events in pipe.told.values() for e in events if isinstance(e, ice.RoleSwitched)]
        assert len(switched) == 1

    def test_the_greater_tie_breaker_controls(self) -> None:
        pipe = Pipe(always(0.02), roles=("controlling", "controlling"), seed=3)
        ours, theirs = pipe.a._session.tie_breaker, pipe.b._session.tie_breaker
        pipe.start()
        pipe.run(5.0, pipe.connected)
        assert (pipe.a.role == "controlling") == (ours > theirs)

    def test_a_nomination_before_a_switch_of_roles_is_made_anew(self) -> None:
        """What one side nominated when it controlled binds nobody once the other one does."""
        pipe = Pipe(always(0.02))
        pipe.start()
        pipe.run(2.0)
        assert pipe.connected()
        for agent in (pipe.a, pipe.b):
            agent._session.switch_role()
        pipe.sent.clear()
        pipe.run(4.0)
        nominations = [agent for _, agent, i in pipe.sent if stun.decode(i.data).use_candidate]
        assert nominations == [pipe.b]
        assert pipe.connected()


class TestSeveralPaths:
    @staticmethod
    def fate(delays: dict[tuple[Endpoint, Endpoint], float | None]) -> Pipe:
        return Pipe(lambda source, to, ttl: delays.get((source, to), delays.get((to, source))))

    def test_the_nearest_is_selected_and_others_are_spares(self) -> None:
        pipe = self.fate({(A1, B1): 0.08, (A2, B1): 0.01, (A3, B1): 0.03})
        pipe.start((A1, A2, A3))
        pipe.run(8.0)
        assert pipe.connected()
        assert pipe.a.selected is not None
        assert pipe.a.selected.local.endpoint == A2
        assert sum(pair.valid for pair in pipe.a.pairs) == 3

    def test_a_better_one_later_takes_over(self) -> None:
        delays: dict[tuple[Endpoint, Endpoint], float | None] = {(A1, B1): 0.08, (A2, B1): 0.01}
        pipe = self.fate(delays)
        pipe.start((A1,))
        pipe.run(3.0)
        pipe.add(pipe.a, A2)
        pipe.run(4.0)
        assert pipe.connected()
        assert pipe.a.selected is not None
        assert pipe.a.selected.local.endpoint == A2
        selections = [e for e in pipe.told[pipe.a] if isinstance(e, ice.Selected)]
        assert selections[-1].reason == "nearer"

    def test_without_renomination_the_first_choice_stays(self) -> None:
        delays = {(A1, B1): 0.08, (A2, B1): 0.01}
        pipe = Pipe(
            lambda source, to, ttl: delays.get((source, to), delays.get((to, source))), renomination=False
        )
        pipe.start((A1,))
        pipe.run(3.0)
        pipe.add(pipe.a, A2)
        pipe.run(8.0)
        assert pipe.connected()
        assert pipe.a.selected is not None
        assert pipe.a.selected.local.endpoint == A1

    def test_a_lost_one_is_replaced_long_before_consent_expires(self) -> None:
        delays: dict[tuple[Endpoint, Endpoint], float | None] = {(A1, B1): 0.05, (A2, B1): 0.01}
        pipe = self.fate(delays)
        pipe.start((A1, A2))
        pipe.run(6.0)
        lost_at = pipe.now
        delays[A2, B1] = None

        def moved() -> bool:
            pair = pipe.a.selected
            return pair is not None and pair.local.endpoint == A1 and pipe.connected()

        assert pipe.run(40.0, moved) < lost_at + 8.0
        assert pipe.a.state == "connected"

    def test_another_outside_port_of_the_controlling_side(self) -> None:
        """Its own pair goes on to work as if nothing had happened; the other side's does not."""
        pipe = Pipe(always(0.02))
        pipe.outside[A1] = A2
        pipe.add(pipe.a, A1, tell=False)
        pipe.add(pipe.b, B1)
        pipe.introduce()
        pipe.run(6.0)
        assert pipe.b.selected is not None
        assert pipe.b.selected.remote.endpoint == A2
        pipe.outside[A1] = A3
        moved_at = pipe.now

        def moved() -> bool:
            return pipe.b.selected is not None and pipe.b.selected.remote.endpoint == A3

        assert pipe.run(40.0, moved) < moved_at + 8.0
        pipe.run(60.0)
        assert moved()
        assert pipe.b.state == "connected"


class TestConsent:
    def test_it_expires_after_30_s_and_comes_back(self) -> None:
        pipe = Pipe(always(0.02))
        pipe.start()
        pipe.run(10.0)
        pipe.fate = lambda source, to, ttl: None
        lost_at = pipe.now
        pipe.run(60.0, lambda: pipe.a.state == "disconnected")
        assert 24.0 < pipe.now - lost_at <= 30.1
        assert pipe.a.selected is None
        pipe.fate = always(0.02)
        pipe.run(80.0, lambda: pipe.connected() and pipe.a.state == "connected")
        assert pipe.connected()

    def test_the_interval_is_about_5_s(self) -> None:
        pipe = Pipe(always(0.02))
        pipe.start()
        pipe.run(2.0)
        pipe.sent.clear()
        pipe.run(102.0)
        requests = [
            now
            for now, agent, item in pipe.sent
            if agent is pipe.a and stun.decode(item.data).kind == "request"
        ]
        assert 18 <= len(requests) <= 22
        gaps = [later - earlier for earlier, later in pairwise(requests)]
        assert all(3.9 < gap < 6.2 for gap in gaps)

    def test_a_hint_from_the_data_finds_a_dead_path_at_once(self) -> None:
        pipe = Pipe(lambda source, to, ttl: 0.02)
        pipe.start((A1, A2))
        pipe.run(6.0)
        dead = pipe.a.selected
        assert dead is not None
        pipe.fate = lambda source, to, ttl: None if dead.local.endpoint in (source, to) else 0.02
        asked_at = pipe.now
        pipe.a.doubt(pipe.now)
        pipe.run(20.0, lambda: pipe.a.selected is not dead)
        assert pipe.now - asked_at < 1.0


def test_nothing_answers_and_the_agent_says_so() -> None:
    pipe = Pipe(lambda source, to, ttl: None)
    pipe.start()
    pipe.run(100.0)
    assert pipe.a.state == "failed"
    last = [e for e in pipe.told[pipe.a] if isinstance(e, ice.StateChanged)][-1]
    assert last.time_s == pytest.approx(39.5, abs=0.1)
    assert last.reason == "1 pairs were checked; nothing came from the peer on any of them"
    failure = next(e for e in pipe.told[pipe.a] if isinstance(e, ice.PairChanged) and e.after == "failed")
    assert "no answer to 7 checks" in failure.reason


def test_a_late_peer_connects() -> None:
    pipe = Pipe(lambda source, to, ttl: 0.02 if pipe.now > 25 else None)
    pipe.start()
    pipe.run(39.0, pipe.connected)
    assert pipe.connected()


class TestOpeners:
    def test_the_first_packets_have_a_low_ttl(self) -> None:
        pipe = Pipe(lambda source, to, ttl: None if ttl == 2 else 0.01)
        for agent in (pipe.a, pipe.b):
            agent.set_opener(ice.OpeningChecks(ttl=2, count=2, gap_s=0.3))
        pipe.start()
        pipe.run(5.0, pipe.connected)
        assert pipe.connected()
        ours = [(now, item.ttl) for now, agent, item in pipe.sent if agent is pipe.a]
        assert ours[:3] == [(0.0, 2), (0.3, 2), (0.6, None)]
        assert all(ttl is None for _, ttl in ours[2:])

    def test_without_a_ttl_one_that_is_in_time_counts(self) -> None:
        pipe = Pipe(lambda source, to, ttl: 0.01 if pipe.now > 0.15 else None)
        for agent in (pipe.a, pipe.b):
            agent.set_opener(ice.OpeningChecks(ttl=None, count=4, gap_s=0.1))
        pipe.start()
        pipe.run(0.3, pipe.connected)
        assert pipe.connected()
        assert all(item.ttl is None for _, _, item in pipe.sent)

    def test_one_destination_only(self) -> None:
        pipe = Pipe(always(0.01))
        pipe.a.set_opener(ice.OpeningChecks(ttl=3), B1)
        pipe.start((A1,), (B1, B2))
        pipe.run(0.05)
        first = {item.destination: item.ttl for _, agent, item in reversed(pipe.sent) if agent is pipe.a}
        assert first == {B1: 3, B2: None}


class TestProbes:
    """One message for hundreds of ports, without a pair for each."""

    def test_whichever_arrives_makes_a_pair(self) -> None:
        pipe = Pipe(always(0.02))
        pipe.owner = {A1: pipe.a, B2: pipe.b}
        pipe.introduce()
        probe = pipe.a.probe(A1, B2)
        assert probe == pipe.a.probe(A1, B1)
        pipe.b.receive_datagram(probe, B2, A1, 0.0)
        pipe.run(2.0, pipe.connected)
        assert pipe.connected()

    def test_so_does_one_that_is_answered(self) -> None:
        pipe = Pipe(lambda source, to, ttl: 0.02)
        pipe.owner = {A1: pipe.a, B2: pipe.b}
        pipe.introduce()
        answer = self.answer_to_a_probe(pipe)
        assert pipe.a.receive_datagram(answer, A1, B2, 0.02)
        (pair,) = pipe.a.pairs
        assert pair.state == "succeeded"
        pipe.run(2.0, pipe.connected)
        assert pipe.connected()

    def test_an_answer_from_elsewhere_is_worth_a_check(self) -> None:
        """The peer's NAT may give its answer another port than the one that the probe went to."""
        pipe = Pipe(lambda source, to, ttl: 0.02)
        pipe.owner = {A1: pipe.a, B2: pipe.b}
        pipe.introduce()
        assert pipe.a.receive_datagram(self.answer_to_a_probe(pipe), A1, B1, 0.02)
        (pair,) = pipe.a.pairs
        assert (pair.state, pair.reason) == ("waiting", "the peer answered a probe")

    def test_a_socket_that_is_closed_leaves_nothing(self) -> None:
        pipe = Pipe(lambda source, to, ttl: 0.02)
        pipe.introduce()
        answer = self.answer_to_a_probe(pipe)
        pipe.a.receive_datagram(answer, A1, B2, 0.02)
        pipe.a.forget_local(A1, 0.03)
        assert (pipe.a.pairs, pipe.a.local_candidates, pipe.a.selected) == ((), (), None)
        pipe.a.receive_datagram(answer, A1, B2, 0.04)
        assert all(pair.state == "waiting" for pair in pipe.a.pairs), "no probe from there is remembered"

    def test_no_pair_is_kept_for_a_probe(self) -> None:
        pipe = Pipe(always(0.02))
        pipe.introduce()
        for port in range(2048):
            pipe.a.probe(A1, Endpoint("10.0.1.1", 1024 + port))
        assert pipe.a.pairs == ()
        assert pipe.a.next_timeout() is None

    @staticmethod
    def answer_to_a_probe(pipe: Pipe) -> bytes:
        """From b's socket B2 to A1."""
        pipe.b.receive_datagram(pipe.a.probe(A1, B2), B2, A1, 0.0)
        return next(i.data for i in pipe.b.datagrams_to_send(0.0) if stun.decode(i.data).kind == "success")

    def test_not_without_credentials(self) -> None:
        with pytest.raises(ValueError, match="credentials"):
            ice.Agent("controlling").probe(A1, B2)

    def test_a_forged_answer_makes_none(self) -> None:
        pipe = Pipe(always(0.02))
        pipe.introduce()
        forged = stun.binding_success(pipe.a.probe(A1, B2)[8:20], A1)
        pipe.a.receive_datagram(forged, A1, B2, 0.0)
        assert pipe.a.pairs == ()
        assert sum(pipe.a.rejected.values()) == 1


class TestHeldNominations:
    """A path beside ICE, as a TCP connection, may be chosen instead: never both."""

    def test_nothing_is_nominated_meanwhile(self) -> None:
        pipe = Pipe(always(0.02))
        assert pipe.a.hold_nomination()
        pipe.start()
        pipe.run(2.0)
        assert (pipe.a.selected, pipe.b.selected) == (None, None)
        assert any(pair.valid for pair in pipe.a.pairs)
        pipe.a.resume_nomination(pipe.now)
        pipe.run(4.0, pipe.connected)
        assert pipe.connected()

    def test_not_once_a_pair_is_nominated(self) -> None:
        pipe = Pipe(always(0.02))
        pipe.start()
        pipe.run(2.0, pipe.connected)
        assert not pipe.a.hold_nomination()


class TestStrangers:
    """Nothing that lacks the password has any effect but a count."""

    @staticmethod
    def check(
        ufrags: str, password: str, *attributes: tuple[int, bytes], kind: stun.Kind = "request"
    ) -> bytes:
        said = ((c.USERNAME, ufrags.encode()), (c.PRIORITY, b"\0\0\0\1"), (c.ICE_CONTROLLING, bytes(8)))
        message = stun.Message(stun.BINDING, kind, bytes(12), (*said, *attributes))
        return stun.encode(message, key=password.encode(), fingerprint=True)

    def agent(self) -> ice.Agent:
        agent = ice.Agent("controlled", ufrag="ours", password="p" * 24, rng=Random(1))
        agent.add_local_candidate(host(A1), 0.0)
        agent.set_remote_credentials("them", "q" * 24, 0.0)
        return agent

    @pytest.mark.parametrize(
        ("ufrags", "password", "code"),
        [("ours:them", "x" * 24, 401), ("else:them", "p" * 24, 401), ("ours:else", "p" * 24, 401)],
    )
    def test_wrong_credentials(self, ufrags: str, password: str, code: int) -> None:
        agent = self.agent()
        assert agent.receive_datagram(self.check(ufrags, password), A1, B1, 0.0)
        assert agent.pairs == ()
        assert sum(agent.rejected.values()) == 1
        (answer,) = agent.datagrams_to_send(0.0)
        error = stun.decode(answer.data).error
        assert error is not None
        assert error[0] == code
        assert not agent.is_authorised(A1, B1)

    def test_a_right_one_is_taken(self) -> None:
        agent = self.agent()
        agent.receive_datagram(self.check("ours:them", "p" * 24), A1, B1, 0.0)
        assert agent.rejected == {}
        assert agent.is_authorised(A1, B1)
        assert not agent.is_authorised(A1, B2)

    def test_what_must_be_understood(self) -> None:
        agent = self.agent()
        agent.receive_datagram(self.check("ours:them", "p" * 24, (0x7FFE, b"")), A1, B1, 0.0)
        (answer,) = agent.datagrams_to_send(0.0)
        assert stun.decode(answer.data).unknown_attributes == (0x7FFE,)

    def test_a_bare_request_is_answered_by_nothing_larger(self) -> None:
        agent = self.agent()
        bare = stun.encode(stun.Message(stun.BINDING, "request", bytes(12)))
        agent.receive_datagram(bare, A1, B1, 0.0)
        assert agent.datagrams_to_send(0.0) == []

    def test_a_forged_answer_changes_nothing(self) -> None:
        pipe = Pipe(always(0.05))
        pipe.start()
        pipe.run(0.01)
        check = stun.decode(next(item.data for _, agent, item in pipe.sent if agent is pipe.a))
        forged = stun.binding_success(check.transaction_id, A1)
        assert pipe.a.receive_datagram(forged, A1, B1, 0.01)
        assert not any(pair.valid for pair in pipe.a.pairs)
        assert pipe.a.rejected == {"an answer with wrong or no message integrity": 1}
        pipe.run(1.0, pipe.connected)
        assert pipe.connected()

    def test_an_answer_from_elsewhere_is_not_believed(self) -> None:
        """RFC 8445 7.2.5.2.1: the path is not symmetric, and the pair fails unless the right answer comes."""
        pipe = Pipe(lambda source, to, ttl: 0.05 if source == A1 else None)
        pipe.start()
        pipe.run(0.06)
        (pair,) = pipe.a.pairs
        assert pipe.a.receive_datagram(answer_to_a(pipe), A1, B2, 0.07)
        assert pair.state == "in-progress"
        assert list(pipe.a.rejected) == ["an answer from another place than the check went to"]
        pipe.run(12.0)
        failed = [e for e in pipe.told[pipe.a] if isinstance(e, ice.PairChanged) and e.after == "failed"]
        assert "(the answer came from 10.0.1.2:5000 at 10.0.0.1:4000 instead)" in failed[0].reason

    def test_a_copy_of_an_answer_that_is_quicker_prevents_nothing(self) -> None:
        pipe = Pipe(lambda source, to, ttl: 0.05 if source == A1 else None)
        pipe.start()
        pipe.run(0.06)
        (pair,) = pipe.a.pairs
        for source in (B2, B1):
            pipe.a.receive_datagram(answer_to_a(pipe), A1, source, 0.07)
        assert pair.valid
        assert [each.remote_endpoint for each in pipe.a.pairs if each.valid] == [B1]

    def test_candidates_that_are_no_targets(self) -> None:
        agent = self.agent()
        for address in ("224.0.0.1", "255.255.255.255", "0.0.0.0", "ff02::1", "::"):
            candidate = ice.parse(f"candidate:1 1 udp 1 {address} 9 typ host")
            assert not agent.add_remote_candidate(candidate, 0.0)
        assert sum(agent.rejected.values()) == 5

    def test_a_flood_from_a_peer_that_knows_the_password_is_bounded(self) -> None:
        agent = self.agent()
        for number in range(2000):
            source = Endpoint(f"10.9.{number // 250}.{number % 250 + 1}", 9)
            agent.receive_datagram(self.check("ours:them", "p" * 24), A1, source, 0.0)
            agent.datagrams_to_send(0.0)
        assert len(agent.pairs) <= 100
        assert len(agent.remote_candidates) <= 1024
        assert "more than 1024 candidates" in agent.rejected

    def test_data_is_counted(self) -> None:
        agent = self.agent()
        agent.reject_data(B2)
        assert sum(agent.rejected.values()) == 1


def test_what_is_not_for_ice_is_left_to_others() -> None:
    agent = ice.Agent("controlling")
    for data in (b"", b"\x40abc", b"\0" * 20, stun.binding_success(bytes(12), A1)):
        assert not agent.receive_datagram(data, A1, B1, 0.0)


def test_a_closed_agent_is_silent() -> None:
    pipe = Pipe(always(0.01))
    pipe.start()
    pipe.a.close(0.0)
    assert pipe.a.datagrams_to_send(0.0) == []
    assert pipe.a.next_timeout() is None
    assert pipe.a.state == "closed"


@pytest.mark.parametrize(("ufrag", "password"), [("abc", "p" * 22), ("abcd", "p" * 21), ("ab:d", "p" * 22)])
def test_impossible_credentials(ufrag: str, password: str) -> None:
    with pytest.raises(ProtocolError):
        ice.Agent("controlling", ufrag=ufrag, password=password)
