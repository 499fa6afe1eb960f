import pytest

from nattools.protocols.turn.credentials import expiry, time_limited, time_limited_password


def test_a_password_as_openssl_computes_it() -> None:
    """printf %s 1700000000:alice | openssl dgst -sha1 -hmac north -binary | base64"""
    found = time_limited("north", "alice", 1700000000)
    assert found == ("1700000000:alice", "Cd/49soE35ICqcJF/bCTn8Z4OyE=")
    assert time_limited_password("north", found.username) == found.password


@pytest.mark.parametrize(
    ("username", "until"),
    [
        ("1700000000:alice", 1700000000),
        ("1700000000", 1700000000),
        ("alice", None),
        ("", None),
        (":1", None),
        ("٣:x", None),
        ("9999999999999:x", None),
    ],
)
def test_until_when_a_name_holds(username: str, until: int | None) -> None:
    assert expiry(username) == until
