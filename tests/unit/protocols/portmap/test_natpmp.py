"""NAT-PMP: messages (worked out by hand from RFC 6886's figures), epoch, transaction, results."""

from __future__ import annotations

import pytest

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import natpmp
from nattools.protocols.natpmp import AddressRequest, MapRequest, NatPmpResponse
from nattools.protocols.retransmission import EpochClock
from nattools.wording.refusals import natpmp_refusal

SERVER = Endpoint("10.0.1.1", 5351)
MAP = MapRequest("tcp", 4000, 5000, 7200)

REQUESTS = [
    (AddressRequest(), "0000"),  # RFC 6886 3.2
    (MAP, "00 02 0000 0fa0 1388 00001c20"),  # 3.3
    (MapRequest("udp", 4000, 0, 0), "00 01 0000 0fa0 0000 00000000"),  # 3.4: remove
]
RESPONSES = [
    (NatPmpResponse(0, 0, 100, "11.1.0.2"), "00 80 0000 00000064 0b010002"),
    (NatPmpResponse(2, 0, 100, None, 4000, 5001, 3600), "00 82 0000 00000064 0fa0 1389 00000e10"),
    (NatPmpResponse(1, 2, 100), "00 81 0002 00000064"),
    (NatPmpResponse(77, 5, 100), "00 cd 0005 00000064"),
]


@pytest.mark.parametrize(("request_", "data"), REQUESTS)
def test_requests(request_: natpmp.Request, data: str) -> None:
    assert natpmp.encode_request(request_) == bytes.fromhex(data)
    assert natpmp.decode_request(bytes.fromhex(data)) == request_


@pytest.mark.parametrize(("response", "data"), RESPONSES)
def test_responses(response: NatPmpResponse, data: str) -> None:
    assert natpmp.decode_response(bytes.fromhex(data)) == response
    assert natpmp.encode_response(response) == bytes.fromhex(data)


@pytest.mark.parametrize(
    "data",
    ["", "0080"]
    + [head + "00000064" for head in ("00800000", "00810000", "00cd0000", "00000000", "02800001")],
)
def test_broken_responses(data: str) -> None:
    with pytest.raises(ProtocolError):
        natpmp.decode_response(bytes.fromhex(data))


def test_an_unsupported_version_may_come_without_the_response_bit() -> None:
    """RFC 6886 3.5 shows opcode 0 there."""
    assert natpmp.decode_response(bytes.fromhex("0000000100000064")) == NatPmpResponse(0, 1, 100)


def started(request: natpmp.Request = MAP) -> natpmp.NatPmpTransaction:
    asking = natpmp.NatPmpTransaction(request, SERVER)
    assert asking.datagrams_to_send(0.0) == [(natpmp.encode_request(request), SERVER)]
    return asking


def test_pauses_double_from_250_ms_to_64_s() -> None:
    """RFC 6886 3.1: nine attempts, the last followed by a wait of 64 s."""
    asking = natpmp.NatPmpTransaction(AddressRequest(), SERVER, patience_s=127.75)
    now, times = 0.0, []
    while asking.state == "running":
        times += [now for _ in asking.datagrams_to_send(now)]
        now = asking.next_timeout() or now
        asking.handle_timeout(now)
    assert times == [0.25 * (2**n - 1) for n in range(9)]
    assert now == 127.75
    assert asking.state == "timed out"


def test_an_answer_from_another_port_of_the_gateway_counts() -> None:
    asking = started()
    answer = bytes.fromhex(RESPONSES[1][1])
    assert not asking.receive_datagram(answer, Endpoint("10.0.1.7", 5351), 0.1)
    assert asking.receive_datagram(answer, Endpoint(SERVER.host, 41000), 0.1)
    assert asking.state == "succeeded"
    assert asking.response == RESPONSES[1][0]
    assert asking.rtt_s == 0.1


def test_answers_to_other_questions_are_ignored() -> None:
    asking = started()
    other_port = "00 82 0000 00000064 0fa1 1389 00000e10"
    for data in (RESPONSES[0][1], other_port, "00 81 0000 00000064 0fa0 1389 00000e10", "ff"):
        assert not asking.receive_datagram(bytes.fromhex(data), SERVER, 0.1)
    assert asking.state == "running"


def test_a_refusal() -> None:
    asking = started()
    assert asking.receive_datagram(bytes.fromhex("00 82 0002 00000064"), SERVER, 0.1)
    assert asking.state == "failed"
    assert asking.response is not None
    assert natpmp_refusal(asking.response.result).name == "NOT_AUTHORIZED"


def test_a_server_of_pcp_alone() -> None:
    asking = started(AddressRequest())
    assert asking.receive_datagram(bytes.fromhex("02 80 0001 00000000 00000064" + "00" * 12), SERVER, 0.1)
    assert asking.state == "upgrade"


@pytest.mark.parametrize(
    ("epoch", "now", "valid"),
    [(180, 80.0, True), (168, 80.0, True), (167, 80.0, False), (0, 80.0, False), (500, 80.0, True)],
)
def test_epoch_rule(epoch: int, now: float, valid: bool) -> None:
    """RFC 6886 3.6: 100 + 7/8 * 80 - 2 = 168."""
    clock = EpochClock()
    assert clock.update(100, 0.0)
    assert clock.update(epoch, now) is valid
