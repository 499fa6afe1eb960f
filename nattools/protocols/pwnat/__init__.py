"""pwnat: two machines behind NATs meet without a third one, by an ICMP Time Exceeded that one of them crafts.

    listener   -> nobody     UDP, the beacon: from its own port to an address that does not answer
    caller     -> listener   Time Exceeded (RFC 792) that quotes a beacon, and carries a knock behind it
    both                     UDP, once the listener has read the knock

The listener's NAT lets the error in as one about the beacon's session (RFC 5508 REQ-4), and the listener
reads the quote where its system reports errors about its own datagrams, without privileges.
"""

from nattools.protocols.pwnat.beacon import BEACON, TARGETS, prepare, time_exceeded
from nattools.protocols.pwnat.knock import CallerNat, Knock, decode, encode, looks_like_knock
from nattools.protocols.pwnat.outside import ListenerPorts, Outside, parse_outside
from nattools.protocols.pwnat.replay import Doubt, KnockFilter
from nattools.protocols.pwnat.secret import LEAST_SECRET, SharedKeys, keys_of, new_secret

__all__ = [
    "BEACON",
    "LEAST_SECRET",
    "TARGETS",
    "CallerNat",
    "Doubt",
    "Knock",
    "KnockFilter",
    "ListenerPorts",
    "Outside",
    "SharedKeys",
    "decode",
    "encode",
    "keys_of",
    "looks_like_knock",
    "new_secret",
    "parse_outside",
    "prepare",
    "time_exceeded",
]
