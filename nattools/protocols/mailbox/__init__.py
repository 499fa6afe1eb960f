"""The mailbox: how two peers that share a short code find each other and exchange sealed messages.

Between a peer and the mailbox go the JSON texts of `messages`, one a WebSocket message. What the mailbox
passes from one peer to the other is opaque to it: an exchange of SPAKE2 (RFC 9382's scheme, as the package
`spake2` has it), a proof of the key, then messages sealed under it. It sees neither code nor content.
"""

from nattools.protocols.mailbox.client import MailboxClient
from nattools.protocols.mailbox.messages import (
    MAX_PAYLOAD,
    MAX_TEXT,
    PATH,
    VERSION,
    Confirmed,
    Event,
    MailboxFailure,
    PeerDone,
    PeerHere,
    PeerLost,
    Received,
    RelayOffer,
    RelayOffered,
    RoomOpened,
)

__all__ = [
    "MAX_PAYLOAD",
    "MAX_TEXT",
    "PATH",
    "VERSION",
    "Confirmed",
    "Event",
    "MailboxClient",
    "MailboxFailure",
    "PeerDone",
    "PeerHere",
    "PeerLost",
    "Received",
    "RelayOffer",
    "RelayOffered",
    "RoomOpened",
]
