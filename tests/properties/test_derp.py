"""Whatever bytes come from a server or stand in a map: a value, or ProtocolError."""

from __future__ import annotations

import contextlib

import msgspec
from derpserverside import greeting, introduction
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.protocols import derp
from nattools.protocols.derp import derpframes as f
from nattools.protocols.derp.yamlmap import read_yaml

SERVER, CLIENT = derp.KeyPair(bytes(range(32))), derp.KeyPair(bytes(range(1, 33)))
BODIES = st.binary(max_size=80) | st.just(f.MAGIC + SERVER.public)
FRAMES = st.tuples(st.integers(0, 255), BODIES).map(
    lambda one: bytes([one[0]]) + len(one[1]).to_bytes(4, "big") + one[1]
)
BEGINNINGS = st.sampled_from(
    [b"", b"HTTP/1.1 101 x\r\n\r\n", greeting(SERVER), greeting(SERVER) + introduction(SERVER, CLIENT.public)]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 70000)
    | st.text(max_size=5)
    | st.sampled_from(["none", "1.2.3.4", "a.b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Regions", "1", "Nodes", "HostName", "IPv4", "DERPPort", "CertName", "derpMap", "RegionID"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.text(alphabet="ab:- \n'\"#{[\t1&", max_size=60))
def test_any_yaml_is_read_or_named(text: str) -> None:
    with contextlib.suppress(ProtocolError):
        read_yaml(text)


@given(BEGINNINGS, st.lists(FRAMES | st.binary(max_size=40), max_size=6))
def test_a_client_takes_any_bytes_or_says_protocol_error(first: bytes, said: list[bytes]) -> None:
    client = derp.DerpClient(CLIENT, "derp.example")
    with contextlib.suppress(ProtocolError):
        for piece in [first, *said]:
            client.receive(piece)
            client.data_to_send()
    client.why_closed()


@given(st.lists(st.binary(max_size=60), max_size=6), st.integers(1, 30))
def test_frames_come_whole_in_whatever_pieces(packets: list[bytes], size: int) -> None:
    data = b"".join(f.encode(f.RECEIVED, CLIENT.public, packet) for packet in packets)
    deframer, got = derp.DerpFrameReader(), []
    for at in range(0, len(data), size):
        got += deframer.feed(data[at : at + size])
    assert [frame.body[32:] for frame in got] == packets


@given(st.binary(max_size=100), st.binary(min_size=24, max_size=100))
def test_a_box_opens_for_whom_it_was_closed_and_nothing_else_does(plain: bytes, noise: bytes) -> None:
    sealed = CLIENT.seal(plain, SERVER.public)
    assert SERVER.open(sealed, CLIENT.public) == plain
    for wrong in (sealed[:-1], noise, sealed[:24]):
        with contextlib.suppress(ProtocolError):
            raise AssertionError(SERVER.open(wrong, CLIENT.public))


@given(
    JSON.map(msgspec.json.encode)
    | JSON.map(lambda inner: msgspec.json.encode({"Regions": {"1": inner}}))
    | st.binary()
)
def test_any_map_is_read_or_named(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert all(region.id > 0 for region in derp.parse_map(data).regions)
