"""Can what a server says of us be true? Some servers stand behind a proxy, a load balancer or a container's
bridge and see that one's address; some answer nonsense; and gateways rewrite addresses within packets."""

from __future__ import annotations

from typing import Final

from nattools.model.endpoint import Endpoint, parse_address
from nattools.net.addresses import AddressKind, kind_of

_ANYWHERE: Final[tuple[AddressKind, ...]] = ("public", "shared")


def as_ipv4(seen: Endpoint) -> Endpoint:
    """An IPv4-mapped IPv6 address (RFC 4291 2.5.5.2) as the IPv4 address in it: servers with one socket for
    both families forget to unwrap it. Others as they are."""
    if not seen.host.lower().startswith("::ffff:"):
        return seen
    inner = getattr(parse_address(seen.host), "ipv4_mapped", None)
    return seen if inner is None else Endpoint(str(inner), seen.port)


def why_impossible(
    seen: Endpoint, asked: Endpoint, local: Endpoint | None, *, unmasked: bool = False
) -> str | None:
    """Why `seen` cannot be how the server at `asked` sees a packet that left from `local` (None: not known):
    "port 0", "server" for its own address, "family", "inside" for our own private address, which a server
    outside can only have read in a rewritten MAPPED-ADDRESS (`unmasked`: nothing but that says so), or the
    kind of address that it is. None: it may be true.
    """
    kind = kind_of(seen.host)
    if seen.port == 0:
        return "port 0"
    if (":" in seen.host) is not (":" in asked.host):
        return "family"
    if local is not None and seen.host == local.host.partition("%")[0]:
        return "inside" if unmasked and kind != "public" and kind_of(asked.host) == "public" else None
    if seen.host == asked.host:
        return "server"
    theirs = kind_of(asked.host)
    if kind in _ANYWHERE or kind == theirs or (kind == "private" and theirs != "public"):
        return None
    return kind or "none"
