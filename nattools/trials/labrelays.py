"""The relays of a lab, as what is to be tried."""

from __future__ import annotations

from nattools.engine.relaysearch import RelaySearch, read_user
from nattools.lab.backend import Lab
from nattools.lab.labrelay import relays_of


def relays_of_lab(lab: Lab) -> RelaySearch | None:
    """None: its scenario has none."""
    found = relays_of(lab.scenario, lab.layout)
    if found is None:
        return None
    user = read_user(found.user) if found.user else None
    return RelaySearch(turn=found.turn, derp=found.derp, pinned=found.pinned, user=user)
