"""The client transaction on a clock of numbers, against servers of a few lines."""

from typing import Literal

import pytest
from msgspec.structs import replace

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import (
    LongTermAuthentication,
    long_term_key,
    make_nonce,
    userhash,
)

SERVER = Endpoint("192.0.2.1", 3478)
ELSEWHERE = Endpoint("192.0.2.2", 3479)
MAPPED = Endpoint("198.51.100.7", 40000)
TRANSACTION = bytes(range(12))
REQUEST = stun.binding_request(TRANSACTION)
SUCCESS = stun.binding_success(TRANSACTION, MAPPED)


def send(transaction: stun.Transaction, now: float) -> bytes:
    ((data, destination),) = transaction.datagrams_to_send(now)
    assert destination == SERVER
    assert transaction.datagrams_to_send(now) == []
    return data


def drive(transaction: stun.Transaction, now: float = 0.0) -> list[float]:
    """Let it time out; when it sent."""
    sent = []
    while transaction.state == "running":
        sent += [now for _ in transaction.datagrams_to_send(now)]
        timeout = transaction.next_timeout()
        assert timeout is not None
        now = timeout
        transaction.handle_timeout(now)
    return [*sent, now]


def error(
    transaction_id: bytes, code: int, *attributes: tuple[int, bytes], key: bytes | None = None
) -> bytes:
    attributes = ((c.ERROR_CODE, stun.pack_error_code(code, "no")), *attributes)
    return stun.encode(stun.Message(stun.BINDING, "error", transaction_id, attributes), key=key)


class TestTimes:
    def test_retransmission_as_in_the_rfc(self) -> None:
        """RFC 8489 6.2.1's example: RTO of 500 ms, Rc of 7, Rm of 16."""
        transaction = stun.Transaction(REQUEST, SERVER)
        assert drive(transaction) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 39.5]
        assert transaction.state == "timed out"
        assert transaction.sent == 7
        assert transaction.next_timeout() is None

    def test_other_figures(self) -> None:
        transaction = stun.Transaction(REQUEST, SERVER, rto_s=0.1, rc=3, rm=4)
        assert drive(transaction, 10.0) == pytest.approx([10.0, 10.1, 10.3, 10.7])

    def test_once_over_a_reliable_transport(self) -> None:
        transaction = stun.Transaction(REQUEST, SERVER, reliable=True)
        assert drive(transaction) == [0, 39.5]
        assert transaction.state == "timed out"

    def test_early_calls_are_harmless(self) -> None:
        transaction = stun.Transaction(REQUEST, SERVER)
        transaction.handle_timeout(100.0)
        assert send(transaction, 0.0) == REQUEST
        transaction.handle_timeout(0.4)
        assert transaction.datagrams_to_send(0.4) == []
        transaction.handle_timeout(0.5)
        transaction.handle_timeout(0.5)
        assert send(transaction, 0.5) == REQUEST
        assert transaction.next_timeout() == 1.5

    @pytest.mark.parametrize("bad", [{"rc": 0}, {"rto_s": 0.0}, {"rm": 0}])
    def test_impossible_figures(self, bad: dict[str, int]) -> None:
        with pytest.raises(ValueError):
            stun.Transaction(REQUEST, SERVER, **bad)

    def test_only_requests(self) -> None:
        with pytest.raises(ProtocolError):
            stun.Transaction(SUCCESS, SERVER)
        with pytest.raises(ProtocolError):
            stun.Transaction(b"", SERVER)


