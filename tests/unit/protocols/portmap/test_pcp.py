"""PCP: messages byte by byte (worked out by hand from RFC 6887's figures), epoch, transaction, results."""

from __future__ import annotations

import msgspec
import pytest

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import pcp
from nattools.protocols.pcp import Option
from nattools.protocols.retransmission import EpochClock
from nattools.wording.refusals import pcp_refusal

NONCE = bytes(range(12))
SERVER = Endpoint("10.0.1.1", 5351)
WANTED = pcp.MapBody(NONCE, 17, 4000, Endpoint("0.0.0.0", 5000))
REQUEST = pcp.RequestMessage(pcp.MAP, 7200, "10.0.1.2", WANTED)
# RFC 6887 7.1 and 11.1, figures 2 and 9
REQUEST_BYTES = bytes.fromhex(
    "02 01 0000"  # version 2, R = 0 and opcode MAP, reserved
    "00001c20"  # lifetime 7200 s
    "00000000000000000000ffff0a000102"  # ::ffff:10.0.1.2
    "000102030405060708090a0b"  # nonce
    "11 000000"  # UDP, reserved
    "0fa0 1388"  # internal port 4000, suggested external port 5000
    "00000000000000000000ffff00000000"  # ::ffff:0.0.0.0, no address suggested
)
# RFC 6887 7.2 and 11.1, figures 3 and 10
RESPONSE_BYTES = bytes.fromhex(
    "02 81 00 00"  # version 2, R = 1 and opcode MAP, reserved, SUCCESS
    "00000e10"  # lifetime 3600 s
    "00000064"  # epoch 100 s
    "000000000000000000000000"
    "000102030405060708090a0b"
    "11 000000"
    "0fa0 1389"
    "00000000000000000000ffff0b010002"
)
ASSIGNED = pcp.MapBody(NONCE, 17, 4000, Endpoint("11.1.0.2", 5001))
RESPONSE = pcp.ResponseMessage(2, pcp.MAP, 0, 3600, 100, ASSIGNED)


def test_map_request_bytes() -> None:
    assert pcp.encode_request(REQUEST) == REQUEST_BYTES
    assert pcp.decode_request(REQUEST_BYTES) == REQUEST


def test_map_response_bytes() -> None:
    assert pcp.decode_response(RESPONSE_BYTES) == RESPONSE
    assert pcp.encode_response(RESPONSE) == RESPONSE_BYTES


def test_announce_is_the_header_alone() -> None:
    data = pcp.encode_request(pcp.RequestMessage(pcp.ANNOUNCE, 0, "2a10:1:0:1::2"))
    assert data == bytes.fromhex("02000000000000002a100001000000010000000000000002")
    answer = bytes.fromhex("028000000000000000000007" + "00" * 12)
    assert pcp.decode_response(answer) == pcp.ResponseMessage(2, pcp.ANNOUNCE, 0, 0, 7)


def test_options_are_padded_and_read_back() -> None:
    options = (
        pcp.third_party("10.0.1.9"),
        pcp.prefer_failure(),
        Option(130, b"abc"),
    )
    data = pcp.encode_request(pcp.RequestMessage(pcp.MAP, 60, "10.0.1.2", WANTED, options))
    assert data[60:] == bytes.fromhex(
        "01 00 0010" "00000000000000000000ffff0a000109"
        "02 00 0000"
        "82 00 0003" "616263 00"
    )  # fmt: skip
    assert pcp.decode_request(data).options == options


