"""RFC 4571's framing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.traversal.tunnel.join import DatagramDeframer, frame


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.integers(1, 9))
def test_any_datagrams_in_any_pieces(datagrams: list[bytes], size: int) -> None:
    stream = b"".join(frame(datagram) for datagram in datagrams)
    deframer, found = DatagramDeframer(), []
    for start in range(0, len(stream), size):
        found += deframer.feed(stream[start : start + size])
    assert found == datagrams


def test_limits() -> None:
    assert DatagramDeframer().feed(b"\0\0\0\0") == []
    with pytest.raises(ValueError, match="65536"):
        frame(bytes(65536))
