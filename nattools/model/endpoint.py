"""Transport addresses, and their one written form."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal, NamedTuple

Family = Literal[4, 6]
Transport = Literal["udp", "tcp"]
ANY: Final[dict[Family, str]] = {4: "0.0.0.0", 6: "::"}
"""No address of one's own in particular."""
BROADCAST: Final = "255.255.255.255"
"""All machines on the link (RFC 919)."""


class Endpoint(NamedTuple):
    """An IP address in its canonical text form and a port. IPv6 hosts carry no brackets; a link-local
    one may carry a zone (`fe80::1%eth0`)."""

    host: str
    port: int

    @property
    def family(self) -> Family:
        """4 or 6."""
        return 6 if ":" in self.host else 4

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@lru_cache(maxsize=512)
def parse_endpoint(text: str) -> Endpoint:
    """Read `1.2.3.4:5` or `[2001:db8::1]:5`; ValueError for everything else, names included."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"not an address and port: {text!r}")
    bracketed = host.startswith("[") and host.endswith("]")
    address = ip_address(host[1:-1] if bracketed else host)
    if bracketed != isinstance(address, IPv6Address):
        raise ValueError(f"not an address and port: {text!r}")
    return Endpoint(str(address), int(port))


@lru_cache(maxsize=512)
def read_endpoint(text: str | None) -> Endpoint | None:
    """An address and port as observations and other programs' status hold them, whatever the address is; None
    for what is none. A zone is left out."""
    if text is None:
        return None
    host, separator, port = text.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        return None
    if ":" not in host and "%" not in host and "[" not in host and "]" not in host:
        return Endpoint(host, int(port)) if host else None
    host = host.removeprefix("[").removesuffix("]").partition("%")[0]
    return Endpoint(host, int(port)) if host else None


def url_host(host: str) -> str:
    """A name or an address as a URL has it (RFC 3986 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def authority(host: str, port: int, usual: int) -> str:
    """The same with its port, unless that is the scheme's: as a Host header has it (RFC 9110 7.2)."""
    return url_host(host) if port == usual else f"{url_host(host)}:{port}"


def host_of(text: str | None) -> str | None:
    """The address alone."""
    at = read_endpoint(text)
    return None if at is None else at.host


def family_of(address: str) -> Family:
    """The family of an address in text form."""
    return 6 if ":" in address else 4


def parse_address(text: str) -> IPv4Address | IPv6Address:
    """`ipaddress.ip_address` without the zone that a link-local address may carry."""
    return ip_address(text.partition("%")[0])
