import pytest

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c

TRANSACTION = bytes(range(12))
LEGACY_ID = bytes(range(1, 17))
KINDS: list[stun.Kind] = ["request", "indication", "success", "error"]


def build(*attributes: tuple[int, bytes], kind: stun.Kind = "success", method: int = stun.BINDING) -> bytes:
    return stun.encode(stun.Message(method, kind, TRANSACTION, attributes))


def raw(
    body: bytes, number: int = 0x0101, length: int | None = None, cookie: bytes = b"\x21\x12\xa4\x42"
) -> bytes:
    size = len(body) if length is None else length
    return number.to_bytes(2, "big") + size.to_bytes(2, "big") + cookie + TRANSACTION + body


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", [0, 1, 2, 3, 0x00F, 0x010, 0x07F, 0x080, 0x0DB, 0x555, 0xAAA, 0xFFF])
def test_methods_and_classes_round_trip(kind: stun.Kind, method: int) -> None:
    message = stun.decode(build(kind=kind, method=method))
    assert (message.kind, message.method) == (kind, method)
    message = stun.decode(build((0x8022, b"x"), kind=kind, method=method))
    assert (message.kind, message.method) == (kind, method)


def test_every_type_has_its_own_meaning() -> None:
    shapes = {(m.method, m.kind) for m in (stun.decode(raw(b"", number)) for number in range(0x4000))}
    assert len(shapes) == 0x4000


@pytest.mark.parametrize("kind", KINDS)
def test_the_rfcs_type_of_binding(kind: stun.Kind) -> None:
    numbers = {"request": 0x0001, "indication": 0x0011, "success": 0x0101, "error": 0x0111}
    assert stun.message_type(stun.BINDING, kind) == numbers[kind]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (raw(b"")[:19], "19 bytes"),
        (raw(b"") + b"x", "21 bytes"),
        (raw(b"", length=4), "claims 24"),
        (raw(bytes(8), length=4), "claims 24"),
        (raw(b"", number=0x8001), "first two bits"),
        (raw(bytes(4), number=0x4001), "first two bits"),
        (raw(b"\x80\x22\0\1x", number=0x0001), "not a multiple of 4"),
        (raw(b"\x80\x22\0\1x", number=0x0011), "not a multiple of 4"),
        (raw(b"\x80\x22\0\4x"), "overruns"),
        (raw(b"\x80\x22\0\5xxxx"), "overruns"),
        (raw(b"\x80\x22\xff\xffxxxx"), "overruns"),
        (raw(b"\x80\x22\0\4xxxx\x80\x22\0\1"), "overruns"),
        (raw(b"\0\x08\0\4xxxx\x80\x22\0\1"), "overruns"),
        (raw(b"", number=0x0003, cookie=b"\0\0\0\0"), "no magic cookie"),
        (raw(b"\x80\x22\0\4xxxx", number=0x0011, cookie=b"abcd"), "no magic cookie"),
        (raw(b"\0\x01\0\x09xxxx", cookie=b"abcd"), "overruns"),
        (raw(b"\0\x01\0", cookie=b"abcd"), "23 bytes"),
        (raw(b"\0\x01\0\4wxyz\0", cookie=b"abcd"), "attribute's header"),
    ],
)
def test_broken_structure(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        stun.decode(data)


def test_empty_message() -> None:
    message = stun.decode(raw(b""))
    assert message.attributes == ()
    assert message.mapped is None
    assert message.error is None


@pytest.mark.parametrize("length", range(9))
def test_values_of_every_length_are_padded(length: int) -> None:
    data = build((0x8022, b"x" * length), (0x8022, b"end"))
    assert len(data) % 4 == 0
    assert stun.decode(data).attributes == ((0x8022, b"x" * length), (0x8022, b"end"))


def test_the_first_of_two_counts() -> None:
    message = stun.decode(build((c.SOFTWARE, b"one"), (c.SOFTWARE, b"two")))
    assert message.software == "one"


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        ([c.MESSAGE_INTEGRITY, c.SOFTWARE, c.FINGERPRINT], [c.MESSAGE_INTEGRITY, c.FINGERPRINT]),
        (
            [c.MESSAGE_INTEGRITY, c.MESSAGE_INTEGRITY_SHA256, c.SOFTWARE],
            [c.MESSAGE_INTEGRITY, c.MESSAGE_INTEGRITY_SHA256],
        ),
        ([c.MESSAGE_INTEGRITY_SHA256, c.MESSAGE_INTEGRITY], [c.MESSAGE_INTEGRITY_SHA256]),
        ([c.MESSAGE_INTEGRITY, c.MESSAGE_INTEGRITY], [c.MESSAGE_INTEGRITY]),
        ([c.MESSAGE_INTEGRITY_SHA256, 0x7777, c.FINGERPRINT], [c.MESSAGE_INTEGRITY_SHA256, c.FINGERPRINT]),
    ],
)
def test_what_follows_integrity_is_ignored(order: list[int], kept: list[int]) -> None:
    """RFC 8489 14.5 and 14.6."""
    message = stun.decode(build(*((number, b"abcd") for number in order)))
    assert [number for number, _ in message.attributes] == kept
    assert message.unknown_required() == ()


