"""pwnat: two machines behind NATs meet without a third one, by an ICMP Time Exceeded that one of them crafts.

    listener   -> nobody     UDP, the beacon: from its own port to an address that does not answer
    caller     -> listener   Time Exceeded (RFC 792) that quotes a beacon, and carries a knock behind it
    both                     UDP, once the listener has read the knock

The listener's NAT lets the error in as one about the beacon's session (RFC 5508 REQ-4), and the listener
reads the quote where its system reports errors about its own datagrams, without privileges.
"""

from nattools.protocols.pwnat.beacon import BEACON, TARGETS, prepare, time_exceeded

__all__ = [
    "BEACON",
    "TARGETS",
    "prepare",
    "time_exceeded",
]