class TestResponses:
    def test_success(self) -> None:
        transaction = stun.Transaction(REQUEST, SERVER)
        send(transaction, 1.0)
        assert transaction.receive_datagram(SUCCESS, SERVER, 1.25)
        assert transaction.state == "succeeded"
        assert transaction.response is not None
        assert transaction.response.mapped == MAPPED
        assert (transaction.source, transaction.rtt_s) == (SERVER, 0.25)
        assert transaction.next_timeout() is None
        assert not transaction.receive_datagram(SUCCESS, SERVER, 1.5)
        assert transaction.datagrams_to_send(9.0) == []

    def test_no_round_trip_time_after_a_retransmission(self) -> None:
        transaction = stun.Transaction(REQUEST, SERVER)
        send(transaction, 0.0)
        transaction.handle_timeout(0.5)
        send(transaction, 0.5)
        transaction.receive_datagram(SUCCESS, SERVER, 0.6)
        assert (transaction.state, transaction.rtt_s) == ("succeeded", None)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"hello",
            bytes(40),
            REQUEST,
            stun.binding_success(bytes(12), MAPPED),
            stun.encode(stun.Message(2, "success", TRANSACTION)),
            stun.encode(stun.Message(1, "indication", TRANSACTION)),
        ],
    )
    def test_what_is_not_its_own(self, data: bytes) -> None:
        transaction = stun.Transaction(REQUEST, SERVER)
        send(transaction, 0.0)
        assert not transaction.receive_datagram(data, SERVER, 0.1)
        assert (transaction.state, transaction.problem) == ("running", "")

    @pytest.mark.parametrize(
        "data",
        [
            SUCCESS[:-1],
            SUCCESS + b"x",
            stun.encode(stun.Message(1, "error", TRANSACTION)),
            stun.encode(stun.Message(1, "error", TRANSACTION, ((c.ERROR_CODE, b""),))),
            stun.encode(stun.Message(1, "success", TRANSACTION, ((c.FINGERPRINT, b"abcd"),))),
        ],
    )
    def test_malformed_answers_are_ignored_and_named(self, data: bytes) -> None:
        transaction = stun.Transaction(REQUEST, SERVER)
        send(transaction, 0.0)
        assert transaction.receive_datagram(data, SERVER, 0.1)
        assert transaction.state == "running"
        assert transaction.problem
        transaction.receive_datagram(SUCCESS, SERVER, 0.2)
        assert (transaction.state, transaction.problem) == ("succeeded", "")

    def test_the_source_counts_when_asked(self) -> None:
        transaction = stun.Transaction(REQUEST, SERVER, check_source=True)
        send(transaction, 0.0)
        assert transaction.receive_datagram(SUCCESS, ELSEWHERE, 0.1)
        assert transaction.state == "running"
        assert "192.0.2.2:3479" in transaction.problem
        transaction.receive_datagram(SUCCESS, SERVER, 0.2)
        assert transaction.state == "succeeded"

    def test_the_source_does_not_count_otherwise(self) -> None:
        transaction = stun.Transaction(REQUEST, SERVER)
        send(transaction, 0.0)
        transaction.receive_datagram(SUCCESS, ELSEWHERE, 0.1)
        assert (transaction.state, transaction.source) == ("succeeded", ELSEWHERE)

    def test_error_responses(self) -> None:
        transaction = stun.Transaction(REQUEST, SERVER)
        send(transaction, 0.0)
        transaction.receive_datagram(error(TRANSACTION, 420), SERVER, 0.1)
        assert transaction.state == "failed"
        assert transaction.response is not None
        assert transaction.response.error == (420, "no")

    def test_unknown_required_attributes_are_a_failure(self) -> None:
        transaction = stun.Transaction(REQUEST, SERVER)
        send(transaction, 0.0)
        message = stun.Message(1, "success", TRANSACTION, ((0x7123, b""),))
        transaction.receive_datagram(stun.encode(message), SERVER, 0.1)
        assert transaction.state == "failed"
        assert "0x7123" in transaction.problem

    def test_rfc_3489(self) -> None:
        legacy = bytes(range(16))
        transaction = stun.Transaction(stun.binding_request(legacy, hello=False), SERVER)
        send(transaction, 0.0)
        transaction.receive_datagram(stun.binding_success(legacy, MAPPED), SERVER, 0.1)
        assert transaction.state == "succeeded"
        assert transaction.response is not None
        assert transaction.response.legacy

    def test_abandoned(self) -> None:
        transaction = stun.Transaction(REQUEST, SERVER)
        send(transaction, 0.0)
        transaction.abandon("port unreachable")
        transaction.abandon("again")
        assert (transaction.state, transaction.problem) == ("abandoned", "port unreachable")
        assert transaction.next_timeout() is None


def signed(transaction_id: bytes, key: bytes, algorithm: stun.IntegrityAlgorithm = "sha1") -> bytes:
    value = stun.pack_xor_address(MAPPED, transaction_id)
    message = stun.Message(stun.BINDING, "success", transaction_id, ((c.XOR_MAPPED_ADDRESS, value),))
    return stun.encode(message, key=key, algorithm=algorithm, fingerprint=True)


class Password:
    """A user name and a password that both sides know, as ICE has them (RFC 8489 9.1)."""

    def __init__(self, algorithm: Literal["sha1", "sha256"] = "sha1") -> None:
        self.algorithm = algorithm

    def sign(self, request: stun.Message, *, fingerprint: bool = False) -> bytes:
        named = replace(request, attributes=(*request.attributes, (c.USERNAME, b"user")), raw=b"")
        return stun.encode(named, key=b"secret", algorithm=self.algorithm, fingerprint=fingerprint)

    def verify(self, response: stun.Message) -> bool:
        return stun.verify_integrity(response, b"secret", algorithm=self.algorithm)

    def renew(self, response: stun.Message) -> str | None:
        return "the server does not accept the user name and password"


