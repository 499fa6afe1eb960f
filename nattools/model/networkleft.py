"""That this machine left the network that it was measured in."""

from __future__ import annotations

from nattools.model.endpoint import Family
from nattools.model.observed import Observation


class NetworkLeft(Observation, frozen=True, kw_only=True, tag="network-left"):
    """`address`, from which this machine was measured, was no longer its own, or no route led from it any
    more: a cable out, another Wi-Fi, a suspended machine. What has been silent since then says nothing of the
    network."""

    family: Family
    address: str
