"""The libp2p peers of a lab, as whom to ask."""

from __future__ import annotations

from nattools.engine.peersearch import PeerSearch
from nattools.lab.backend import Lab
from nattools.lab.labpeers import peers_of


def peers_of_lab(lab: Lab) -> PeerSearch | None:
    """None: its scenario has none."""
    found = peers_of(lab.scenario, lab.layout)
    return PeerSearch(found) if found else None
