"""Tokens: what they carry comes back whole, damage of every kind is named, nothing else ever happens."""

from __future__ import annotations

import base64
import zlib
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import UsageError
from nattools.model.endpoint import Endpoint
from nattools.traversal import tokens
from nattools.traversal.tokens import (
    Token,
    TokenBehaviour,
    TokenCandidate,
    decode_token,
    encode_token,
)

TYPICAL = Token(
    public_key=bytes(range(32)),
    ufrag="aB3+",
    pwd="0123456789abcdefghij/+",
    candidates=(
        TokenCandidate("host", Endpoint("192.168.1.7", 51000)),
        TokenCandidate("host", Endpoint("2a10:1:2:3:4:5:6:7", 51000)),
        TokenCandidate("host", Endpoint("fd00::7", 51000)),
        TokenCandidate("server-reflexive", Endpoint("11.1.0.2", 40001)),
        TokenCandidate("server-reflexive", Endpoint("11.1.0.2", 40002), "tcp", "simultaneous-open"),
    ),
    behaviours=(
        TokenBehaviour(
            "udp",
            "address-and-port-dependent",
            "address-and-port-dependent",
            "sequential",
            step=-2,
            last_port=40001,
            low_ports=True,
            pooled=True,
        ),
        TokenBehaviour("tcp", "endpoint-independent", "unknown", "block", block=(1024, 512)),
    ),
)
TEXT = encode_token(TYPICAL)
CROCKFORD, STANDARD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

ports = st.integers(0, 65535)
ice = st.text("ABCZabcz019+/", min_size=4, max_size=40)
candidates = st.builds(
    lambda kind, host, port, way: TokenCandidate(kind, Endpoint(str(host), port), *way),
    st.sampled_from(get_args(tokens.CandidateKind)),
    st.ip_addresses(),
    ports,
    st.sampled_from((("udp", None), ("tcp", "active"), ("tcp", "passive"), ("tcp", "simultaneous-open"))),
)
behaviours = st.builds(
    TokenBehaviour,
    st.sampled_from(("udp", "tcp")),
    st.sampled_from(get_args(tokens.Mapping)),
    st.sampled_from(get_args(tokens.Filtering)),
    st.sampled_from(get_args(tokens.Allocation)),
    st.integers(-32768, 32767),
    st.none() | st.tuples(ports, ports),
    st.none() | ports,
    st.booleans(),
)
any_token = st.builds(
    Token,
    st.binary(min_size=32, max_size=32),
    ice,
    st.text("ABCZabcz019+/", min_size=22, max_size=64),
    st.lists(candidates, max_size=32).map(tuple),
    st.lists(behaviours, max_size=2).map(tuple),
    st.sampled_from(get_args(tokens.Relaying)),
)


def test_a_typical_token_is_short_and_plain() -> None:
    assert decode_token(TEXT) == TYPICAL
    assert len(TEXT) < 300
    assert TEXT.isascii()
    assert TEXT.isalnum()


@given(any_token)
def test_every_token_is_read_back(token: Token) -> None:
    text = encode_token(token)
    assert decode_token(text) == token
    assert len(text) <= tokens.MAX_TEXT


