"""A gateway that answers NAT-PMP, PCP and SSDP with what nobody should believe:

    python tests/hostilegateway.py SEED GATEWAY VICTIM...

To each question come 60 answers: true in form with a false value, with other bits, cut, repeated, for others;
and with an SSDP search, over IPv4 and IPv6, descriptions at the victims and on the asker's own machine.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
from random import Random

_PORT, _SSDP = 5351, 1900
_ODD = (0, 1, 2**16 - 1, 2**31, 2**32 - 1)


def nat_pmp(question: bytes, chance: Random) -> bytes:
    """In the form of RFC 6886 3.2 and 3.3."""
    code = question[1] | 0x80
    result = chance.choice((0, 0, 1, 2, 3, 4, 5, 77, 65535))
    epoch = chance.choice(_ODD)
    if question[1] == 0:
        return struct.pack("!BBHI4s", 0, code, result, epoch, chance.randbytes(4))
    inside = int.from_bytes(question[4:6], "big") if len(question) >= 6 else 0
    outside = chance.choice((0, 22, 65535, inside))
    lifetime = chance.choice(_ODD)
    return struct.pack("!BBHIHHI", 0, code, result, epoch, chance.choice((inside, 1)), outside, lifetime)


def pcp(question: bytes, chance: Random) -> bytes:
    """In the form of RFC 6887 7.2 and 11.1."""
    answer = bytearray(question.ljust(60, b"\0"))
    answer[1] |= 0x80
    answer[3] = chance.choice((0, 0, 0, *range(1, 14), 255))
    answer[4:8] = struct.pack("!I", chance.choice(_ODD))
    answer[8:12] = struct.pack("!I", chance.choice(_ODD))
    answer[42:44] = chance.choice((b"\0\0", b"\xff\xff", bytes(answer[40:42])))
    address = chance.choice((b"\x7f\0\0\1", b"\x0a\0\1\2", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x0b\1\0\2"))
    answer[44:60] = bytes(10) + b"\xff\xff" + address
    return bytes(answer) + chance.choice((b"", chance.randbytes(4), b"\3\0\xff\xff" * 200))


def answers(question: bytes, chance: Random) -> list[bytes]:
    """To one question at port 5351."""
    made = []
    for _ in range(20):
        true = (pcp if question[:1] == b"\2" else nat_pmp)(question, chance)
        at = chance.randrange(len(true))
        made += [true, true[:at], true[:at] + bytes((true[at] ^ 1 << chance.randrange(8),)) + true[at + 1 :]]
    return made


def descriptions(hosts: list[str]) -> list[bytes]:
    """Answers to a search, each with another place of the description."""
    places = [f"http://{host}/rootDesc.xml" for host in hosts] + ["http://x:99999/", "file:///etc/passwd", ""]
    return [
        f"HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
        f"USN: uuid:{number}\r\nLOCATION: {place}\r\n\r\n".encode()
        for number, place in enumerate(places)
    ]


def _listening(gateway: str) -> list[socket.socket]:
    made = []
    for family, host, port in (
        (socket.AF_INET, gateway, _PORT),
        (socket.AF_INET, "239.255.255.250", _SSDP),
        (socket.AF_INET6, "::", _SSDP),
    ):
        with contextlib.suppress(OSError):
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            if host.startswith("239."):
                group = socket.inet_aton(host) + socket.inet_aton(gateway)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            elif host == "::":
                for index, _ in socket.if_nameindex():
                    group = socket.inet_pton(socket.AF_INET6, "ff02::c") + struct.pack("@I", index)
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
            made.append(sock)
    return made


def main(seed: int, gateway: str, victims: list[str]) -> None:
    """Until it is ended."""
    chance, sockets = Random(seed), _listening(gateway)
    print("ready", flush=True)
    while True:
        for sock in select.select(sockets, (), ())[0]:
            question, source = sock.recvfrom(65536)
            local = sock.getsockname()[1] == _PORT
            asker = f"[{source[0]}]" if ":" in source[0] else source[0]
            hosts = [*victims, "127.0.0.1:80", "[::1]:80", f"{asker}:80"]
            for each in answers(question, chance) if local else descriptions(hosts):
                with contextlib.suppress(OSError):
                    sock.sendto(each, source)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
