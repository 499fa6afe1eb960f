"""What a router's error codes mean and what to do about them: UPnP, PCP and NAT-PMP.

UPnP's general codes are those of UPnP Device Architecture 2, section 3.1.2. From 700 on every service has its
own: WANIPConnection:2, section 2.5, and WANIPv6FirewallControl:1, section 2.6, give some numbers different
names. PCP: RFC 6887 7.4. NAT-PMP: RFC 6886 3.5.
"""

from __future__ import annotations

from nattools.model.portmapping import Refusal

Texts = dict[int, tuple[str, str, str]]
"""By code: the protocol's name for it, what happened, what to do."""

_BY_HAND = "Forward the port by hand in the router's settings."
_OTHERWISE = "Try another protocol, or forward the port by hand in the router's settings."
_BUG = f"The router's UPnP is probably faulty: look for a firmware update. {_BY_HAND}"
_PERMISSION = (
    "Allow this machine to open ports, or open the port by hand, in the router's settings: for all machines "
    "under UPnP, or for each one by itself (FRITZ!Box: Permit independent port sharing for this device)."
)
_ANOTHER_PORT = "Ask for another external port, or let the router choose."
_LATER = "Try again in a minute."
_ONLINE = "Check that the router is online, and try again in a minute."
_SETTINGS = "See the router's settings."
_PROVIDER = (
    "If the router's external address is not public, your provider runs a second NAT and port mappings "
    "cannot help: ask the provider for a public IPv4 address."
)
_BY_PCP = f"The router's PCP is probably faulty. {_OTHERWISE}"
_GONE = "It has expired or was removed."
_LOW_PORTS = "Many routers refuse ports below 1024."

