"""Routers that make port mappings, rightly or with the faults that real ones have.

They run over any `net.base.Network`, so that the simulator can have them; a client must not fall for them.
"""

from nattools.lab.routers.behaviour import RouterBehaviour
from nattools.lab.routers.fakerouter import FakeRouter, start_router

__all__ = ["FakeRouter", "RouterBehaviour", "start_router"]
