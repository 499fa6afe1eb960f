"""Which addresses everybody on the internet can route to: one answer for all substrates."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address

from nattools.model.endpoint import parse_address


@lru_cache(maxsize=4096)
def is_public(address: str) -> bool:
    """True for globally reachable unicast addresses (IANA special-purpose registries, RFC 6890), False for
    private, shared (100.64/10), loopback, link-local, multicast and documentation ones, and for what is no
    address at all.

    An IPv4-mapped IPv6 address is judged by the IPv4 address in it.
    """
    try:
        parsed = parse_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return is_public(str(parsed.ipv4_mapped))
    if isinstance(parsed, IPv6Address) and parsed.is_site_local:
        return False
    return parsed.is_global and not parsed.is_multicast
