"""The questions that show whether a control server of Tailscale's kind (Tailscale's, headscale) is reached.

There is no RFC; what it follows is what Tailscale's clients of 1.102 do before they log in: they fetch the
server's public key, and then leave HTTP by `Upgrade: tailscale-control-protocol`. Pure.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from nattools.errors import ProtocolError
from nattools.protocols import http
from nattools.protocols.http import HttpResponse

CAPABILITY_VERSION: Final = 142
"""Of the client that is imitated, 1.102; headscale answers only with one that it knows."""
MAX_KEY_PAGE: Final = 65_536
UPGRADE: Final = "tailscale-control-protocol"
_KEY: Final = re.compile(r"mkey:[0-9a-f]{64}\Z")
_OLD_KEY: Final = re.compile(rb"\s*[0-9a-f]{64}\s*\Z")


def key_request(authority: str, folder: str = "") -> bytes:
    """A request for the server's key; `folder` is the path of its URL, without the last slash."""
    return http.encode_request("GET", f"{folder}/key?v={CAPABILITY_VERSION}", authority)


def read_key(response: HttpResponse) -> str:
    """The server's key, in hexadecimal. ProtocolError: the answer holds none, and why."""
    if _OLD_KEY.match(response.body):
        return response.body.decode().strip()
    try:
        fields = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProtocolError("it answers with a page that is not a control server's") from None
    key = fields.get("publicKey") if isinstance(fields, dict) else None
    if not isinstance(key, str) or not _KEY.match(key):
        raise ProtocolError("it answers without a key of a control server's")
    if set(key.removeprefix("mkey:")) == {"0"}:
        raise ProtocolError("it has no key: it is too old for today's clients")
    return key.removeprefix("mkey:")


def upgrade_request(authority: str, folder: str = "") -> bytes:
    """A request to leave HTTP that lacks what must come with it, so that the server says so."""
    return http.encode_request("POST", f"{folder}/ts2021", authority, (("Upgrade", UPGRADE),))


def upgrade_arrives(response: HttpResponse) -> bool | None:
    """Did the server see that header? A reverse proxy that is not told to leaves it out (nginx), and then no
    client can log in. None: the answer does not tell."""
    said = response.body[:4096].decode("utf-8", "replace").lower()
    if "handshake" in said:
        return True
    if "missing next protocol" in said or "upgrade header" in said:
        return False
    return None
