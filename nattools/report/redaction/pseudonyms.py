"""Pseudonyms that keep what an analysis looks at: the kind of an address, which addresses share a network,
which names and ports are the same.

Without a salt they are numbered in the order in which they come, and tell nothing. With one they follow from
it and the original (HMAC-SHA256), so that two reports agree, and who has the salt can test a guess.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Container
from ipaddress import IPv4Address, IPv6Address, ip_address

from nattools.chance import chance
from nattools.net.addresses import FAR_AWAY, is_squatted, kind_of
from nattools.protocols.nat64 import WELL_KNOWN, Nat64Prefix

_KEPT_KINDS = ("loopback", "unspecified", "documentation")
"""Addresses that everybody has, or nobody."""
_KEPT4 = ("0.", "192.0.0.", "192.88.99.", "224.0.", "239.192.", "239.255.", "255.")
"""So are these: of protocols, and groups that everybody may join."""
_EVERYBODYS_GROUPS = 2**20
"""Groups below are of protocols (ff02::fb, ff02::1:2); those above hold parts of addresses (RFC 4291 2.7.1,
RFC 3306), hashes of names (RFC 4620), or somebody chose them."""
_STANDARD = ("10.88.", "10.0.2.", "172.20.10.", "192.168.42.", "192.168.43.", "192.168.44.")
"""What Podman, slirp4netns and telephones that share their connection give to everybody; the analysis knows
them, and they stay."""
_PUBLIC4, _PUBLIC6 = 11, 0x2A10
"""11.0.0.0/8 and 2a10::/16, as in the lab: software takes them for public."""
_SQUATTED = 25
"""25.0.0.0/8: somebody's, and used by carriers inside."""
_RESERVED6 = 0x5F00
"""5f00::/16: of no use, as all of "reserved"."""
_LOCAL_USE = "64:ff9b:1:"
"""How prefixes of NAT64s begin that everybody may use (RFC 8215)."""
_BLOCK = 2048
_TRIES = 4096
Form = Callable[[int], str]
"""How the pseudonym of a number begins."""


