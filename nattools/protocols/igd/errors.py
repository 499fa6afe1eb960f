"""UPnP error codes, each with what it means for the user.

The general ones: UPnP Device Architecture 2, section 3.1.2. From 700 on every service counts for itself:
WANIPConnection:2, section 2.5, and WANIPv6FirewallControl:1, section 2.6, give some numbers different names.
"""

from __future__ import annotations

from nattools.model.portmapping import Refusal, RefusalRow, refusals
from nattools.protocols.igd.description import ServiceKind

INVALID_ACTION = 401
INVALID_ARGS = 402
ACTION_FAILED = 501
NOT_AUTHORIZED = 606
NO_SUCH_PINHOLE = 704
NO_TRAFFIC = 709
ARRAY_INDEX_INVALID = 713
NO_SUCH_ENTRY = 714
CONFLICT = 718
SAME_PORTS_REQUIRED = 724
ONLY_PERMANENT_LEASES = 725
NO_PORT_MAPS = 728
OTHER_MECHANISM = 729

_BY_HAND = "Forward the port by hand on the router's own pages."
_BUG = f"The router's UPnP is likely at fault: look for newer firmware. {_BY_HAND}"
_PERMISSION = "Allow this machine to use UPnP, or to open the port, on the router's own pages."
_ANOTHER_PORT = "Ask for another external port, or leave the choice to the router."
_LATER = "Ask again in a minute."
_ONLINE = "Check that the router is online, and ask again in a minute."


_GENERAL: tuple[RefusalRow, ...] = (
    (401, "Invalid Action", "The router does not know this action.", f"It is too old for it. {_BY_HAND}"),
    (
        402,
        "Invalid Args",
        "The router did not accept the request's values; many mean by it that they make permanent mappings "
        "only, or none without an end.",
        f"Try another lifetime, 0 (permanent) included, and another port. {_BY_HAND}",
    ),
    (403, "Out of Sync", "The router takes the request for one out of order.", _LATER),
    (
        501,
        "Action Failed",
        "The router tried and failed; it does not say why. Many fail so when they have no public address of "
        "their own.",
        "If the router's external address is not public, your provider runs a second NAT and mappings cannot "
        "help: ask the provider for a public IPv4 address. Otherwise restart the router.",
    ),
    (600, "Argument Value Invalid", "The router did not accept one of the values.", _ANOTHER_PORT),
    (
        601,
        "Argument Value Out of Range",
        "A value is beyond what the router allows.",
        _ANOTHER_PORT,
    ),
    (602, "Optional Action Not Implemented", "The router leaves this action out.", _BY_HAND),
    (603, "Out of Memory", "The router has no memory left.", "Restart the router."),
    (604, "Human Intervention Required", "The router wants somebody to confirm it.", _PERMISSION),
    (605, "String Argument Too Long", "A text is too long for the router.", "Give a shorter description."),
    (
        606,
        "Action Not Authorized",
        "The router does not allow that: not this port, not for this machine, or not from here.",
        f"{_PERMISSION} Many routers refuse ports below 1024.",
    ),
    (607, "Signature Failure", "The router wants requests to be signed.", _PERMISSION),
    (608, "Signature Missing", "The router wants requests to be signed.", _PERMISSION),
    (609, "Not Encrypted", "The router wants requests to be encrypted.", _PERMISSION),
    (610, "Invalid Sequence", "The router takes the request for a repeated one.", _LATER),
    (611, "Invalid Control URL", "The router does not know the address that it gave itself.", _BUG),
    (612, "No Such Session", "The router has forgotten its session with this machine.", _LATER),
)

