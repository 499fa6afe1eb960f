"""A server crafts errors for proven askers alone, to their own address, so many and no more; and tells of
those that have come."""

from __future__ import annotations

from typing import Any, cast

from nattools.model.endpoint import Endpoint
from nattools.net.base import IcmpError, Network
from nattools.protocols import errortrial, ip, provenrequest, pwnat, stun
from nattools.protocols.errortrial import TrialAsk, TrialKind, TrialResult
from nattools.server.dialbackserver import Cookies
from nattools.server.endpoints import ServerEndpoints
from nattools.server.errortrialserver import ErrorTrialServer

OWN = Endpoint("11.201.0.2", 3478)
ASKER = Endpoint("11.1.0.2", 4000)
NONCE = b"12345678"


class Wire:
    """A network that keeps what is sent."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []

    def send_packet(self, packet: bytes) -> None:
        self.packets.append(packet)


class Rig:
    def __init__(self, *, crafts: bool = True, dials: bool = True) -> None:
        self.wire, self.cookies = Wire(), Cookies(b"s" * 32)
        site = ServerEndpoints(((OWN,),))
        self.server = ErrorTrialServer(
            cast(Network, self.wire), site, self.cookies, lambda address: dials, crafts=crafts
        )

    def ask(
        self, kind: TrialKind, *, source: Endpoint = ASKER, copies: int = 1, number: int = 0, now: float = 0.0
    ) -> TrialResult:
        ask = TrialAsk(kind, ASKER.port, NONCE, copies)
        data = errortrial.encode_request(bytes(11) + bytes((number,)), ask, self.cookies.make(source, now))
        answer = self.server.answer(stun.decode(data), source, (0, 0), now)
        assert answer is not None
        return errortrial.decode_result(stun.decode(answer))


def test_nothing_is_sent_before_the_source_is_proven() -> None:
    rig = Rig()
    data = errortrial.encode_request(bytes(12), TrialAsk("quote-beacon", 4000, NONCE))
    answer = rig.server.answer(stun.decode(data), ASKER, (0, 0), 0.0)
    assert answer is not None
    assert len(answer) <= len(data)
    assert provenrequest.decode_challenge(errortrial.METHOD, stun.decode(answer)) is not None
    assert rig.wire.packets == []


def test_another_address_cannot_use_the_cookie() -> None:
    rig = Rig()
    cookie = rig.cookies.make(ASKER, 0.0)
    data = errortrial.encode_request(bytes(12), TrialAsk("quote-beacon", 4000, NONCE), cookie)
    rig.server.answer(stun.decode(data), Endpoint("11.66.6.6", 1), (0, 0), 0.0)
    assert rig.wire.packets == []


def test_an_error_goes_to_the_asker_and_quotes_his_beacon() -> None:
    rig = Rig()
    assert rig.ask("quote-beacon", copies=2) == TrialResult("sent", ASKER)
    assert len(rig.wire.packets) == 2
    packet = ip.parse(rig.wire.packets[0])
    about = packet.about
    assert about is not None
    assert (packet.source, packet.destination, packet.icmp_type) == (OWN.host, ASKER.host, 11)
    assert (about.source, about.source_port) == ASKER
    assert (about.destination, about.destination_port) == pwnat.TARGETS[0]
    assert about.payload == NONCE


def test_or_what_he_sent_to_the_server() -> None:
    rig = Rig()
    rig.ask("quote-server")
    about = ip.parse(rig.wire.packets[0]).about
    assert about is not None
    assert (about.destination, about.destination_port) == OWN


def test_a_request_that_comes_again_sends_nothing_more() -> None:
    rig = Rig()
    assert rig.ask("quote-beacon") == rig.ask("quote-beacon")
    assert len(rig.wire.packets) == 1


def test_only_so_many() -> None:
    rig = Rig()
    outcomes = [rig.ask("quote-beacon", copies=8, number=number).outcome for number in range(20)]
    assert outcomes == ["sent"] * 5 + ["denied"] * 15
    assert len(rig.wire.packets) == 40


def test_without_the_privilege_or_to_such_an_address() -> None:
    for rig in (Rig(crafts=False), Rig(dials=False)):
        assert rig.ask("quote-beacon").outcome == "denied"
        assert rig.wire.packets == []


def error(
    quoted: bytes, destination: Endpoint = pwnat.TARGETS[0], offender: str | None = "10.0.1.2"
) -> IcmpError:
    return IcmpError("time-exceeded", 11, 0, offender, destination, quoted)


def test_it_tells_of_errors_that_have_come() -> None:
    rig = Rig()
    rig.server.heard(error(b"1234567"))
    rig.server.heard(error(NONCE, Endpoint("11.5.5.5", 443)))
    assert rig.ask("tell", number=1) == TrialResult("missing", ASKER)
    rig.server.heard(error(NONCE + b"more"))
    assert rig.ask("tell", number=2) == TrialResult("arrived", ASKER, "10.0.1.2")


def test_what_it_remembers_is_bounded() -> None:
    rig: Any = Rig()
    for number in range(5000):
        rig.server.heard(error(number.to_bytes(8, "big")))
    assert len(rig.server._arrived) == 1024


def test_noise_is_not_answered() -> None:
    rig = Rig()
    request = stun.Message(errortrial.METHOD, "request", bytes(12), ((errortrial.ERROR_TRIAL, b"\x09" * 12),))
    assert rig.server.answer(request, ASKER, (0, 0), 0.0) is None
