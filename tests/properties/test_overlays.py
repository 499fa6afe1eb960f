"""Whatever stands in a file that is said to be a program's status: a value, or ProtocolError."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.protocols.headers import Headers
from nattools.protocols.http import HttpResponse
from nattools.protocols.overlays import parse_status
from nattools.protocols.tailscalecontrol import read_key, upgrade_arrives

SAMPLES = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "vectors/overlays").iterdir())]
NAMES = sorted({name for data in SAMPLES for name in data.decode().split('"')[1::2] if 0 < len(name) < 40})
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["11.1.0.2:1", "100.64.0.1", "10.0.0.0/8", "relay", "LEAF", "[1]", "candidate-pair", "1/2"]
    )
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=25,
)


def read(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        status = parse_status(data)
        assert msgspec.json.decode(msgspec.json.encode(status), type=type(status)) == status


@given(JSON)
def test_any_json_is_read_or_named(value: object) -> None:
    read(msgspec.json.encode(value))


@given(st.sampled_from(SAMPLES), st.data())
def test_a_damaged_status_is_read_or_named(sample: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(sample)))
    length = data.draw(st.integers(0, 30))
    put = data.draw(
        st.binary(max_size=10) | st.sampled_from([b'"', b"{", b"]", b"null", b"-1", b"1e999", b"\xff"])
    )
    read(sample[:place] + put + sample[place + length :])


@given(st.sampled_from(SAMPLES), JSON, st.data())
def test_a_status_with_another_value_in_it_is_read(sample: bytes, value: object, data: st.DataObject) -> None:
    with contextlib.suppress(msgspec.DecodeError):
        whole = msgspec.json.decode(sample)
        part = whole
        while isinstance(part, dict | list) and part:
            key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else list(range(len(part)))))
            if data.draw(st.booleans()):
                part[key] = value
                break
            part = part[key]
        read(msgspec.json.encode(whole))


@given(st.text(max_size=200).map(lambda text: "AutoNAT V2 Status:\n" + text) | st.text(max_size=60))
def test_any_text_is_read_or_named(text: str) -> None:
    read(text.encode("utf-8", "replace"))


@given(st.integers(100, 599), st.binary(max_size=200) | JSON.map(msgspec.json.encode))
def test_any_answer_of_a_control_server_is_read_or_named(status: int, body: bytes) -> None:
    response = HttpResponse(status, "", Headers(()), body)
    upgrade_arrives(response)
    with contextlib.suppress(ProtocolError):
        assert len(read_key(response)) == 64
