"""The client's allocation on a clock of numbers (RFC 8656 7, 8 and 5)."""

import pytest
from scriptedrelay import ALICE, MAPPED, PEER, RELAYED, RELAYED6, SERVER, ScriptedRelay, converse

from nattools.model.endpoint import Endpoint
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.turn.clientallocation import ClientAllocation
from nattools.protocols.turn.credentials import LongTermCredentials
from nattools.protocols.turn.refusal import TurnRefusal
from nattools.protocols.turn.requests import AllocationSpec
from nattools.protocols.turn.turnconstants import REASONS

ELSEWHERE = Endpoint("192.0.2.2", 3478)
REFUSED = sorted(set(REASONS) - {300, 401, 438})


@pytest.mark.parametrize("sha256", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_an_allocation_stands(sha256: bool, stream: bool) -> None:
    found = converse(ScriptedRelay(sha256=sha256), stream=stream)
    allocation = found.allocation
    assert allocation.state == "standing"
    assert allocation.relayed == (RELAYED,)
    assert allocation.mapped == MAPPED
    assert allocation.lifetime_s == 600
    assert allocation.challenged_at == 0.0
    (request,) = found.relay.requests
    assert request.requested_transport == 17
    assert (request.get(c.PASSWORD_ALGORITHM) is not None) == sha256


def test_without_credentials() -> None:
    found = converse(ScriptedRelay(None), credentials=None)
    assert found.allocation.state == "standing"
    assert found.allocation.challenged_at is None
    refused = converse(ScriptedRelay(), credentials=None).allocation
    assert refused.refusal is not None
    assert refused.refusal.code == 401


@pytest.mark.parametrize("code", REFUSED)
def test_every_error_ends_it_with_its_name(code: int) -> None:
    relay = ScriptedRelay()
    relay.refuses[c.ALLOCATE] = code
    allocation = converse(relay).allocation
    assert allocation.state == "over"
    assert allocation.refusal == TurnRefusal("allocate", "failed", code, "its own words")
    assert allocation.refusal.reason == f"{code} {REASONS[code]}"
    assert allocation.next_timeout() is None


def test_a_wrong_password_is_asked_once_more_and_no_further() -> None:
    found = converse(credentials=LongTermCredentials("alice", "guessed"))
    assert found.allocation.refusal is not None
    assert found.allocation.refusal.code == 401
    assert found.allocation.refusal.detail == "the server does not accept the user name and password"
    assert len(found.sent) == 2


@pytest.mark.parametrize("method", [c.ALLOCATE, c.REFRESH, c.CREATE_PERMISSION])
def test_a_stale_nonce_is_answered_once(method: int) -> None:
    found = converse()
    found.relay.nonce = b"second"
    found.allocation.permit(PEER.host, found.now)
    found.pass_time(600)
    assert len(found.relay.of(method)) >= 1
    assert found.allocation.state == "standing"
    relay = ScriptedRelay()
    relay.answers[c.ALLOCATE] = lambda request: relay.challenge(request, 438)
    endless = converse(relay)
    assert endless.allocation.refusal is not None
    assert endless.allocation.refusal.code == 438
    assert len(endless.sent) == 3  # bare, signed, signed anew


def test_a_redirection_is_told_and_not_followed() -> None:
    relay = ScriptedRelay()
    extra = (
        (c.ALTERNATE_SERVER, stun.pack_address(ELSEWHERE)),
        (c.ALTERNATE_DOMAIN, b"turn.example"),
    )
    relay.answers[c.ALLOCATE] = lambda request: relay.error(request, 300, *extra)
    refused = converse(relay).allocation.refusal
    assert refused is not None
    assert (refused.code, refused.alternate, refused.domain) == (300, ELSEWHERE, "turn.example")
    relay.answers[c.ALLOCATE] = lambda request: relay.error(request, 300, (c.ALTERNATE_SERVER, b"?"))
    malformed = converse(relay).allocation.refusal
    assert malformed is not None
    assert (malformed.code, malformed.alternate) == (300, None)


def test_the_list_of_algorithms_cannot_be_taken_away() -> None:
    """RFC 8489 9.2.5: an attacker who wants MD5 removes what offers better."""
    relay = ScriptedRelay(sha256=True)

    def bid_down(request: stun.Message) -> bytes:
        attributes = (
            (c.ERROR_CODE, stun.pack_error_code(401, "")),
            (c.REALM, b"north"),
            (c.NONCE, relay.nonce),
        )
        return stun.encode(stun.Message(request.method, "error", request.transaction_id, attributes))

    allocation = ClientAllocation(SERVER, ALICE)
    ((data, _),) = allocation.datagrams_to_send(0.0)
    allocation.receive_datagram(bid_down(stun.decode(data)), SERVER, 0.1)
    assert allocation.refusal is not None
    assert "list of password algorithms was removed" in allocation.refusal.detail


def test_an_unsigned_answer_is_not_believed() -> None:
    relay = ScriptedRelay()
    relay.answers[c.ALLOCATE] = lambda request: stun.encode(
        stun.Message(
            request.method,
            "success",
            request.transaction_id,
            ((c.XOR_RELAYED_ADDRESS, stun.pack_xor_address(RELAYED, request.transaction_id)),),
        )
    )
    found = converse(relay)
    assert found.allocation.state == "asking"
    found.pass_time(40)
    assert found.allocation.refusal is not None
    assert found.allocation.refusal.state == "not authentic"


def test_an_answer_from_elsewhere_is_not_believed() -> None:
    allocation, relay = ClientAllocation(SERVER, ALICE), ScriptedRelay()
    ((data, _),) = allocation.datagrams_to_send(0.0)
    (answer,) = relay.receive(data)
    assert not allocation.receive_datagram(answer, ELSEWHERE, 0.0)
    assert allocation.receive_datagram(answer, SERVER, 0.0)


def test_silence() -> None:
    found = converse()
    silent = ClientAllocation(SERVER, ALICE)
    found.allocation, found.delivers = silent, False
    found.pass_time(40)
    assert silent.refusal == TurnRefusal("allocate", "timed out")
    assert not silent.answered


@pytest.mark.parametrize(
    ("relayed", "spec", "lifetime_s", "why"),
    [
        ((), AllocationSpec(), 600, "has no relayed address"),
        ((RELAYED, RELAYED), AllocationSpec(), 600, "two relayed addresses of one family"),
        ((RELAYED,), AllocationSpec(family=6), 600, "gave no IPv6 address"),
        ((Endpoint("198.51.100.1", 0),), AllocationSpec(), 600, "port 0"),
        ((RELAYED,), AllocationSpec(), 0, "no lifetime"),
    ],
)
def test_answers_that_make_no_sense(
    relayed: tuple[Endpoint, ...], spec: AllocationSpec, lifetime_s: int, why: str
) -> None:
    relay = ScriptedRelay()
    relay.relayed, relay.lifetime_s = relayed, lifetime_s
    allocation = converse(relay, spec).allocation
    assert allocation.state == "over"
    assert allocation.refusal is not None
    assert allocation.refusal.code is None
    assert why in allocation.refusal.detail


class TestWishes:
    def test_both_families(self) -> None:
        """RFC 8656 7.1, and 7.3: one of them may be refused."""
        relay = ScriptedRelay()
        relay.relayed = (RELAYED, RELAYED6)
        found = converse(relay, AllocationSpec(both_families=True))
        assert found.relay.requests[0].additional_family == 6
        assert found.allocation.relayed == (RELAYED, RELAYED6)
        relay = ScriptedRelay()
        relay.extra = ((c.ADDRESS_ERROR_CODE, turn.pack_address_error(6, 440, "none here")),)
        found = converse(relay, AllocationSpec(both_families=True))
        assert found.allocation.relayed == (RELAYED,)
        assert found.allocation.family_refusal == (6, 440, "none here")

    def test_both_families_by_the_numbers_of_drafts_which_are_coturns(self) -> None:
        relay = ScriptedRelay()
        relay.extra = ((c.OLD_ADDRESS_ERROR_CODE, turn.pack_address_error(6, 440, "none here")),)
        found = converse(relay, AllocationSpec(both_families=True))
        assert found.relay.requests[0].old_additional_family == 6
        assert found.allocation.family_refusal == (6, 440, "none here")

    def test_a_pair_of_ports(self) -> None:
        relay = ScriptedRelay()
        relay.extra = ((c.RESERVATION_TOKEN, b"12345678"),)
        first = converse(relay, AllocationSpec(port="pair"))
        assert first.relay.requests[0].even_port is True
        assert first.allocation.reservation == b"12345678"
        second = converse(ScriptedRelay(), AllocationSpec(reservation=first.allocation.reservation))
        assert second.relay.requests[0].reservation_token == b"12345678"
        even = converse(ScriptedRelay(), AllocationSpec(port="even"))
        assert even.relay.requests[0].even_port is False

    def test_the_rest(self) -> None:
        spec = AllocationSpec(family=6, lifetime_s=1200, dont_fragment=True)
        relay = ScriptedRelay()
        relay.relayed = (RELAYED6,)
        found = converse(relay, spec)
        (request,) = relay.requests
        assert (request.requested_family, request.lifetime_s, request.dont_fragment) == (6, 1200, True)
        found.send(b"hello", RELAYED6)
        assert relay.indications[-1].dont_fragment

    @pytest.mark.parametrize(
        "spec",
        [
            {"reservation": b"12345678", "family": 4},
            {"reservation": b"12345678", "port": "even"},
            {"both_families": True, "port": "pair"},
            {"both_families": True, "family": 4},
            {"tcp": True, "dont_fragment": True},
        ],
    )
    def test_those_that_exclude_each_other(self, spec: dict[str, object]) -> None:
        with pytest.raises(ValueError):
            AllocationSpec(**spec)


class TestLife:
    def test_it_is_renewed_in_time(self) -> None:
        found = converse()
        found.pass_time(6000)
        assert found.allocation.state == "standing"
        assert len(found.relay.of(c.REFRESH)) == 11  # each 540 s

    @pytest.mark.parametrize(("lifetime_s", "most"), [(1, 200), (30, 70), (2**32 - 1, 1)])
    def test_whatever_lifetime_a_server_grants(self, lifetime_s: int, most: int) -> None:
        relay = ScriptedRelay()
        relay.lifetime_s = lifetime_s
        found = converse(relay)
        found.pass_time(1000)
        assert found.allocation.state == "standing"
        assert len(relay.of(c.REFRESH)) <= most

    def test_the_nat_before_it_is_kept_awake(self) -> None:
        found = converse()
        before = len(found.relay.indications)
        found.pass_time(60)
        beats = found.relay.indications[before:]
        assert [each.method for each in beats] == [c.BINDING] * 4
        over_tcp = converse(stream=True)
        over_tcp.pass_time(60)
        assert over_tcp.relay.indications == []

    def test_a_server_that_was_restarted(self) -> None:
        found = converse()
        found.relay.refuses[c.REFRESH] = 437
        found.pass_time(600)
        assert found.allocation.state == "over"
        assert found.allocation.refusal is not None
        assert (found.allocation.refusal.asked, found.allocation.refusal.code) == ("refresh", 437)

    @pytest.mark.parametrize("code", [400, 403, 441, 486, 500, 508])
    def test_a_renewal_that_is_refused_is_tried_again(self, code: int) -> None:
        found = converse()
        found.relay.refuses[c.REFRESH] = code
        found.pass_time(560)
        assert found.allocation.state == "standing"
        del found.relay.refuses[c.REFRESH]
        found.pass_time(600)
        assert found.allocation.state == "standing"
        assert found.allocation.refusal is None
        found.relay.refuses[c.REFRESH] = code
        found.pass_time(1200)
        assert found.allocation.state == "over"
        assert found.allocation.refusal is not None
        assert found.allocation.refusal.code == code

    def test_a_renewal_for_no_time(self) -> None:
        found = converse()
        found.relay.lifetime_s = 0
        found.pass_time(700)
        assert found.allocation.state == "over"
        assert found.allocation.refusal is not None
        assert "no time at all" in found.allocation.refusal.detail

    def test_a_server_that_is_gone(self) -> None:
        found = converse()
        found.delivers = False
        found.pass_time(601)
        assert found.allocation.state == "over"
        assert found.allocation.next_timeout() is None

    def test_it_is_given_back(self) -> None:
        found = converse()
        found.allocation.release(found.now)
        assert found.allocation.state == "releasing"
        found.settle()
        assert found.allocation.state == "over"
        assert found.allocation.refusal is None
        assert found.relay.of(c.REFRESH)[-1].lifetime_s == 0
        found.allocation.release(found.now)
        assert found.allocation.datagrams_to_send(found.now) == []

    def test_it_is_given_back_before_the_answer_is_here(self) -> None:
        relay = ScriptedRelay()
        answered: list[bytes] = []
        relay.answers[c.ALLOCATE] = lambda request: answered.append(relay.success(request))
        found = converse(relay)
        found.allocation.release(found.now)
        found.settle()
        assert found.allocation.state == "over"
        assert relay.of(c.REFRESH)[-1].lifetime_s == 0
        unasked = ClientAllocation(SERVER, ALICE)
        unasked.release(0.0)
        assert unasked.state == "over"
        assert unasked.datagrams_to_send(0.0) == []

    def test_it_is_given_back_to_a_server_that_is_gone(self) -> None:
        found = converse()
        found.delivers = False
        found.allocation.release(found.now)
        found.pass_time(20)
        assert found.allocation.state == "over"

    def test_it_is_abandoned(self) -> None:
        for found in (converse(), converse(ScriptedRelay())):
            found.allocation.abandon("the cable is cut")
            assert found.allocation.done
            assert found.allocation.refusal is not None
            assert found.allocation.refusal.detail == "the cable is cut"
