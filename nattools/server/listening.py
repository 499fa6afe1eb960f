"""Where a server may listen."""

from __future__ import annotations

from nattools.errors import UsageError
from nattools.model.endpoint import family_of, parse_address


def check_listening(addresses: tuple[str, ...], port: int, alternate_port: int | None) -> None:
    """UsageError: no machine could serve this."""
    if not addresses:
        raise UsageError("no address to listen on")
    for text in addresses:
        _check_address(text)
    if len(set(addresses)) < len(addresses):
        raise UsageError("an address to listen on is given twice")
    for family in (4, 6):
        if sum(family_of(text) == family for text in addresses) > 2:
            raise UsageError(f"more than two IPv{family} addresses to listen on: RFC 5780 uses two")
    for each in (port, alternate_port):
        if each is not None and not 0 <= each <= 65535:
            raise UsageError(f"not a port: {each}")
    if port and port == alternate_port:
        raise UsageError(f"the alternate port must differ from {port}")


def _check_address(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        raise UsageError(f"not an IP address to listen on: {text!r}") from None
    if address.is_unspecified or address.is_multicast:
        raise UsageError(
            f"{text} is not a single address: answers must name their source, so give one or two of "
            "this machine's own"
        )