def test_unknown_required_attributes_are_listed_once_in_order() -> None:
    message = stun.decode(build((0x7001, b""), (0x8001, b""), (0x0031, b""), (0x7001, b""), (0x0001, b"")))
    assert message.unknown_required() == (0x7001, 0x0031)
    assert message.unknown_required({0x0031, 0x0001}) == (0x7001,)


def test_mapped_prefers_the_xored_address() -> None:
    xored, plain = Endpoint("192.0.2.1", 1), Endpoint("10.0.0.1", 2)
    packed = stun.pack_xor_address(xored, TRANSACTION)
    first = (c.MAPPED_ADDRESS, stun.pack_address(plain))
    assert stun.decode(build(first)).mapped == plain
    assert stun.decode(build(first, (c.XOR_MAPPED_ADDRESS, packed))).mapped == xored
    assert stun.decode(build(first, (c.OLD_XOR_MAPPED_ADDRESS, packed))).mapped == xored


def test_other_address_and_origin_have_old_names() -> None:
    new, old = Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2)
    message = stun.decode(
        build((c.CHANGED_ADDRESS, stun.pack_address(old)), (c.SOURCE_ADDRESS, stun.pack_address(old)))
    )
    assert (message.other_address, message.response_origin) == (old, old)
    message = stun.decode(
        build(
            (c.CHANGED_ADDRESS, stun.pack_address(old)),
            (c.OTHER_ADDRESS, stun.pack_address(new)),
            (c.RESPONSE_ORIGIN, stun.pack_address(new)),
        )
    )
    assert (message.other_address, message.response_origin) == (new, new)


@pytest.mark.parametrize(
    ("number", "value", "name", "expected"),
    [
        (c.CHANGE_REQUEST, b"\0\0\0\6", "change_request", (True, True)),
        (c.CHANGE_REQUEST, b"\0\0\0\4", "change_request", (True, False)),
        (c.CHANGE_REQUEST, b"\0\0\0\2", "change_request", (False, True)),
        (c.CHANGE_REQUEST, b"\xff\xff\xff\xf9", "change_request", (False, False)),
        (c.RESPONSE_PORT, b"\x1f\x90", "response_port", 8080),
        (c.RESPONSE_PORT, b"\x1f\x90\0\0", "response_port", 8080),
        (c.ERROR_CODE, b"\0\0\4\x14Unknown Attribute", "error", (420, "Unknown Attribute")),
        (c.ERROR_CODE, b"\0\0\xfc\0\xff\0", "error", (400, "\ufffd")),
        (c.UNKNOWN_ATTRIBUTES, b"\0\3\0\x27", "unknown_attributes", (3, 0x27)),
        (c.USERNAME, "näme".encode(), "username", "näme"),
        (c.ALTERNATE_DOMAIN, b"example.org", "alternate_domain", "example.org"),
        (c.ALTERNATE_SERVER, bytes.fromhex("00010007c0000201"), "alternate_server", Endpoint("192.0.2.1", 7)),
        (
            c.PASSWORD_ALGORITHMS,
            bytes.fromhex("0002000000010000"),
            "password_algorithms",
            ((2, b""), (1, b"")),
        ),
        (c.PASSWORD_ALGORITHM, bytes.fromhex("000900017a000000"), "password_algorithm", (9, b"z")),
        (c.PRIORITY, b"\x6e\0\1\xff", "priority", 0x6E0001FF),
        (c.USE_CANDIDATE, b"", "use_candidate", True),
        (c.ICE_CONTROLLING, b"\0\0\0\0\0\0\1\0", "ice_controlling", 256),
        (c.NATTOOLS_HELLO, b"\1\2", "hello", b"\1\2"),
    ],
)
def test_values(number: int, value: bytes, name: str, expected: object) -> None:
    assert getattr(stun.decode(build((number, value))), name) == expected
    assert not getattr(stun.decode(build()), name)