@pytest.mark.parametrize(
    "pasted",
    [
        TEXT.lower(),
        f"  {TEXT}\n",
        "\r\n> ".join(TEXT[i : i + 60] for i in range(0, len(TEXT), 60)).replace("> ", ""),
        " ".join(TEXT[i : i + 4] for i in range(0, len(TEXT), 4)),
        f"`{TEXT}`",
        f"```\n{TEXT}\n```",
        f"**{TEXT}**",
        TEXT[:3] + TEXT[3:].replace("0", "O").replace("1", "l"),
        "\u200b".join(TEXT),
    ],
)
def test_what_chats_and_people_do_to_a_token_does_no_harm(pasted: str) -> None:
    assert decode_token(pasted) == TYPICAL


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        ("", "there is no token"),
        ("``", "there is no token"),
        ("hello", "that is not a nattools token: a token begins with NT1"),
        (TEXT[5:], "Is its beginning missing"),
        ("NT2" + TEXT[3:], "token of version 2; this nattools reads version 1"),
        ("NT1", "cut off near its beginning"),
        (TEXT[:3] + TEXT[3:50], f"cut off: it has about 5. of {len(TEXT)} characters"),
        (TEXT[:-2], "cut off"),
        (TEXT + "00", "too long"),
        (TEXT[:20] + "U" + TEXT[21:], "character 21 is 'U', which is not used in tokens"),
        (TEXT[:20] + "\u00e9" + TEXT[21:], "character 21 is"),
        (TEXT[:20] + ("7" if TEXT[20] != "7" else "8") + TEXT[21:], "one of its characters was changed"),
        (TEXT * 20, "a token has at most"),
    ],
)
def test_what_is_wrong_with_a_token_is_named(pasted: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        decode_token(pasted)


@given(st.integers(3, len(TEXT) - 1), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_no_changed_character_passes(place: int, digit: str) -> None:
    changed = TEXT[:place] + digit + TEXT[place + 1 :]
    if changed == TEXT:
        return
    try:
        assert decode_token(changed) == TYPICAL, "only the bits that fill up the last character"
    except UsageError:
        pass
    else:
        assert place == len(TEXT) - 1


@given(st.integers(3, len(TEXT) - 2))
def test_neither_exchanged_nor_lost_characters_pass(place: int) -> None:
    exchanged = TEXT[:place] + TEXT[place + 1] + TEXT[place] + TEXT[place + 2 :]
    for changed in (exchanged, TEXT[:place] + TEXT[place + 1 :]):
        if changed != TEXT:
            with pytest.raises(UsageError):
                decode_token(changed)


@given(st.text(max_size=200))
def test_any_text_is_a_token_or_a_usage_error(text: str) -> None:
    for each in (text, "NT1" + text):
        with pytest.raises(UsageError):
            decode_token(each)


@given(st.binary(max_size=300))
def test_content_with_a_right_checksum_is_a_token_or_a_usage_error(content: bytes) -> None:
    try:
        token = decode_token(sealed(content))
    except UsageError:
        return
    encode_token(token)


@given(st.integers(32, 160), st.binary(min_size=1, max_size=3))
def test_a_forged_content_is_a_token_or_a_usage_error(place: int, inserted: bytes) -> None:
    content = b"".join(
        (body := base64_of(TEXT)[2:-4], body[:place], inserted, body[place + len(inserted) :])[1:]
    )
    try:
        token = decode_token(sealed(content))
    except UsageError:
        return
    assert len(token.candidates) <= tokens.MAX_CANDIDATES
    encode_token(token)


def base64_of(text: str) -> bytes:
    """The bytes behind a token's text, by another way than the decoder's."""
    standard = text[3:].translate(str.maketrans(CROCKFORD, STANDARD))
    return base64.b32decode(standard + "=" * (-len(standard) % 8))


def sealed(content: bytes) -> str:
    body = len(content).to_bytes(2, "big") + content
    body += zlib.crc32(body).to_bytes(4, "big")
    standard = base64.b32encode(body).decode().rstrip("=")
    return "NT1" + standard.translate(str.maketrans(STANDARD, CROCKFORD))


@pytest.mark.parametrize(
    "wrong",
    [
        Token(bytes(31), "abcd", "a" * 22),
        Token(bytes(32), "ab", "a" * 22),
        Token(bytes(32), "ab:d", "a" * 22),
        Token(bytes(32), "abcd", "a" * 22, TYPICAL.candidates * 7),
        Token(bytes(32), "abcd", "a" * 22, (), TYPICAL.behaviours * 2),
    ],
)
def test_what_no_token_can_hold_is_the_callers_mistake(wrong: Token) -> None:
    with pytest.raises(ValueError):
        encode_token(wrong)
