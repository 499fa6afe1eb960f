"""Who begins with DTLS is told that it is not spoken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.protocols import dtls

HELLO = bytes.fromhex("16feff 0000 000000000007 0030 01 000024 0000 000000 000024 fefd") + bytes(34)
"""A ClientHello (RFC 6347 4.2.2), its record the seventh."""


def test_a_client_hello_gets_a_fatal_alert() -> None:
    assert dtls.refusal(HELLO) == bytes.fromhex("15feff 0000 000000000007 0002 0228")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HELLO[:25],
        b"\x17" + HELLO[1:],
        HELLO[:1] + b"\x03\x03" + HELLO[3:],
        HELLO[:3] + b"\0\1" + HELLO[5:],
        HELLO[:13] + b"\2" + HELLO[14:],
        bytes.fromhex("15feff 0000 000000000007 0002 0228"),
    ],
)
def test_nothing_else_does(data: bytes) -> None:
    assert dtls.refusal(data) is None


@given(st.binary(max_size=100))
def test_an_answer_is_shorter_than_what_it_answers_and_gets_none_itself(data: bytes) -> None:
    answer = dtls.refusal(b"\x16\xfe\xfd\0\0" + data)
    assert answer is None or (len(answer) < len(data) and dtls.refusal(answer) is None)
