"""The tailnets of a lab, as what is to be looked at."""

from __future__ import annotations

from nattools.engine.tailnetsearch import TailnetAsk, TailnetSearch
from nattools.lab.backend import Lab
from nattools.lab.labtailnet import tailnet_of
from nattools.model.controlurl import parse_control


def tailnets_of_lab(lab: Lab) -> TailnetSearch:
    """One for each control server of its scenario, or one for the map alone; all have the same map."""
    found = tailnet_of(lab.scenario, lab.layout)
    asks = [
        TailnetAsk(name=control.host, control=control, regions=found.map)
        for control in map(parse_control, found.controls)
    ]
    if not asks and found.map is not None:
        asks = [TailnetAsk(name="lab", regions=found.map)]
    return TailnetSearch(tailnets=tuple(asks), pinned=found.pinned)
