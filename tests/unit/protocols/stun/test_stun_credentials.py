import pytest

from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import long_term_key, make_nonce, nonce_features, opaque_string


def test_the_rfcs_example_of_a_long_term_key() -> None:
    """RFC 8489 9.2.2."""
    assert long_term_key("user", "realm", "pass").hex() == "8493fbc53ba582fb4c044c456bdc40eb"


def test_an_unknown_algorithm() -> None:
    with pytest.raises(ValueError, match="not supported"):
        long_term_key("user", "realm", "pass", 3)


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("Correct Horse", "Correct Horse"),
        ("π\u00df\u00e5", "π\u00df\u00e5"),
        ("a\u1680b\u00a0c", "a b c"),
        ("e\u0301", "\u00e9"),
        ("\uff21 Case", "\uff21 Case"),
    ],
)
def test_opaque_strings(text: str, prepared: str) -> None:
    """RFC 8265 4.2; the last two show NFC, and that width and case stay."""
    assert opaque_string(text) == prepared
    assert opaque_string(prepared) == prepared


@pytest.mark.parametrize("text", ["", "a\tb", "a\0", "The\u00adM", "a\u200db", "\ud800", "\ue000", "\u2028"])
def test_what_is_no_opaque_string(text: str) -> None:
    with pytest.raises(ValueError):
        opaque_string(text)


@pytest.mark.parametrize("algorithms", [False, True])
@pytest.mark.parametrize("anonymity", [False, True])
def test_nonce_features_round_trip(algorithms: bool, anonymity: bool) -> None:
    nonce = make_nonce(b"123", password_algorithms=algorithms, username_anonymity=anonymity)
    assert nonce.endswith(b"123")
    assert nonce_features(nonce) == (algorithms, anonymity)


@pytest.mark.parametrize(
    ("nonce", "features"),
    [
        (b"obMatJos2AAAC//499k", (False, True)),  # RFC 8489 B.1
        (b"obMatJos2AAAB", (True, False)),
        (b"obMatJos2gAAA", (True, False)),  # bit 0 counted from the left
        (b"obMatJos2AAA", (False, False)),
        (b"obMatJos2A=AA", (False, False)),
        (b"obMatJos2\xff\xff\xff\xff", (False, False)),
        (b"f//499k954d6OL34oL9FSTvy64sA", (False, False)),
        (b"", (False, False)),
    ],
)
def test_nonce_features(nonce: bytes, features: tuple[bool, bool]) -> None:
    assert nonce_features(nonce) == features


def test_password_algorithms_with_parameters_round_trip() -> None:
    algorithms = ((c.SHA256, b""), (77, b"abc"), (c.MD5, b""))
    value = stun.pack_algorithms(algorithms)
    assert len(value) == 16
    message = stun.Message(1, "error", bytes(12), ((c.PASSWORD_ALGORITHMS, value),))
    assert message.password_algorithms == algorithms
