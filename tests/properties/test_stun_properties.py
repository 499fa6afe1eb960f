"""For any bytes: a value or ProtocolError. What was encoded is decoded to the same."""

import contextlib
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import LongTermAuthentication

ACCESSORS = [
    name for name, item in vars(stun.Message).items() if hasattr(item, "__get__") and not callable(item)
]
KNOWN_TYPES = [value for name, value in vars(c).items() if name.isupper() and isinstance(value, int)]
SERVER = Endpoint("192.0.2.1", 3478)

types = st.one_of(st.sampled_from(sorted({t for t in KNOWN_TYPES if t <= 0xFFFF})), st.integers(0, 0xFFFF))
values = st.one_of(
    st.binary(max_size=40), st.text(max_size=20).map(lambda text: text.encode(errors="replace"))
)
attributes = st.lists(st.tuples(types, values), max_size=8).map(tuple)
kinds = st.sampled_from(["request", "indication", "success", "error"])
messages = st.builds(
    stun.Message, st.integers(0, 0xFFF), kinds, st.binary(min_size=12, max_size=12), attributes
)
hosts = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
endpoints = st.builds(Endpoint, hosts, st.integers(0, 0xFFFF))


def read_everything(data: bytes) -> None:
    """Ask for every value; anything but a value or ProtocolError fails the test."""
    try:
        message = stun.decode(data)
    except ProtocolError:
        return
    for name in ACCESSORS:
        with contextlib.suppress(ProtocolError):
            getattr(message, name)
    message.unknown_required()
    stun.verify_integrity(message, b"key")
    stun.verify_fingerprint(message)
    stun.encode(message, key=b"key", fingerprint=True)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid message with a few bytes changed, put in or taken out, its length right or not."""
    data = bytearray(stun.encode(draw(messages), key=b"key", algorithm="both", fingerprint=True))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(data) - 1))
        change = draw(st.sampled_from(["set", "insert", "delete"]))
        if change == "set":
            data[position] = draw(st.integers(0, 255))
        elif change == "insert":
            data[position:position] = draw(st.binary(max_size=5))
        else:
            del data[position : position + draw(st.integers(1, 4))]
        if not data:
            break
    if len(data) >= 4 and draw(st.booleans()):
        data[2:4] = (max(0, len(data) - 20) & 0xFFFF).to_bytes(2, "big")
    return bytes(data)


def test_the_accessors_are_found() -> None:
    assert {"mapped", "error", "priority", "password_algorithms", "ice_controlled", "legacy"} <= set(
        ACCESSORS
    )


@given(st.binary(max_size=200))
def test_arbitrary_bytes(data: bytes) -> None:
    read_everything(data)


@given(mutated())
def test_mutated_messages(data: bytes) -> None:
    read_everything(data)


@given(st.sampled_from([0x0001, 0x0101, 0x0111, 0x0102]), st.binary(min_size=16, max_size=80))
def test_messages_of_rfc_3489(number: int, rest: bytes) -> None:
    read_everything(number.to_bytes(2, "big") + (len(rest) - 16).to_bytes(2, "big") + rest)


@given(types, st.binary(max_size=60))
def test_any_value_of_any_attribute(number: int, value: bytes) -> None:
    read_everything(stun.encode(stun.Message(1, "success", bytes(12), ((number, value),))))


@given(messages)
def test_round_trip(message: stun.Message) -> None:
    cut = next((i + 1 for i, (t, _) in enumerate(message.attributes) if t in (0x0008, 0x001C)), None)
    decoded = stun.decode(stun.encode(message))
    assert (decoded.method, decoded.kind) == (message.method, message.kind)
    assert decoded.transaction_id == message.transaction_id
    assert decoded.attributes[:cut] == message.attributes[:cut]
    assert {t for t, _ in decoded.attributes[cut:] if cut} <= {0x001C, 0x8028}


@given(messages, st.binary(min_size=1), st.sampled_from(["sha1", "sha256", "both"]))
def test_signed_messages_verify(
    message: stun.Message, key: bytes, algorithm: stun.IntegrityAlgorithm
) -> None:
    decoded = stun.decode(stun.encode(message, key=key, algorithm=algorithm, fingerprint=True))
    assert stun.verify_integrity(decoded, key)
    assert not stun.verify_integrity(decoded, key + b"x")
    assert stun.verify_fingerprint(decoded)


@given(endpoints, st.binary(min_size=12, max_size=12))
def test_mapped_addresses_round_trip(endpoint: Endpoint, transaction_id: bytes) -> None:
    message = stun.decode(stun.binding_success(transaction_id, endpoint))
    assert message.mapped == endpoint
    assert stun.unpack_address(stun.pack_address(endpoint)) == endpoint


@given(st.lists(messages, max_size=5), st.lists(st.integers(0, 400), max_size=10), st.binary(max_size=30))
def test_framing(sent: list[stun.Message], cuts: list[int], garbage: bytes) -> None:
    """However the stream is cut, the messages come out; garbage behind them costs none of them."""
    frames = [stun.encode(message) for message in sent]
    stream = b"".join(frames) + garbage
    framer, found = stun.Framer(), []
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    with contextlib.suppress(ProtocolError):
        for start, end in itertools.pairwise(edges):
            found += framer.feed(stream[start:end])
    assert found[: len(frames)] == frames


@given(st.lists(st.one_of(st.binary(max_size=80), mutated()), max_size=6), st.integers(0, 3))
@settings(max_examples=50)
def test_a_transaction_survives_whatever_arrives(arriving: list[bytes], aligned: int) -> None:
    """Nothing unasked for ends it, and it ends in time."""
    authentication = LongTermAuthentication("user", "secret")
    request = stun.binding_request(b"\xa5" * 12)
    transaction = stun.Transaction(request, SERVER, rc=3, authentication=authentication)
    transaction.datagrams_to_send(0.0)
    for number, data in enumerate(arriving):
        # Some of them get the transaction's id, so that they are looked into.
        patched = data[:8] + b"\xa5" * 12 + data[20:] if number <= aligned and len(data) > 20 else data
        transaction.receive_datagram(patched, SERVER, 0.1)
    now, steps = 0.1, 0
    while transaction.state == "running":
        transaction.datagrams_to_send(now)
        now = transaction.next_timeout() or now
        transaction.handle_timeout(now)
        steps += 1
        assert steps < 20
    assert transaction.next_timeout() is None
