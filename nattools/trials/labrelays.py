"""The relays of a lab, as what a punch uses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nattools.lab.backend import Lab
from nattools.trials.labsearches import relays_of_lab

if TYPE_CHECKING:
    from nattools.engine.relaysearch import RelaySearch
    from nattools.net.web.serverstream import Security
    from nattools.traversal.relayaccess import AnyAccess


def accesses_of_lab(lab: Lab, named: Iterable[AnyAccess] = ()) -> tuple[AnyAccess, ...]:
    """By which the hosts of a scenario use these relays of it, whose certificates no authority vouches for.
    Without any that are `named`: all those that its hosts have credentials for, and its DERP servers. Relays
    that a mailbox offers are none of them."""
    found = relays_of_lab(lab)
    if found is None:
        return tuple(named)
    from nattools.traversal.relayaccess import DerpAccess, ways_to

    nodes = {node.uri: node for node in found.derp}
    chosen = tuple(named) or (
        *(way for uri in found.turn if found.user is not None for way in ways_to(uri, found.user)),
        *(DerpAccess(node) for node in found.derp),
    )
    return tuple(
        DerpAccess(nodes.get(each.text, each.node)) if isinstance(each, DerpAccess) else _known(each, found)
        for each in chosen
    )


def _known(access: AnyAccess, found: RelaySearch) -> AnyAccess:
    """With the scenario's credentials, unless there are others, and with its certificate."""
    from nattools.traversal.relayaccess import TurnAccess

    if not isinstance(access, TurnAccess):
        return access
    security = _security(access.uri.host, found.pinned) if access.uri.secure else None
    return access._replace(credentials=access.credentials or found.user, security=security)


def _security(host: str, pinned: dict[str, str]) -> Security | None:
    from nattools.net.web.serverstream import Security

    return Security(host, pinned[host]) if host in pinned else None
