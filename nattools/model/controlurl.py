"""Control servers as users name them: `https://headscale.example.com`, as `--login-server` has it."""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from nattools.errors import UsageError
from nattools.model.endpoint import authority
from nattools.model.serveruri import checked_host

WEB_PORTS: Final = {"https": 443, "http": 80}


class ControlUrl(msgspec.Struct, frozen=True):
    """Where a control server is. `folder`: the path that its own paths stand behind, without a last slash."""

    text: str
    scheme: Literal["https", "http"]
    host: str
    port: int
    folder: str = ""

    @property
    def authority(self) -> str:
        """As a Host header has it (RFC 9110 7.2)."""
        return authority(self.host, self.port, WEB_PORTS[self.scheme])


def parse_control(text: str) -> ControlUrl:
    """Read one; without a scheme it is HTTPS. UsageError: it is no such URL."""
    stripped = text.strip()
    whole = stripped if "://" in stripped else f"https://{stripped}"
    try:
        parts = urlsplit(whole)
        port = parts.port
    except ValueError:
        raise UsageError(_wrong(text)) from None
    folder = parts.path.rstrip("/")
    plain = folder.isascii() and folder.isprintable() and " " not in folder
    if parts.username is not None or parts.query or parts.fragment or not plain or port == 0:
        raise UsageError(_wrong(text))
    host = checked_host(parts.hostname or "", stripped)
    if parts.scheme == "https":
        return ControlUrl(whole.rstrip("/"), "https", host, port or 443, folder)
    if parts.scheme == "http":
        return ControlUrl(whole.rstrip("/"), "http", host, port or 80, folder)
    raise UsageError(_wrong(text))


def _wrong(text: str) -> str:
    return f"control server {text[:80]!r}: write https://HOST[:PORT]"
