"""Beacons of `nattools lan`."""

from __future__ import annotations

import pytest

from nattools.errors import ProtocolError
from nattools.protocols.lanbeacon import MOST_HEARD, Beacon, decode_beacon, encode_beacon

ME, YOU = b"m" * 8, b"y" * 8


def test_a_beacon_tells_by_which_way_it_comes_and_whom_its_sender_has_heard() -> None:
    beacon = Beacon(ME, "multicast6", {YOU: frozenset({"unicast", "broadcast"})})
    assert decode_beacon(encode_beacon(beacon)) == beacon


def test_only_so_many_are_told_of() -> None:
    heard = {number.to_bytes(8, "big"): frozenset({"unicast"}) for number in range(100)}
    told = decode_beacon(encode_beacon(Beacon(ME, "unicast", heard))).heard  # type: ignore[arg-type]
    assert len(told) == MOST_HEARD


@pytest.mark.parametrize("cut", [0, 5, 15, 23, 24, 30])
def test_what_is_cut_off_is_refused(cut: int) -> None:
    whole = encode_beacon(Beacon(ME, "unicast", {YOU: frozenset({"unicast"})}))
    with pytest.raises(ProtocolError):
        decode_beacon(whole[:cut])


def test_an_unknown_way_is_refused() -> None:
    whole = bytearray(encode_beacon(Beacon(ME, "unicast", {})))
    whole[-2] = 9
    with pytest.raises(ProtocolError):
        decode_beacon(bytes(whole))