class TestShortTerm:
    @pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
    def test_requests_and_responses_are_signed(self, algorithm: Literal["sha1", "sha256"]) -> None:
        authentication = Password(algorithm=algorithm)
        transaction = stun.Transaction(REQUEST, SERVER, authentication=authentication)
        request = stun.decode(send(transaction, 0.0))
        assert request.username == "user"
        assert stun.verify_integrity(request, b"secret")
        assert transaction.receive_datagram(SUCCESS, SERVER, 0.1)
        assert transaction.receive_datagram(signed(TRANSACTION, b"wrong", algorithm), SERVER, 0.1)
        assert transaction.state == "running"
        transaction.receive_datagram(signed(TRANSACTION, b"secret", algorithm), SERVER, 0.2)
        assert transaction.state == "succeeded"

    def test_sha256_cannot_be_bid_down(self) -> None:
        authentication = Password(algorithm="sha256")
        transaction = stun.Transaction(REQUEST, SERVER, authentication=authentication)
        send(transaction, 0.0)
        transaction.receive_datagram(signed(TRANSACTION, b"secret", "sha1"), SERVER, 0.1)
        assert transaction.state == "running"

    def test_forgeries_alone_are_not_a_timeout(self) -> None:
        authentication = Password()
        transaction = stun.Transaction(REQUEST, SERVER, authentication=authentication)
        send(transaction, 0.0)
        transaction.receive_datagram(SUCCESS, SERVER, 0.1)
        drive(transaction)
        assert transaction.state == "not authentic"

    def test_a_forgery_ends_a_reliable_transaction(self) -> None:
        authentication = Password()
        transaction = stun.Transaction(REQUEST, SERVER, reliable=True, authentication=authentication)
        send(transaction, 0.0)
        transaction.receive_datagram(SUCCESS, SERVER, 0.1)
        assert transaction.state == "not authentic"

    def test_a_refusal_is_reported(self) -> None:
        authentication = Password()
        transaction = stun.Transaction(REQUEST, SERVER, authentication=authentication)
        send(transaction, 0.0)
        transaction.receive_datagram(error(TRANSACTION, 401), SERVER, 0.1)
        assert transaction.state == "failed"
        assert "does not accept" in transaction.problem


REALM = (c.REALM, b"example.org")
OFFER = (c.PASSWORD_ALGORITHMS, stun.pack_algorithms([(77, b"x"), (c.SHA256, b""), (c.MD5, b"")]))
MD5_KEY = long_term_key("user", "example.org", "secret")
SHA256_KEY = long_term_key("user", "example.org", "secret", c.SHA256)


def long_term(**options: bool) -> tuple[stun.Transaction, LongTermAuthentication]:
    authentication = LongTermAuthentication("user", "secret")
    transaction = stun.Transaction(REQUEST, SERVER, authentication=authentication, **options)
    assert send(transaction, 0.0) == REQUEST
    return transaction, authentication


