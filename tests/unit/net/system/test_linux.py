"""Entries of Linux's error queue, and what ICMP's types and codes mean."""

from __future__ import annotations

import socket
import struct

import pytest

from nattools.model.endpoint import Endpoint
from nattools.net.system import linux

pytestmark = pytest.mark.skipif(not linux.AVAILABLE, reason="the error queue is Linux's")


def entry(origin: int, icmp_type: int, code: int, info: int, offender: bytes) -> bytes:
    return struct.pack("=IBBBBII", 113, origin, icmp_type, code, 0, info, 0) + offender


OFFENDER4 = struct.pack("=HH", socket.AF_INET, 0) + bytes([11, 1, 0, 1]) + bytes(8)
OFFENDER6 = (
    struct.pack("=HHI", socket.AF_INET6, 0, 0) + socket.inet_pton(socket.AF_INET6, "2a10::1") + bytes(4)
)


def test_time_exceeded() -> None:
    ancillary = [(socket.IPPROTO_IP, 11, entry(2, 11, 0, 0, OFFENDER4))]
    error = linux.icmp_error(b"quoted", ancillary, ("11.2.0.2", 9000))
    assert error is not None
    assert (error.kind, error.offender, error.mtu) == ("time-exceeded", "11.1.0.1", None)
    assert (error.destination, error.quoted) == (Endpoint("11.2.0.2", 9000), b"quoted")


def test_too_big_carries_the_mtu() -> None:
    ancillary = [(socket.IPPROTO_IPV6, 25, entry(3, 2, 0, 1280, OFFENDER6))]
    error = linux.icmp_error(b"", ancillary, ("2a10::2", 9000, 0, 0))
    assert error is not None
    assert (error.kind, error.offender, error.mtu) == ("too-big", "2a10::1", 1280)


def test_an_unknown_offender_is_none() -> None:
    ancillary = [(socket.IPPROTO_IP, 11, entry(2, 3, 1, 0, b"\0\0"))]
    error = linux.icmp_error(b"", ancillary, ("11.2.0.2", 9000))
    assert error is not None
    assert error.offender is None


def test_local_errors_and_other_ancillary_data_are_no_icmp() -> None:
    local = [(socket.IPPROTO_IP, 11, entry(1, 0, 0, 1500, OFFENDER4))]
    assert linux.icmp_error(b"", local, ("11.2.0.2", 9000)) is None
    assert linux.icmp_error(b"", [(socket.IPPROTO_IP, 2, b"\1\0\0\0")], ("11.2.0.2", 9000)) is None
