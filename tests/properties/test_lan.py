"""Whatever machines on the local network send: a value, or ProtocolError."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.probes.lan.mdnsprobe import services_of
from nattools.protocols import mdns
from nattools.protocols.dnstexts import decode_answer, encode_question
from nattools.protocols.lanbeacon import decode_beacon, encode_beacon
from nattools.protocols.mdns import DnsRecord

NAMES = st.lists(st.text("ab_-", min_size=1, max_size=8), min_size=1, max_size=4).map(".".join)
RECORDS = st.lists(
    st.builds(DnsRecord, NAMES, st.just(mdns.PTR), st.integers(0, 2**32 - 1), NAMES)
    | st.builds(DnsRecord, NAMES, st.just(mdns.SRV), st.just(1), NAMES.map(lambda name: f"{name}:80"))
    | st.builds(DnsRecord, NAMES, st.just(mdns.A), st.just(1), st.just("10.0.0.1")),
    max_size=6,
)
WHOLE = RECORDS.map(mdns.encode_response)


@given(st.binary(max_size=200) | WHOLE)
def test_any_message_is_read_or_named(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        message = mdns.decode(data)
        services_of({"10.0.0.1": dict.fromkeys(message.records)})


@given(WHOLE, st.data())
def test_a_damaged_message_is_read_or_named(whole: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(whole)))
    put = data.draw(st.binary(max_size=4) | st.sampled_from([b"\xc0\x0c", b"\xc0\x00", b"\xff\xff"]))
    with contextlib.suppress(ProtocolError):
        mdns.decode(whole[:place] + put + whole[place + len(put) :])


@given(RECORDS)
def test_what_is_encoded_is_read_again(records: list[DnsRecord]) -> None:
    assert list(mdns.decode(mdns.encode_response(records)).records) == records


@given(st.binary(max_size=120).map(lambda data: b"nattools lan 1\0" + data) | st.binary(max_size=40))
def test_any_beacon_is_read_or_named(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        beacon = decode_beacon(data)
        assert decode_beacon(encode_beacon(beacon)) == beacon


@given(st.binary(max_size=200) | WHOLE)
def test_any_answer_of_a_name_server_is_read_or_named(data: bytes) -> None:
    """What follows the header and question of a right answer may be anything."""
    question = encode_question("a.example", 7)
    right = question[:2] + b"\x81\x80\x00\x01\x00\x03\x00\x00\x00\x00" + question[12:-11]
    for whole in (data, right + data):
        with contextlib.suppress(ProtocolError):
            found = decode_answer(whole, "a.example", 7)
            assert len(found.texts) <= 100
