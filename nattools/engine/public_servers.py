"""Public STUN servers that are asked when the user names none.

They come and go and some err, so nothing here is relied on: every server is asked what it can do, several
are compared, and a run sends each a handful of packets. Those that have been seen to support RFC 5780
(filtering can be measured with them) come first; the others can tell the mapping and serve as distinct
destinations.
"""

from __future__ import annotations

RFC5780_SERVERS: tuple[str, ...] = (
    "stun:stunserver2025.stunprotocol.org:3478",
    "stun:stun.voipgate.com:3478",
    "stun:stun.sipgate.net:3478",
    "stun:stun.hot-chilli.net:3478",
)
PLAIN_SERVERS: tuple[str, ...] = (
    "stun:stun.cloudflare.com:3478",
    "stun:stun.l.google.com:19302",
    "stun:stun.nextcloud.com:443",
    "stun:turn.cloudflare.com:3478",
)
PUBLIC_SERVERS: tuple[str, ...] = RFC5780_SERVERS + PLAIN_SERVERS