_UPNP: Texts = {
    401: ("Invalid Action", "The router does not know this action.", f"It is too old for it. {_BY_HAND}"),
    402: (
        "Invalid Args",
        "The router rejected the values of the request. Many routers say this when they support only "
        "permanent mappings, or none without a lifetime.",
        f"Try another lifetime, 0 (permanent) included, and another port. {_BY_HAND}",
    ),
    403: (
        "Not Available",
        "The router does not let this machine do it.",
        _PERMISSION,
    ),
    501: (
        "Action Failed",
        "The router tried and failed, and does not say why. Many routers fail like this when they have no "
        "public address.",
        f"{_PROVIDER} Otherwise restart the router.",
    ),
    600: ("Argument Value Invalid", "The router rejected one of the values.", _ANOTHER_PORT),
    601: ("Argument Value Out of Range", "A value is out of the router's range.", _ANOTHER_PORT),
    602: ("Optional Action Not Implemented", "The router does not support this action.", _BY_HAND),
    603: ("Out of Memory", "The router has no memory left.", "Restart the router."),
    604: ("Human Intervention Required", "The router wants a person to confirm it.", _PERMISSION),
    605: ("String Argument Too Long", "A text is too long for the router.", "Use a shorter description."),
    606: (
        "Action Not Authorized",
        "The router does not allow it: not for this port, not for this machine, or not from here.",
        f"{_PERMISSION} {_LOW_PORTS}",
    ),
    607: ("Signature Failure", "The router requires signed requests.", _PERMISSION),
    608: ("Signature Missing", "The router requires signed requests.", _PERMISSION),
    609: ("Not Encrypted", "The router requires encrypted requests.", _PERMISSION),
    610: ("Invalid Sequence", "The router takes the request for a repeated one.", _LATER),
    611: ("Invalid Control URL", "The router does not know its own control URL.", _BUG),
    612: ("No Such Session", "The router has forgotten its session with this machine.", _LATER),
}
UPNP_MAPPING: Texts = _UPNP | {
    703: ("InactiveConnectionStateRequired", "The router does this only while it is offline.", _SETTINGS),
    704: ("ConnectionSetupFailed", "The router could not go online.", _ONLINE),
    705: ("ConnectionSetupInProgress", "The router is just going online.", _LATER),
    706: ("ConnectionNotConfigured", "The router's connection is not configured.", _SETTINGS),
    707: ("DisconnectInProgress", "The router is just going offline.", _ONLINE),
    708: ("InvalidLayer2Address", "The router's connection has an invalid link-layer address.", _SETTINGS),
    709: ("InternetAccessDisabled", "Internet access is switched off on the router.", "Switch it on there."),
    710: ("InvalidConnectionType", "The router's connection is of another type.", _SETTINGS),
    711: ("ConnectionAlreadyTerminated", "The router is offline already.", _ONLINE),
    713: ("SpecifiedArrayIndexInvalid", "The router's table has no such row.", "Nothing: a list ends so."),
    714: ("NoSuchEntryInArray", "There is no such mapping on the router.", _GONE),
    715: (
        "WildCardNotPermittedInSrcIP",
        "The router makes mappings only for one named remote host each.",
        _BY_HAND,
    ),
    716: ("WildCardNotPermittedInExtPort", "The router requires a specific external port.", "Name one."),
    718: (
        "ConflictInMappingEntry",
        "The external port belongs to another machine on your network, or the router makes mappings only for "
        "the machine that asks.",
        _ANOTHER_PORT,
    ),
    724: (
        "SamePortValuesRequired",
        "On this router the internal and the external port must be the same.",
        "Ask for an external port that equals the internal one.",
    ),
    725: (
        "OnlyPermanentLeasesSupported",
        "The router makes permanent mappings only.",
        "Ask for lifetime 0. The mapping stays until it is deleted: nattools map delete --mine.",
    ),
    726: (
        "RemoteHostOnlySupportsWildcard",
        "The router cannot restrict a mapping to one remote host.",
        "Ask for a mapping that is open to all.",
    ),
    727: (
        "ExternalPortOnlySupportsWildcard",
        "The router can only forward all ports at once.",
        f"That would expose the whole machine: do not use it. {_BY_HAND}",
    ),
    728: (
        "NoPortMapsAvailable",
        "The router has no room or no free port for another mapping.",
        "Remove mappings that nobody needs (nattools map list), or restart the router.",
    ),
    729: (
        "ConflictWithOtherMechanisms",
        "The external port is in use: by a manual forwarding, NAT-PMP, PCP or the router itself.",
        _ANOTHER_PORT,
    ),
    730: (
        "PortMappingNotFound",
        "There are no such mappings on the router.",
        "They expired or were removed.",
    ),
    731: ("ReadOnly", "The router does not let anyone change this.", _SETTINGS),
    732: ("WildCardNotPermittedInIntPort", "The router requires a specific internal port.", "Name one."),
    733: ("InconsistentParameters", "The values of the request contradict each other.", _BUG),
}
UPNP_PINHOLE: Texts = _UPNP | {
    701: (
        "PinholeSpaceExhausted",
        "The router has no room for another IPv6 pinhole.",
        "Remove pinholes that nobody needs, or try again when some have expired.",
    ),
    702: (
        "FirewallDisabled",
        "The router does not filter IPv6: there is nothing to open.",
        "Nothing: this machine should be reachable over IPv6 already, if its own firewall lets packets in.",
    ),
    703: (
        "InboundPinholeNotAllowed",
        "The router does not let machines open its IPv6 firewall.",
        "Allow it, or open the port for this machine, in the router's settings.",
    ),
    704: ("NoSuchEntry", "There is no such pinhole on the router.", _GONE),
    705: ("ProtocolNotSupported", "The router has no pinholes for this protocol.", "Use UDP or TCP."),
    706: ("InternalPortWildcardingNotAllowed", "The router requires a specific internal port.", "Name one."),
    707: ("ProtocolWildcardingNotAllowed", "The router requires a specific protocol.", "Name UDP or TCP."),
    708: (
        "WildCardNotPermittedInSrcIP",
        "The router requires the address of the machine that the pinhole is for.",
        "Name one address.",
    ),
    709: (
        "NoTrafficReceived",
        "No packet has come through the pinhole yet, so the router cannot tell whether it works.",
        "Let a host outside send to it, and ask again.",
    ),
}
PCP: Texts = {
    1: (
        "UNSUPP_VERSION",
        "The router does not support this version of PCP.",
        "It probably supports NAT-PMP, PCP's predecessor: use that.",
    ),
    2: (
        "NOT_AUTHORIZED",
        "The router does not let this machine make this mapping.",
        "Allow PCP (often called UPnP or automatic port forwarding) for this machine in the router's "
        f"settings, or ask for another port. {_LOW_PORTS}",
    ),
    3: ("MALFORMED_REQUEST", "The router could not read the request.", _BY_PCP),
    4: (
        "UNSUPP_OPCODE",
        "The router supports PCP but not this operation.",
        f"Its PCP makes no mappings. {_OTHERWISE}",
    ),
    5: (
        "UNSUPP_OPTION",
        "The router does not know an option that the request needs.",
        "Try again without it: for this machine itself, and for any external port.",
    ),
    6: ("MALFORMED_OPTION", "The router could not read an option of the request.", _BY_PCP),
    7: (
        "NETWORK_FAILURE",
        "The router cannot make mappings now: its own connection is down or not ready.",
        _ONLINE,
    ),
    8: (
        "NO_RESOURCES",
        "The router cannot make the mapping now: its table is full, or it has no public address.",
        f"{_PROVIDER} Otherwise remove mappings that nobody needs.",
    ),
    9: ("UNSUPP_PROTOCOL", "The router does not map this transport protocol.", "Use UDP or TCP."),
    10: (
        "USER_EX_QUOTA",
        "This machine has as many mappings as the router allows it.",
        "Remove some (nattools map list, nattools map delete), or try again when they have expired.",
    ),
    11: (
        "CANNOT_PROVIDE_EXTERNAL",
        "The external port or address is not available: another machine or service has it.",
        _ANOTHER_PORT,
    ),
    12: (
        "ADDRESS_MISMATCH",
        "A NAT stands between this machine and the PCP server: the request came from another address than "
        "the one inside it.",
        "There is a second NAT inside your network. Make the mapping on the nearer router too, or put one of "
        "the two routers into bridge mode.",
    ),
    13: (
        "EXCESSIVE_REMOTE_PEERS",
        "The mapping is limited to more remote peers than the router can filter.",
        "Ask for fewer of them, or for a mapping that is open to all.",
    ),
}
NAT_PMP: Texts = {
    1: (
        "UNSUPP_VERSION",
        "The router does not support this version of NAT-PMP.",
        "It may support PCP, NAT-PMP's successor: use that.",
    ),
    2: (
        "NOT_AUTHORIZED",
        "The router supports NAT-PMP, but it is disabled, or refuses this machine or this port.",
        "Enable NAT-PMP (often called UPnP or automatic port forwarding) in the router's settings, or ask "
        f"for another port. {_LOW_PORTS}",
    ),
    3: (
        "NETWORK_FAILURE",
        "The router has no external address to map: it is offline, or behind another NAT.",
        f"Check that the router is online. {_PROVIDER}",
    ),
    4: (
        "OUT_OF_RESOURCES",
        "The router has no room for another mapping.",
        "Remove mappings that nobody needs, or try again when some have expired.",
    ),
    5: ("UNSUPP_OPCODE", "The router does not support this operation.", _OTHERWISE),
}


