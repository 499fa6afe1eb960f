import pytest

from nattools.protocols import stun
from nattools.protocols.stun import constants as c

TRANSACTION = bytes(range(12))
REQUEST = stun.Message(stun.BINDING, "request", TRANSACTION, ((c.SOFTWARE, b"nattools"),))


@pytest.mark.parametrize(
    ("algorithm", "types"),
    [
        ("sha1", [c.SOFTWARE, c.MESSAGE_INTEGRITY, c.FINGERPRINT]),
        ("sha256", [c.SOFTWARE, c.MESSAGE_INTEGRITY_SHA256, c.FINGERPRINT]),
        ("both", [c.SOFTWARE, c.MESSAGE_INTEGRITY, c.MESSAGE_INTEGRITY_SHA256, c.FINGERPRINT]),
    ],
)
def test_signed_messages_verify(algorithm: stun.IntegrityAlgorithm, types: list[int]) -> None:
    message = stun.decode(stun.encode(REQUEST, key=b"key", algorithm=algorithm, fingerprint=True))
    assert [number for number, _ in message.attributes] == types
    assert stun.verify_integrity(message, b"key")
    assert not stun.verify_integrity(message, b"other")
    assert stun.verify_integrity(message, b"key", algorithm="sha1") == (algorithm != "sha256")
    assert stun.verify_integrity(message, b"key", algorithm="sha256") == (algorithm != "sha1")
    assert stun.verify_fingerprint(message)


def test_unsigned_messages_do_not_verify() -> None:
    message = stun.decode(stun.encode(REQUEST))
    assert not stun.verify_integrity(message, b"")
    assert not stun.verify_fingerprint(message)
    assert not stun.verify_integrity(REQUEST, b"")


def test_signing_a_received_message_anew_replaces_what_it_had() -> None:
    first = stun.decode(stun.encode(REQUEST, key=b"one", algorithm="both", fingerprint=True))
    second = stun.decode(stun.encode(first, key=b"two"))
    assert [number for number, _ in second.attributes] == [c.SOFTWARE, c.MESSAGE_INTEGRITY]
    assert stun.decode(stun.encode(first)).attributes == REQUEST.attributes


def truncated(size: int) -> stun.Message:
    """The request with a MESSAGE-INTEGRITY-SHA256 cut to `size` bytes, as RFC 8489 14.6 computes it."""
    import hashlib
    import hmac

    bare = stun.encode(REQUEST)
    covered = bare[:2] + (len(bare) - 20 + 4 + size).to_bytes(2, "big") + bare[4:]
    value = hmac.new(b"key", covered, hashlib.sha256).digest()[:size]
    attributes = (*REQUEST.attributes, (c.MESSAGE_INTEGRITY_SHA256, value))
    return stun.decode(stun.encode(stun.Message(1, "request", TRANSACTION, attributes)))


@pytest.mark.parametrize("size", [16, 20, 24, 28, 32])
def test_sha256_may_be_cut(size: int) -> None:
    assert stun.verify_integrity(truncated(size), b"key")
    assert not stun.verify_integrity(truncated(size), b"other")


@pytest.mark.parametrize("size", [0, 4, 12, 15, 17, 31])
def test_sha256_may_not_be_cut_to_other_sizes(size: int) -> None:
    assert not stun.verify_integrity(truncated(size), b"key")


@pytest.mark.parametrize("value", [b"", b"x" * 4, b"x" * 19, b"x" * 24])
def test_sha1_has_one_size(value: bytes) -> None:
    message = stun.Message(1, "request", TRANSACTION, ((c.MESSAGE_INTEGRITY, value),))
    assert not stun.verify_integrity(stun.decode(stun.encode(message)), b"key")


def test_the_fingerprint_must_be_last_and_right() -> None:
    good = stun.encode(REQUEST, fingerprint=True)
    assert stun.verify_fingerprint(stun.decode(good))
    value = stun.decode(good).get(c.FINGERPRINT)
    assert value is not None
    for attributes in [
        ((c.FINGERPRINT, value), *REQUEST.attributes),
        (*REQUEST.attributes, (c.FINGERPRINT, bytes(4))),
        (*REQUEST.attributes, (c.FINGERPRINT, value[:3])),
    ]:
        message = stun.Message(1, "request", TRANSACTION, attributes)
        assert not stun.verify_fingerprint(stun.decode(stun.encode(message)))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        stun.encode(stun.Message(1, "request", TRANSACTION, ((c.SOFTWARE, bytes(65500)),)))
    with pytest.raises(ValueError, match="method"):
        stun.encode(stun.Message(0x1000, "request", TRANSACTION))
