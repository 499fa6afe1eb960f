"""The tunnel: many streams over one connection that may break and be replaced, and nothing is lost by it.

Two peers exchange frames (see `frames`) over a reliable, secured byte stream. When that ends, a new one is
put in its place: both sides begin with a hello, which says how far each stream has come, and go on there.
The peer was proven before, by the mailbox's key or that of a pasted token; it is bounded here all the same.
"""

from nattools.protocols.tunnel.frames import (
    MAX_DATA,
    MAX_STREAMS,
    VERSION,
    Accepted,
    Bench,
    Listen,
    Pipe,
    Purpose,
    TcpTo,
    UdpTo,
)
from nattools.protocols.tunnel.halves import (
    Answered,
    Data,
    Done,
    Ended,
    Event,
    Goodbye,
    Greeted,
    Opened,
    Progress,
    Reset,
)
from nattools.protocols.tunnel.session import TunnelSession

__all__ = [
    "MAX_DATA",
    "MAX_STREAMS",
    "VERSION",
    "Accepted",
    "Answered",
    "Bench",
    "Data",
    "Done",
    "Ended",
    "Event",
    "Goodbye",
    "Greeted",
    "Listen",
    "Opened",
    "Pipe",
    "Progress",
    "Purpose",
    "Reset",
    "TcpTo",
    "TunnelSession",
    "UdpTo",
]