_CONNECTION: tuple[RefusalRow, ...] = (
    (
        703,
        "InactiveConnectionStateRequired",
        "The router does that only while it is offline.",
        "Nothing to be done by a mapping: see the router's own pages.",
    ),
    (704, "ConnectionSetupFailed", "The router could not go online.", _ONLINE),
    (705, "ConnectionSetupInProgress", "The router is just going online.", _LATER),
    (706, "ConnectionNotConfigured", "The router's connection is not set up.", "Set it up on its own pages."),
    (707, "DisconnectInProgress", "The router is just going offline.", _ONLINE),
    (708, "InvalidLayer2Address", "The router's connection has a wrong link address.", "See its own pages."),
    (709, "InternetAccessDisabled", "Internet access is switched off on the router.", "Switch it on there."),
    (710, "InvalidConnectionType", "The router's connection is of another kind.", "See its own pages."),
    (711, "ConnectionAlreadyTerminated", "The router is offline already.", _ONLINE),
    (
        713,
        "SpecifiedArrayIndexInvalid",
        "The router's table of mappings has no such row: the list ends here.",
        "Nothing: that is how a list ends.",
    ),
    (714, "NoSuchEntryInArray", "There is no such mapping on the router.", "It has expired or was removed."),
    (
        715,
        "WildCardNotPermittedInSrcIP",
        "The router makes mappings only for one named remote machine each.",
        _BY_HAND,
    ),
    (716, "WildCardNotPermittedInExtPort", "The router wants a definite external port.", "Name one."),
    (
        718,
        "ConflictInMappingEntry",
        "The external port belongs to another machine on your network, or the router refuses to map it to "
        "another machine than the one that asks.",
        _ANOTHER_PORT,
    ),
    (
        724,
        "SamePortValuesRequired",
        "On this router the internal and the external port must be the same.",
        "Ask for an external port that equals the internal one.",
    ),
    (
        725,
        "OnlyPermanentLeasesSupported",
        "The router makes permanent mappings only.",
        "Ask for lifetime 0. It stays until it is deleted: nattools map delete --mine.",
    ),
    (
        726,
        "RemoteHostOnlySupportsWildcard",
        "The router cannot restrict a mapping to one remote machine.",
        "Ask for a mapping that is open to all.",
    ),
    (
        727,
        "ExternalPortOnlySupportsWildcard",
        "The router can forward only all ports at once.",
        f"That would expose the whole machine: do not. {_BY_HAND}",
    ),
    (
        728,
        "NoPortMapsAvailable",
        "The router has no room or no free port for another mapping.",
        "Remove mappings that nobody needs (nattools map list), or restart the router.",
    ),
    (
        729,
        "ConflictWithOtherMechanisms",
        "The external port is in use by other means: a forwarding made by hand, NAT-PMP or PCP, or a service "
        "of the router itself.",
        _ANOTHER_PORT,
    ),
    (
        730,
        "PortMappingNotFound",
        "There are no such mappings on the router.",
        "They have expired or were removed.",
    ),
    (731, "ReadOnly", "The router lets nobody change that.", "See the router's own pages."),
    (732, "WildCardNotPermittedInIntPort", "The router wants a definite internal port.", "Name one."),
    (733, "InconsistentParameters", "The request's values contradict one another.", _BUG),
)

_PINHOLE: tuple[RefusalRow, ...] = (
    (
        701,
        "PinholeSpaceExhausted",
        "The router has no room for another IPv6 pinhole.",
        "Remove pinholes that nobody needs, or ask again when some have expired.",
    ),
    (
        702,
        "FirewallDisabled",
        "The router does not filter IPv6: there is nothing to open.",
        "Nothing: this machine should be reachable over IPv6 as it is, if its own firewall lets packets in.",
    ),
    (
        703,
        "InboundPinholeNotAllowed",
        "The router does not let machines open its IPv6 firewall.",
        "Allow it, or open the port for this machine, on the router's own pages.",
    ),
    (704, "NoSuchEntry", "There is no such pinhole on the router.", "It has expired or was removed."),
    (
        705,
        "ProtocolNotSupported",
        "The router has no pinholes for this protocol.",
        "Use UDP or TCP.",
    ),
    (706, "InternalPortWildcardingNotAllowed", "The router wants a definite internal port.", "Name one."),
    (707, "ProtocolWildcardingNotAllowed", "The router wants a definite protocol.", "Name UDP or TCP."),
    (
        708,
        "WildCardNotPermittedInSrcIP",
        "The router wants the machine named that the pinhole is for.",
        "Name one address.",
    ),
    (
        709,
        "NoTrafficReceived",
        "No packet has come through the pinhole yet, so the router cannot tell whether it works.",
        "Let somebody outside send to it, and ask again.",
    ),
)


CONNECTION_REFUSALS = refusals((*_GENERAL, *_CONNECTION))
PINHOLE_REFUSALS = refusals((*_GENERAL, *_PINHOLE))


def refusal(code: int, kind: ServiceKind, description: str = "", *, from_http: bool = False) -> Refusal:
    """What an error code means to a service; `description` is the router's own word for it, which is kept
    where the number says nothing. `from_http`: the router gave no code, only this HTTP status."""
    if from_http:
        return _http_refusal(code, description)
    table = PINHOLE_REFUSALS if kind == "WANIPv6FirewallControl" else CONNECTION_REFUSALS
    known = table.get(code)
    if known is not None:
        return known
    said = f" It says: {description}." if description else ""
    return Refusal(
        code=code,
        name=f"error {code}",
        meaning=f"The router refused with UPnP error {code}, which no standard names.{said}",
        advice=_BY_HAND,
    )


def _http_refusal(status: int, description: str) -> Refusal:
    said = f" ({description})" if description else ""
    advice = _PERMISSION if status in (401, 403) else _BUG
    return Refusal(
        code=status,
        name=f"HTTP {status}",
        meaning=f"The router answered with HTTP status {status}{said} and gave no UPnP error code.",
        advice=advice,
    )
