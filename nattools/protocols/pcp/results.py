"""PCP result codes (RFC 6887 7.4), each with what it means for the user."""

from __future__ import annotations

from nattools.model.portmapping import Refusal, refusals

SUCCESS = 0
UNSUPP_VERSION = 1
NOT_AUTHORIZED = 2
MALFORMED_REQUEST = 3
UNSUPP_OPCODE = 4
UNSUPP_OPTION = 5
MALFORMED_OPTION = 6
NETWORK_FAILURE = 7
NO_RESOURCES = 8
UNSUPP_PROTOCOL = 9
USER_EX_QUOTA = 10
CANNOT_PROVIDE_EXTERNAL = 11
ADDRESS_MISMATCH = 12
EXCESSIVE_REMOTE_PEERS = 13

_OTHER_PROTOCOL = "Try UPnP or NAT-PMP instead, or forward the port by hand on the router's own pages."
_ROWS = (
    (
        UNSUPP_VERSION,
        "UNSUPP_VERSION",
        "The router does not speak this version of PCP.",
        "It most likely knows NAT-PMP, PCP's predecessor: use that.",
    ),
    (
        NOT_AUTHORIZED,
        "NOT_AUTHORIZED",
        "The router does not let this machine make this mapping.",
        "Allow PCP (often called UPnP or automatic port forwarding) for this machine on the router's pages, "
        "or ask for another port: many routers refuse those below 1024.",
    ),
    (
        MALFORMED_REQUEST,
        "MALFORMED_REQUEST",
        "The router could not read the request.",
        f"Its PCP is likely at fault. {_OTHER_PROTOCOL}",
    ),
    (
        UNSUPP_OPCODE,
        "UNSUPP_OPCODE",
        "The router speaks PCP but does not do what was asked.",
        f"PCP is there without mappings. {_OTHER_PROTOCOL}",
    ),
    (
        UNSUPP_OPTION,
        "UNSUPP_OPTION",
        "The router does not know an option that the request needs.",
        "Ask again without it: for this machine itself, and for any external port.",
    ),
    (
        MALFORMED_OPTION,
        "MALFORMED_OPTION",
        "The router could not read an option of the request.",
        f"Its PCP is likely at fault. {_OTHER_PROTOCOL}",
    ),
    (
        NETWORK_FAILURE,
        "NETWORK_FAILURE",
        "The router cannot make mappings now: its own connection is down or not ready.",
        "Check that the router is online, and ask again in a minute.",
    ),
    (
        NO_RESOURCES,
        "NO_RESOURCES",
        "The router cannot make the mapping now: no room is left in its table, or it has no public address.",
        "If the router's own address is not public, your provider runs a second NAT and mappings cannot "
        "help: ask the provider for a public IPv4 address. Otherwise remove mappings that nobody needs.",
    ),
    (
        UNSUPP_PROTOCOL,
        "UNSUPP_PROTOCOL",
        "The router does not map this transport protocol.",
        "Use UDP or TCP.",
    ),
    (
        USER_EX_QUOTA,
        "USER_EX_QUOTA",
        "This machine has as many mappings as the router allows it.",
        "Remove some of them (nattools map list, nattools map delete), or ask again when they have expired.",
    ),
    (
        CANNOT_PROVIDE_EXTERNAL,
        "CANNOT_PROVIDE_EXTERNAL",
        "The external port or address asked for cannot be had: another machine or service has it.",
        "Ask for another external port, or leave the choice to the router.",
    ),
    (
        ADDRESS_MISMATCH,
        "ADDRESS_MISMATCH",
        "A NAT stands between this machine and the PCP server: it sees the request come from another "
        "address than the one inside it.",
        "There is a second NAT inside your network. Make the mapping on the nearer router too, or put one "
        "of the two routers into bridge mode.",
    ),
    (
        EXCESSIVE_REMOTE_PEERS,
        "EXCESSIVE_REMOTE_PEERS",
        "The mapping is limited to more remote peers than the router can filter.",
        "Ask for fewer of them, or for a mapping that is open to all.",
    ),
)
REFUSALS = refusals(_ROWS)


def refusal(code: int) -> Refusal:
    """What a result code other than 0 means; codes of later RFCs are named by their number."""
    known = REFUSALS.get(code)
    if known is not None:
        return known
    return Refusal(
        code=code,
        name=f"result {code}",
        meaning=f"The router refused with PCP result {code}, which RFC 6887 does not name.",
        advice=_OTHER_PROTOCOL,
    )
