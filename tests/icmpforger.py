"""On a router between two machines: ICMP errors about what passes, none of them true, to who has sent it.

    python icmpforger.py SECONDS

It writes a byte to standard output for each of them, and is bounded in rate.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from itertools import cycle

UNREACHABLE, TOO_LONG = 3, 11
ERRORS = (
    (UNREACHABLE, 3, 0),  # port
    (UNREACHABLE, 4, 68),  # fragmentation needed: the least MTU that there is
    (UNREACHABLE, 4, 0),
    (UNREACHABLE, 1, 0),  # host
    (UNREACHABLE, 13, 0),  # prohibited
    (TOO_LONG, 0, 0),
    (TOO_LONG, 1, 0),
    (12, 0, 0),  # parameter problem
    (4, 0, 0),  # source quench
)
EVERY_S = 0.002
ETH_P_IP = 0x0800


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def error(kind: int, code: int, mtu: int, about: bytes) -> bytes:
    """An ICMP error (RFC 792) that quotes the header and 28 bytes of a packet."""
    quoted = about[: (about[0] & 15) * 4 + 28]
    quoted += bytes(len(quoted) % 2)
    head = struct.pack("!BBHHH", kind, code, 0, 0, mtu)
    return head[:2] + struct.pack("!H", checksum(head + quoted)) + head[4:] + quoted


def main(seconds: float) -> None:
    seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    seen.settimeout(0.1)
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    until, kinds = time.monotonic() + seconds, cycle(ERRORS)
    while time.monotonic() < until:
        try:
            packet, (_, _, kind, *_) = seen.recvfrom(2048)
        except TimeoutError:
            continue
        source, destination = packet[12:16], packet[16:20]
        between = {source[1], destination[1]} == {1, 2}  # 11.1.0.2 and 11.2.0.2
        if kind != socket.PACKET_HOST or packet[9] not in (6, 17) or not between:
            continue
        for _ in range(3):
            out.sendto(error(*next(kinds), packet), (socket.inet_ntoa(source), 0))
            sys.stdout.buffer.write(b".")
        sys.stdout.buffer.flush()
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main(float(sys.argv[1]))
