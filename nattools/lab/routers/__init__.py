"""Routers that make port mappings, correctly or with the faults that real ones have.

They run over any `net.base.Network`, the simulator's included.
"""

from nattools.lab.routers.fakerouter import FakeRouter, start_router
from nattools.lab.routers.routerbehaviour import RouterBehaviour

__all__ = ["FakeRouter", "RouterBehaviour", "start_router"]