@pytest.mark.parametrize(
    ("number", "value", "name"),
    [
        (c.CHANGE_REQUEST, b"\0\0", "change_request"),
        (c.RESPONSE_PORT, b"\0", "response_port"),
        (c.RESPONSE_PORT, b"\0\0\0\0\0", "response_port"),
        (c.ERROR_CODE, b"\0\0\4", "error"),
        (c.ERROR_CODE, b"\0\0\2\0", "error"),
        (c.ERROR_CODE, b"\0\0\7\0", "error"),
        (c.ERROR_CODE, b"\0\0\4\x64", "error"),
        (c.UNKNOWN_ATTRIBUTES, b"\0\3\0", "unknown_attributes"),
        (c.USERNAME, b"\xff", "username"),
        (c.USERNAME, b"x" * 509, "username"),
        (c.REALM, b"x" * 764, "realm"),
        (c.NONCE, b"x" * 764, "nonce"),
        (c.SOFTWARE, b"\xc3", "software"),
        (c.USERHASH, b"x" * 31, "userhash"),
        (c.PASSWORD_ALGORITHMS, b"\0\2", "password_algorithms"),
        (c.PASSWORD_ALGORITHMS, b"\0\2\0\1", "password_algorithms"),
        (c.PASSWORD_ALGORITHM, b"", "password_algorithm"),
        (c.PASSWORD_ALGORITHM, bytes(8), "password_algorithm"),
        (c.PRIORITY, b"\0\1", "priority"),
        (c.USE_CANDIDATE, b"\0\0\0\0", "use_candidate"),
        (c.ICE_CONTROLLED, b"\0\0\0\0", "ice_controlled"),
        (c.ICE_CONTROLLING, b"", "ice_controlling"),
        (c.XOR_MAPPED_ADDRESS, b"", "mapped"),
        (c.MAPPED_ADDRESS, b"", "mapped"),
        (c.OTHER_ADDRESS, b"\0\1", "other_address"),
        (c.RESPONSE_ORIGIN, b"\0\1", "response_origin"),
    ],
)
def test_malformed_values(number: int, value: bytes, name: str) -> None:
    message = stun.decode(build((number, value)))
    with pytest.raises(ProtocolError):
        getattr(message, name)


@pytest.mark.parametrize("last", [b"", b"\x80\x22\0\5hello", b"\x80\x22\0\5hello\x80\x22\0\1x"])
def test_answers_may_have_values_that_are_not_padded(last: bytes) -> None:
    mapped = Endpoint("192.0.2.1", 7)
    identity = bytes(range(12))
    body = b"\0\x20\0\x08" + stun.pack_xor_address(mapped, identity) + last
    answer = stun.decode(raw(body, cookie=b"\x21\x12\xa4\x42"))
    assert answer.mapped == mapped
    assert answer.software == ("hello" if last else None)
    assert not stun.verify_integrity(answer, b"key")
    assert not stun.verify_fingerprint(answer)


class TestRfc3489:
    """Messages without the magic cookie."""

    def test_what_a_server_masked_with_something_is_not_read(self) -> None:
        mapped, other = Endpoint("192.0.2.1", 7), Endpoint("192.0.2.9", 9)
        masked = b"\0\x20\0\x08" + stun.pack_address(other)
        plain = b"\0\1\0\x08" + stun.pack_address(mapped)
        for body, seen in ((masked, None), (masked + plain, mapped)):
            answer = stun.decode(b"\1\1" + len(body).to_bytes(2, "big") + LEGACY_ID + body)
            assert answer.mapped == seen

    def test_round_trip(self) -> None:
        mapped = Endpoint("192.0.2.1", 40000)
        message = stun.decode(stun.binding_success(LEGACY_ID, mapped))
        assert message.legacy
        assert message.transaction_id == LEGACY_ID
        assert message.mapped == mapped

    def test_a_request_has_the_whole_id(self) -> None:
        message = stun.decode(stun.binding_request(LEGACY_ID, change_port=True, hello=False))
        assert (message.kind, message.transaction_id, message.change_request) == (
            "request",
            LEGACY_ID,
            (False, True),
        )

    def test_unaligned_values_of_old_servers(self) -> None:
        mapped = b"\0\1\0\x08" + stun.pack_address(Endpoint("192.0.2.1", 7))
        body = b"\x80\x22\0\x05vovid" + mapped
        message = stun.decode(b"\1\1" + len(body).to_bytes(2, "big") + LEGACY_ID + body)
        assert message.software == "vovid"
        assert message.mapped == Endpoint("192.0.2.1", 7)

    def test_padded_values_of_old_servers(self) -> None:
        mapped = b"\0\1\0\x08" + stun.pack_address(Endpoint("192.0.2.1", 7))
        body = b"\x80\x22\0\x05vovid\0\0\0" + mapped
        message = stun.decode(b"\1\1" + len(body).to_bytes(2, "big") + LEGACY_ID + body)
        assert message.software == "vovid"
        assert message.mapped == Endpoint("192.0.2.1", 7)

    def test_xor_mapped_address_of_old_drafts_is_masked_by_the_id(self) -> None:
        masked = bytes(a ^ b for a, b in zip(b"\0\7\xc0\0\2\1", LEGACY_ID[:2] + LEGACY_ID[:4], strict=True))
        message = stun.Message(1, "success", LEGACY_ID, ((c.OLD_XOR_MAPPED_ADDRESS, b"\0\1" + masked),))
        assert message.mapped == Endpoint("192.0.2.1", 7)

    def test_nothing_can_be_verified(self) -> None:
        message = stun.decode(stun.encode(stun.Message(1, "request", LEGACY_ID), key=b"k", fingerprint=True))
        assert not stun.verify_integrity(message, b"k")
        assert not stun.verify_fingerprint(message)