class Pseudonyms:
    """Each original's pseudonym, always the same. `taken`: all originals of the report, none of which may
    stand for another one. `keep_private`: private addresses stay as they are, but for those that hold a MAC
    address; `ports`: ports are changed too. `prefixes`: the NAT64 prefixes, in whose addresses an IPv4 one
    stands."""

    def __init__(
        self,
        salt: str | None,
        *,
        keep_private: bool,
        ports: bool,
        taken: Container[str],
        prefixes: tuple[Nat64Prefix, ...],
    ) -> None:
        self._salt = None if salt is None else salt.encode("utf-8", "surrogatepass")
        self._keep_private = keep_private
        self._taken = taken
        self._prefixes = tuple(each for each in prefixes if _may_be_nat64(each))
        self._given: dict[tuple[str, str], int] = {}
        self._used: set[tuple[str, int]] = set()
        self._counts: Counter[str] = Counter()
        turn = chance().randrange(29) if self._salt is None else self._hashed("ports", "") % 29
        self._turn = 1 + turn if ports else 0

    def mark(self, before: str | None = None) -> str:
        """What reports have in common whose pseudonyms agree, "" for nothing; nobody who has not the salt can
        make it. `before`: the mark of a report that was redacted already, whose pseudonyms have new ones."""
        if self._salt is None or before == "":
            return ""
        chosen = f"{self._keep_private} {self._turn}"
        return f"{self._hashed('mark', chosen if before is None else f'{chosen} {before}'):016x}"

    def name(self, original: str) -> str:
        """For a name or a token: `name-1`; for one with dots, `name-1.example` (RFC 2606)."""
        key = original.lower()
        end = ".example" if "." in key.strip(".") else ""
        number = self._pick("name", key, 10**9, form=lambda place: f"name-{place + 1}{end}")
        return f"name-{number + 1}{end}"

    def mac(self, original: str) -> str:
        """A locally administered MAC address (IEEE 802)."""
        return _mac(self._pick("mac", plain_mac(original), 2**40, form=_mac))

    def port(self, original: int) -> int:
        """The same port, or where ports are changed, one whose neighbours stay its neighbours: blocks of 2048
        ports change places. Those below 4096 stay, since services and STUN servers have them."""
        block, place = divmod(original, _BLOCK)
        if not self._turn or not 2 <= block < 32:
            return original
        return (2 + (block - 2 + self._turn) % 30) * _BLOCK + place

    def address(self, original: str) -> str:
        """The pseudonym of an address without a zone, in canonical form."""
        address = ip_address(original)
        kind = kind_of(original)
        anycast = original in FAR_AWAY.values() or original.startswith(("192.0.0.", "2001:1::"))
        private = self._keep_private and kind in ("private", "shared") and not _holds_mac(address)
        if kind in _KEPT_KINDS or anycast or private:
            return original
        if isinstance(address, IPv4Address):
            kept = kind in ("multicast", "reserved") and original.startswith(_KEPT4)
            return original if kept else self._ipv4(address, public=kind == "public")
        return self._ipv6(address, str(kind))

    def network(self, original: str, length: int) -> str:
        """For the address of a network with a prefix of that length: the bits behind it stay zero."""
        mapped = ip_address(self.address(original))
        rest = mapped.max_prefixlen - length
        value = int(mapped) >> rest << rest
        return str(type(mapped)(value))

    def _ipv4(self, address: IPv4Address, *, public: bool) -> str:
        first, second, third, last = address.packed
        text = str(address)
        if is_squatted(text):
            number = self._pick("squatted", f"{first}.{second}.{third}", 2**16, form=_third(_SQUATTED))
            head = f"{_SQUATTED}.{number >> 8}.{number & 255}"
        elif public:
            number = self._pick("net", f"{first}.{second}.{third}", 2**16, form=_third(_PUBLIC4))
            head = f"{_PUBLIC4}.{number >> 8}.{number & 255}"
        elif text.startswith(_STANDARD):
            return text
        elif first == 10 or first >= 224:
            number = self._pick(str(first), f"{second}.{third}", 2**16, form=_third(first))
            head = f"{first}.{number >> 8}.{number & 255}"
        else:  # 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16, 198.18.0.0/15
            kept = f"{first}.{second}"
            if first == 100:
                kept = f"100.{64 + self._pick('100', str(second), 64)}"
            head = f"{kept}.{self._pick(kept, str(third), 256, form=lambda n: f'{kept}.{n}')}"
        if last in (0, 255):
            return f"{head}.{last}"
        number = self._pick(head, text, 254, form=lambda place: f"{head}.{place + 1}")
        return f"{head}.{number + 1}"

    def _ipv6(self, address: IPv6Address, kind: str) -> str:
        if address.ipv4_mapped is not None:
            return f"::ffff:{self.address(str(address.ipv4_mapped))}"
        for prefix in (WELL_KNOWN, *self._prefixes):
            inner = prefix.extract(str(address))
            if inner is not None:
                base = prefix if prefix == WELL_KNOWN else self._prefix(prefix)
                return base.embed(inner if inner == "0.0.0.0" else self.address(inner))
        value = int(address)
        if kind == "translated":
            return self._translated(value)
        if kind == "multicast":
            return self._group(value)
        if value >> 32 in (0, 0xFFFF0000):  # RFC 4291 2.5.5.1, RFC 2765 2.1
            inner = self.address(str(IPv4Address(value & 0xFFFFFFFF)))
            return str(IPv6Address(value >> 32 << 32 | int(IPv4Address(inner))))
        if kind == "link-local":
            return self._interface(value, 0xFE80 << 112)
        site, subnet = value >> 80, (value >> 64) & 0xFFFF
        top = self._site(site, kind)
        if subnet:
            subnet = 1 + self._pick(f"site {site:x}", f"{subnet:x}", 2**16 - 1)
        return self._interface(value, (top << 80) | (subnet << 64))

    def _site(self, site: int, kind: str | None) -> int:
        """The upper 48 bits of an address, of a unique local one (RFC 4193) if it is "private"."""
        first, size = (0xFD << 40, 2**40) if kind == "private" else (_PUBLIC6 << 32, 2**32)
        if kind == "reserved":
            first = _RESERVED6 << 32
        space = {"private": "ula", "reserved": "reserved"}.get(str(kind), "site")
        return first | self._pick(space, f"{site:x}", size, form=lambda number: _site(first | number))

    def _prefix(self, prefix: Nat64Prefix) -> Nat64Prefix:
        """A network's own NAT64 prefix: its site changed, the rest as it is."""
        value = int(IPv6Address(prefix.network))
        site, rest = value >> 80, value & ((1 << 80) - 1)
        if prefix.network.startswith(_LOCAL_USE):
            return prefix
        top = self._site(site, kind_of(prefix.network))
        kept = 128 - prefix.length
        made = ((top << 80) | rest) >> kept << kept
        return Nat64Prefix(str(IPv6Address(made)), prefix.length)

    def _group(self, value: int) -> str:
        """A multicast group: its scope stays, and that it is one of solicited nodes (RFC 4291 2.7.1)."""
        head, group = value >> 112, value & ((1 << 112) - 1)
        if not head & 0xF0 and group < _EVERYBODYS_GROUPS:
            return str(IPv6Address(value))
        first, size = (0x1FF << 24, 2**24) if group >> 24 == 0x1FF else (1 << 31, 2**31)
        made = head << 112 | first
        place = self._pick(
            f"group {made:x}", f"{group:x}", size, form=lambda number: str(IPv6Address(made | number))
        )
        return str(IPv6Address(made | place))

    def _translated(self, value: int) -> str:
        """6to4 has an IPv4 address behind 2002, Teredo its server's and, inverted, the client's; a NAT64
        whose prefix the report does not tell has one at the end."""
        if value >> 112 == 0x2002:
            inner = self.address(str(IPv4Address((value >> 80) & 0xFFFFFFFF)))
            head = 0x2002 << 112 | int(IPv4Address(inner)) << 80
            return self._interface(value, head)
        if value >> 112 == 0x64:
            chosen = (value >> 32) & ((1 << 48) - 1)
            if chosen:  # of a /48 to /64 the IPv4 address would stand there
                chosen = 1 + self._pick("local use", f"{chosen:x}", 2**48 - 1)
            prefix = Nat64Prefix(str(IPv6Address((value >> 80 << 48 | chosen) << 32)))
            return prefix.embed(self.address(str(IPv4Address(value & 0xFFFFFFFF))))
        server, client = (value >> 64) & 0xFFFFFFFF, ~value & 0xFFFFFFFF
        outer = int(IPv4Address(self.address(str(IPv4Address(server)))))
        inner_value = int(IPv4Address(self.address(str(IPv4Address(client)))))
        flags = (value >> 48) & 0xFFFF
        port = self._pick("teredo", f"{value & (0xFFFF << 32):x}", 2**16)
        made = (0x20010000 << 96) | outer << 64 | flags << 48 | port << 32 | (~inner_value & 0xFFFFFFFF)
        return str(IPv6Address(made))

    def _interface(self, value: int, head: int) -> str:
        """The address behind the upper half `head`: 0 to 255, which many routers and servers have, are
        numbered anew; one that is made of a MAC address still looks so (RFC 4291 2.5.1)."""
        network, host = value >> 64, value & ((1 << 64) - 1)
        if host == 0:
            return str(IPv6Address(head))
        if _holds_mac(IPv6Address(value)):
            mac = self._pick("mac", f"{host:x}", 2**40, form=_mac)
            return str(IPv6Address(head | 0x02 << 56 | (mac >> 24) << 40 | 0xFFFE << 24 | (mac & 0xFFFFFF)))
        size = 2**16 - 1 if self._salt is None else 2**62
        place = self._pick(
            f"host {network:x}", f"{host:x}", size, form=lambda number: str(IPv6Address(head | 1 + number))
        )
        return str(IPv6Address(head | 1 + place))

    def _pick(self, space: str, original: str, size: int, form: Form | None = None) -> int:
        """The number of an original in its space of `size`: the next free one, or by the salt. What another
        original is called by itself is not given away."""
        key = (space, original)
        if key in self._given:
            return self._given[key]
        place = self._counts[space] if self._salt is None else self._hashed(*key)
        place %= size
        for _ in range(min(size, _TRIES)):
            if (space, place) not in self._used and (form is None or form(place) not in self._taken):
                break
            place = (place + 1) % size
        self._counts[space] = place + 1
        self._used.add((space, place))
        self._given[key] = place
        return place

    def _hashed(self, space: str, original: str) -> int:
        assert self._salt is not None
        digest = hmac.new(self._salt, f"{space}\0{original}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        return int.from_bytes(digest.digest()[:8], "big")


def _holds_mac(address: IPv4Address | IPv6Address) -> bool:
    """Is it made of a MAC address?"""
    return address.packed[11:13] == b"\xff\xfe"


def _third(first: int) -> Form:
    return lambda number: f"{first}.{number >> 8}.{number & 255}"


def _may_be_nat64(prefix: Nat64Prefix) -> bool:
    """Or is it a network of another kind?"""
    return prefix.network.startswith(_LOCAL_USE) or kind_of(prefix.network) in (
        "public",
        "private",
        "reserved",
    )


def _site(top: int) -> str:
    """The network of the upper 48 bits of an IPv6 address."""
    return str(IPv6Address(top << 80))


def _mac(number: int) -> str:
    return ":".join(f"{byte:02x}" for byte in (2, *number.to_bytes(5, "big")))


def plain_mac(original: str) -> str:
    """A MAC address in one of its forms."""
    return original.lower().replace("-", ":")


def taken_by(address: str) -> tuple[str, ...]:
    """What an original address takes from the pseudonyms: itself, the beginning that stands for its network,
    and the MAC address that it is made of."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv4Address):
        return address, address.rpartition(".")[0]
    taken = (address, _site(int(parsed) >> 80))
    host = parsed.packed[8:]
    return (*taken, (host[:3] + host[5:]).hex(":")) if host[3:5] == b"\xff\xfe" else taken