class TestLongTerm:
    def test_a_challenge_is_answered_with_a_new_transaction(self) -> None:
        transaction, _ = long_term()
        challenge = error(TRANSACTION, 401, REALM, (c.NONCE, b"nonce"))
        transaction.receive_datagram(challenge, SERVER, 0.1)
        request = stun.decode(send(transaction, 0.1))
        assert request.transaction_id != TRANSACTION
        assert (request.username, request.realm, request.nonce) == ("user", "example.org", b"nonce")
        assert request.hello == b""
        assert stun.verify_integrity(request, MD5_KEY, algorithm="sha1")
        assert transaction.next_timeout() == pytest.approx(0.6)
        assert not transaction.receive_datagram(challenge, SERVER, 0.15)
        transaction.receive_datagram(signed(request.transaction_id, MD5_KEY), SERVER, 0.2)
        assert (transaction.state, transaction.sent) == ("succeeded", 2)
        assert transaction.rtt_s == pytest.approx(0.1)

    def test_the_first_known_password_algorithm_is_taken(self) -> None:
        transaction, _ = long_term()
        nonce = make_nonce(b"1", password_algorithms=True, username_anonymity=True)
        transaction.receive_datagram(error(TRANSACTION, 401, REALM, (c.NONCE, nonce), OFFER), SERVER, 0.1)
        request = stun.decode(send(transaction, 0.1))
        assert request.password_algorithm == (c.SHA256, b"")
        assert request.get(c.PASSWORD_ALGORITHMS) == OFFER[1]
        assert (request.username, request.userhash) == (None, userhash("user", "example.org"))
        assert stun.verify_integrity(request, SHA256_KEY, algorithm="sha256")
        transaction.receive_datagram(signed(request.transaction_id, SHA256_KEY, "sha1"), SERVER, 0.2)
        assert transaction.state == "running"
        transaction.receive_datagram(signed(request.transaction_id, SHA256_KEY, "sha256"), SERVER, 0.3)
        assert transaction.state == "succeeded"

    def test_a_list_that_was_taken_out_is_noticed(self) -> None:
        """RFC 8489 9.2.5: the nonce says that there was one."""
        transaction, _ = long_term()
        nonce = make_nonce(b"1", password_algorithms=True)
        transaction.receive_datagram(error(TRANSACTION, 401, REALM, (c.NONCE, nonce)), SERVER, 0.1)
        assert transaction.state == "failed"
        assert "removed from" in transaction.problem

    def test_unknown_algorithms_alone(self) -> None:
        transaction, _ = long_term()
        offer = (c.PASSWORD_ALGORITHMS, stun.pack_algorithms([(77, b"")]))
        nonce = make_nonce(b"1", password_algorithms=True)
        transaction.receive_datagram(error(TRANSACTION, 401, REALM, (c.NONCE, nonce), offer), SERVER, 0.1)
        assert transaction.state == "failed"
        assert "does not support" in transaction.problem

    @pytest.mark.parametrize("attributes", [(), (REALM,), ((c.NONCE, b"nonce"),), (REALM, (c.NONCE, b""))])
    def test_incomplete_challenges(self, attributes: tuple[tuple[int, bytes], ...]) -> None:
        transaction, _ = long_term()
        transaction.receive_datagram(error(TRANSACTION, 401, *attributes), SERVER, 0.1)
        assert transaction.state == "failed"
        assert "lacks" in transaction.problem

    def test_a_malformed_challenge_is_ignored(self) -> None:
        transaction, _ = long_term()
        data = error(TRANSACTION, 401, (c.REALM, b"\xff"), (c.NONCE, b"n"))
        assert transaction.receive_datagram(data, SERVER, 0.1)
        assert transaction.state == "running"
        assert "REALM" in transaction.problem

    def test_wrong_credentials_end_it(self) -> None:
        transaction, _ = long_term()
        transaction.receive_datagram(error(TRANSACTION, 401, REALM, (c.NONCE, b"1")), SERVER, 0.1)
        request = stun.decode(send(transaction, 0.1))
        again = error(request.transaction_id, 401, REALM, (c.NONCE, b"2"))
        transaction.receive_datagram(again, SERVER, 0.2)
        assert transaction.state == "failed"
        assert transaction.datagrams_to_send(0.2) == []

    def test_a_stale_nonce_is_renewed_once(self) -> None:
        transaction, authentication = long_term()
        transaction.receive_datagram(error(TRANSACTION, 401, REALM, (c.NONCE, b"1")), SERVER, 0.1)
        first = stun.decode(send(transaction, 0.1))
        transaction.receive_datagram(error(first.transaction_id, 438, REALM, (c.NONCE, b"2")), SERVER, 0.2)
        second = stun.decode(send(transaction, 0.2))
        assert second.nonce == b"2"
        transaction.receive_datagram(error(second.transaction_id, 438, REALM, (c.NONCE, b"3")), SERVER, 0.3)
        assert transaction.state == "failed"
        assert "repeats" in transaction.problem
        assert authentication.realm == "example.org"

    def test_realm_and_nonce_serve_the_next_transaction(self) -> None:
        transaction, authentication = long_term()
        transaction.receive_datagram(error(TRANSACTION, 401, REALM, (c.NONCE, b"1")), SERVER, 0.1)
        following = stun.Transaction(stun.binding_request(bytes(12)), SERVER, authentication=authentication)
        assert stun.decode(send(following, 1.0)).nonce == b"1"

    def test_a_server_that_asks_for_nothing(self) -> None:
        transaction, _ = long_term()
        transaction.receive_datagram(SUCCESS, SERVER, 0.1)
        assert transaction.state == "succeeded"

    def test_an_unsigned_400_is_not_believed(self) -> None:
        """RFC 8489 9.2.5."""
        transaction, _ = long_term()
        transaction.receive_datagram(error(TRANSACTION, 401, REALM, (c.NONCE, b"1")), SERVER, 0.1)
        request = stun.decode(send(transaction, 0.1))
        transaction.receive_datagram(error(request.transaction_id, 400), SERVER, 0.2)
        assert transaction.state == "running"
        transaction.receive_datagram(error(request.transaction_id, 403, key=MD5_KEY), SERVER, 0.3)
        assert transaction.state == "failed"

    def test_only_requests_are_signed(self) -> None:
        with pytest.raises(ValueError, match="only requests"):
            LongTermAuthentication("user", "secret").sign(stun.decode(SUCCESS))

    def test_the_fingerprint_of_the_request_is_kept(self) -> None:
        request = stun.encode(stun.Message(1, "request", TRANSACTION), fingerprint=True)
        authentication = Password()
        transaction = stun.Transaction(request, SERVER, authentication=authentication)
        assert stun.verify_fingerprint(stun.decode(send(transaction, 0.0)))