def upnp_refusal(
    code: int, *, pinhole: bool = False, description: str = "", from_http: bool = False
) -> Refusal:
    """What an error code means, of WANIPv6FirewallControl if `pinhole`, else of the connection services;
    `description` is the router's own text, which is kept where the number says nothing. `from_http`: the
    router gave no code, only this HTTP status."""
    if from_http:
        said = f" ({description})" if description else ""
        meaning = f"The router's UPnP answered with HTTP status {code}{said} instead of a UPnP answer."
        advice = _PERMISSION if code in (401, 403) else _BUG
        return Refusal(code=code, name=f"HTTP {code}", meaning=meaning, advice=advice, http=True)
    said = f" It says: {description}." if description else ""
    meaning = f"The router refused with UPnP error {code}, which no standard names.{said}"
    return _refusal(UPNP_PINHOLE if pinhole else UPNP_MAPPING, code, f"error {code}", meaning, _BY_HAND)


def pcp_refusal(code: int) -> Refusal:
    """What a result code other than 0 means."""
    meaning = f"The router refused with PCP result {code}, which RFC 6887 does not name."
    return _refusal(PCP, code, f"result {code}", meaning, _OTHERWISE)


def natpmp_refusal(code: int) -> Refusal:
    """What a result code other than 0 means."""
    meaning = f"The router refused with NAT-PMP result {code}, which RFC 6886 does not name."
    return _refusal(NAT_PMP, code, f"result {code}", meaning, _OTHERWISE)


def _refusal(table: Texts, code: int, *unknown: str) -> Refusal:
    name, meaning, advice = table.get(code) or unknown
    return Refusal(code=code, name=name, meaning=meaning, advice=advice)