def test_unknown_options_of_a_response_are_kept_and_do_no_harm() -> None:
    # RFC 7652's AUTHENTICATION_TAG and RFC 7753's PORT_SET
    options = (Option(5, bytes(8)), Option(130, bytes(5)))
    data = pcp.encode_response(pcp.ResponseMessage(2, pcp.MAP, 0, 60, 1, ASSIGNED, options))
    assert pcp.decode_response(data).body == ASSIGNED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        RESPONSE_BYTES[:-4],
        RESPONSE_BYTES + b"\x01",
        RESPONSE_BYTES + bytes.fromhex("0500000900000000"),
        RESPONSE_BYTES + bytes(1100),
        REQUEST_BYTES,
        b"\x01" + RESPONSE_BYTES[1:],
        RESPONSE_BYTES[:1] + b"\x83" + RESPONSE_BYTES[2:],
        b"\x00\x80\x00\x01\x00\x00\x00\x07",
    ],
)
def test_broken_responses(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        pcp.decode_response(data)


def test_an_error_counts_even_if_its_body_is_cut_short() -> None:
    head = bytes.fromhex("02 81 00 030000001e00000064" + "00" * 12)
    assert pcp.decode_response(head) == pcp.ResponseMessage(2, pcp.MAP, 3, 30, 100)
    broken_option = RESPONSE_BYTES[:3] + b"\x06" + RESPONSE_BYTES[4:] + bytes.fromhex("03000009")
    assert pcp.decode_response(broken_option).body == ASSIGNED


# --- the transaction


def transaction(request: pcp.RequestMessage = REQUEST, **options: float) -> pcp.PcpTransaction:
    return pcp.PcpTransaction(request, SERVER, jitter=lambda: 0.0, **options)


def started(request: pcp.RequestMessage = REQUEST) -> pcp.PcpTransaction:
    asking = transaction(request)
    asking.datagrams_to_send(100.0)
    return asking


def drive(asking: pcp.PcpTransaction, now: float = 100.0) -> list[float]:
    """The times at which it sends, until it gives up."""
    times = []
    while asking.state == "running":
        times += [now for _ in asking.datagrams_to_send(now)]
        now = asking.next_timeout() or now
        asking.handle_timeout(now)
    return times


def test_pauses_double_from_250_ms() -> None:
    asking = transaction(patience_s=8.0)
    assert drive(asking) == [100.0, 100.25, 100.75, 101.75, 103.75, 107.75]
    assert asking.state == "timed out"
    assert asking.next_timeout() is None


def test_pauses_have_jitter_and_a_maximum() -> None:
    """RFC 6887 8.1.1: RT = (1 + RAND) * min(2 * RT, MRT)."""
    asking = pcp.PcpTransaction(
        REQUEST, SERVER, initial_s=3.0, maximum_s=8.0, patience_s=30.0, jitter=lambda: 0.1
    )
    pauses = [3.0 * 1.1, 6.6 * 1.1, 8.0 * 1.1, 8.0 * 1.1]
    expected = [0.0]
    for pause in pauses:
        expected.append(expected[-1] + pause)
    assert drive(asking, 0.0) == pytest.approx([time for time in expected if time < 30.0])


def test_a_response_ends_it() -> None:
    asking = started()
    assert asking.datagrams_to_send(100.1) == []
    assert asking.receive_datagram(RESPONSE_BYTES, SERVER, 100.1)
    assert asking.state == "succeeded"
    assert asking.response == RESPONSE
    assert asking.rtt_s == pytest.approx(0.1)
    assert asking.datagrams_to_send(200.0) == []


def test_a_wrong_nonce_is_ignored() -> None:
    asking = started()
    forged = RESPONSE_BYTES[:24] + bytes(12) + RESPONSE_BYTES[36:]
    assert not asking.receive_datagram(forged, SERVER, 100.1)
    assert asking.ignored == "an answer with a wrong nonce"
    assert asking.receive_datagram(RESPONSE_BYTES, SERVER, 100.2)


@pytest.mark.parametrize(
    ("position", "byte"), [(36, 6), (39 + 2, 0xA1), (1, 0x82)], ids=["protocol", "internal port", "opcode"]
)
def test_an_answer_to_something_else_is_ignored(position: int, byte: int) -> None:
    asking = started()
    data = RESPONSE_BYTES[:position] + bytes((byte,)) + RESPONSE_BYTES[position + 1 :]
    assert not asking.receive_datagram(data, SERVER, 100.1)
    assert asking.state == "running"


def test_the_nonce_proves_an_answer_from_another_port_and_nothing_else_does() -> None:
    elsewhere = Endpoint(SERVER.host, 40000)
    asking = started()
    assert not asking.receive_datagram(RESPONSE_BYTES, Endpoint("10.0.1.7", 5351), 100.1)
    assert asking.receive_datagram(RESPONSE_BYTES, elsewhere, 100.1)
    announce = started(pcp.RequestMessage(pcp.ANNOUNCE, 0, "10.0.1.2"))
    answer = pcp.encode_response(pcp.ResponseMessage(2, pcp.ANNOUNCE, 0, 0, 7))
    assert not announce.receive_datagram(answer, elsewhere, 100.1)
    assert announce.receive_datagram(answer, SERVER, 100.1)


def test_an_error_ends_it() -> None:
    asking = started()
    answer = pcp.encode_response(pcp.ResponseMessage(2, pcp.MAP, 12, 1800, 100, WANTED))
    assert asking.receive_datagram(answer, SERVER, 100.1)
    assert asking.state == "failed"
    assert asking.response is not None
    assert pcp_refusal(asking.response.result).name == "ADDRESS_MISMATCH"


@pytest.mark.parametrize("data", ["0081000100000064", "0000000100000064", "0080000100000064"])
def test_an_answer_of_version_0_means_natpmp(data: str) -> None:
    asking = started()
    assert not asking.receive_datagram(bytes.fromhex(data), Endpoint(SERVER.host, 4), 100.1)
    assert asking.receive_datagram(bytes.fromhex(data), SERVER, 100.1)
    assert asking.state == "downgrade"


def test_another_version_fails_with_its_number() -> None:
    asking = started()
    data = bytes.fromhex("03 81 00 010000000000000064" + "00" * 12)
    assert asking.receive_datagram(data, SERVER, 100.1)
    assert asking.state == "failed"
    assert asking.response is not None
    assert (asking.response.version, asking.response.result) == (3, 1)


def test_patience_can_be_cut_short() -> None:
    asking = transaction()
    asking.datagrams_to_send(100.0)
    asking.shorten(100.2)
    assert asking.next_timeout() == pytest.approx(100.2)
    asking.handle_timeout(100.21)
    assert asking.state == "timed out"


def test_what_is_sent_late_may_be_answered_late() -> None:
    """A busy machine comes to its last repetition 0.55 s late: the answer to that has its time."""
    asking = transaction(patience_s=1.9)
    for now in (100.0, 100.25, 100.75):
        assert asking.datagrams_to_send(now)
    asking.handle_timeout(102.3)
    assert asking.datagrams_to_send(102.3)
    assert asking.next_timeout() == pytest.approx(102.45)
    asking.handle_timeout(102.4)
    assert asking.receive_datagram(RESPONSE_BYTES, SERVER, 102.4)


# --- the epoch


@pytest.mark.parametrize(
    ("epoch", "now", "valid"),
    [
        (110, 10.0, True),
        (99, 0.0, True),  # an overtaken response
        (98, 0.0, False),
        (0, 10.0, False),  # restarted
        (105, 10.0, False),  # 5 + 2 < 10 - 10/16
        (107, 9.0, True),  # 7 + 2 >= 9 - 9/16
        (100 + 1700, 1600.0, True),  # a fast clock, within 1/16
        (100 + 1800, 1600.0, False),
        (100 + 1500, 1600.0, True),  # a slow clock, within 1/16
        (100 + 1490, 1600.0, False),
    ],
)
def test_epoch_rule(epoch: int, now: float, valid: bool) -> None:
    clock = EpochClock(drift=1 / 16, both_ways=True)
    assert clock.update(100, 0.0)
    assert clock.update(epoch, now) is valid


def test_after_a_restart_the_new_epoch_counts() -> None:
    clock = EpochClock(drift=1 / 16, both_ways=True)
    clock.update(1000, 0.0)
    assert not clock.update(3, 10.0)
    assert clock.update(13, 20.0)


def test_a_clock_that_stands_still_tells_nothing() -> None:
    clock = EpochClock(drift=1 / 16, both_ways=True)
    assert all(clock.update(7, now) for now in (0.0, 3.0, 1000.0))


@pytest.mark.parametrize("rate", [-50, 3])
def test_a_clock_that_makes_no_sense_is_not_believed_for_long(rate: int) -> None:
    """It goes back, or runs three times as fast; between two looks the mapping is made anew."""
    clock = EpochClock(drift=1 / 16, both_ways=True)
    said = []
    for look in range(12):
        said.append(clock.update(10_000 + 3 * look * rate, 3.0 * look))
        clock.update(10_000 + 3 * look * rate, 3.0 * look + 0.1)
    assert said == [True, False, False] + [True] * 9
    for look in range(3):
        clock.update(100 + 10 * look, 100.0 + 10 * look)
    assert not clock.update(0, 130.0), "what fits again is believed again"


# --- lifetimes and results


def test_renewals() -> None:
    """RFC 6887 11.2.1: 1/2 to 5/8, 3/4 to 3/4 + 1/16, 7/8 to 7/8 + 1/32; not closer than 4 s."""
    assert [pcp.renewal_delay_s(160, n, lambda: 0.0) for n in range(3)] == [80, 120, 140]
    assert [pcp.renewal_delay_s(160, n, lambda: 1.0) for n in range(3)] == [100, 130, 145]
    assert pcp.renewal_delay_s(160, 5) is None
    assert pcp.renewal_delay_s(2, 0, lambda: 0.0) == 1
    assert pcp.renewal_delay_s(0xFFFFFFFF, 0, lambda: 0.0) == 43200, "more than a day is not believed"


# --- is a server there?


def searching(*at: float) -> pcp.PcpSearch:
    search = pcp.PcpSearch("10.0.1.2", SERVER, jitter=lambda: 0.0)
    for now in at:
        search.datagrams_to_send(now)
    return search


def test_a_search_announces_itself_and_then_ends_what_nobody_made() -> None:
    search = searching()
    ((first, _),) = search.datagrams_to_send(0.0)
    assert pcp.decode_request(first).opcode == pcp.ANNOUNCE
    (again, _), (ending, _) = search.datagrams_to_send(0.25)
    assert again == first
    asked = pcp.decode_request(ending)
    assert (asked.opcode, asked.lifetime_s) == (pcp.MAP, 0)


@pytest.mark.parametrize(("result", "state"), [(0, "succeeded"), (2, "failed")])
def test_a_server_without_announce_is_found(result: int, state: str) -> None:
    search = searching(0.0)
    (_, (ending, _)) = search.datagrams_to_send(0.25)
    body = pcp.decode_request(ending).body
    assert body is not None
    told = pcp.ResponseMessage(2, pcp.MAP, result, 0, 5, body)
    forged = pcp.ResponseMessage(2, pcp.MAP, result, 0, 5, msgspec.structs.replace(body, nonce=bytes(12)))
    assert not search.receive_datagram(pcp.encode_response(forged), SERVER, 0.3)
    assert search.receive_datagram(pcp.encode_response(told), SERVER, 0.3)
    assert search.state == state


def test_before_it_was_asked_no_such_answer_counts() -> None:
    told = pcp.ResponseMessage(2, pcp.MAP, 0, 0, 5, pcp.MapBody(bytes(12), 17, 9, Endpoint("0.0.0.0", 0)))
    assert not searching(0.0).receive_datagram(pcp.encode_response(told), SERVER, 0.1)
