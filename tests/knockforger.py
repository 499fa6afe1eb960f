"""Sends ICMP errors about a listener's beacons that are no knocks, or forged ones, thousands of them:
`python knockforger.py ADDRESS PORT SECONDS`. It says on standard output once it has begun."""

from __future__ import annotations

import socket
import sys
import time
from random import Random

from nattools.model.endpoint import Endpoint
from nattools.protocols import ip, pwnat
from nattools.protocols.packet import Packet

BATCH, PAUSE_S = 20, 0.01


def packets(listener: Endpoint, draw: Random) -> list[bytes]:
    """Some forged knocks and some true errors."""
    made = []
    for number in range(BATCH):
        quoted = pwnat.BEACON if number % 2 else b"nPW\x01" + draw.randbytes(84)
        packet = Packet("icmp", "11.66.0.2", 0, listener.host, 0, icmp_type=11)
        packet.about = Packet("udp", *listener, *pwnat.TARGETS[0], payload=quoted, ttl=1)
        made.append(ip.build(packet))
    return made


def main() -> None:
    listener, draw = Endpoint(sys.argv[1], int(sys.argv[2])), Random(1)
    ends, said = time.monotonic() + float(sys.argv[3]), False
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        while time.monotonic() < ends:
            for packet in packets(listener, draw):
                raw.sendto(packet, (listener.host, 0))
            if not said:
                print("begun", flush=True)
                said = True
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
