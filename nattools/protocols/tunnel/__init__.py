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
    EchoAnswer,
    Goodbye,
    Listen,
    Open,
    Pipe,
    Purpose,
    Reset,
    TcpTo,
    UdpTo,
)
from nattools.protocols.tunnel.session import TunnelSession
from nattools.protocols.tunnel.streams import Acknowledged, Data, Done, Ended, Event, Greeted

__all__ = [
    "MAX_DATA",
    "MAX_STREAMS",
    "VERSION",
    "Accepted",
    "Acknowledged",
    "Bench",
    "Data",
    "Done",
    "EchoAnswer",
    "Ended",
    "Event",
    "Goodbye",
    "Greeted",
    "Listen",
    "Open",
    "Pipe",
    "Purpose",
    "Reset",
    "TcpTo",
    "TunnelSession",
    "UdpTo",
]
