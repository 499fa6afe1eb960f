"""What listener and caller have in common once the caller has named a session: a secret, credentials for the
checks that then go both ways, and the plan where the caller's NAT gives each destination another port."""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import Final, Literal

from msgspec import structs

from nattools.engine.punch.signaling import PeerConversation
from nattools.model.nat import Nat
from nattools.model.statement import Statement, statement
from nattools.protocols.ice import Credentials
from nattools.protocols.pwnat.knock import CallerNat
from nattools.protocols.pwnat.outside import ListenerPorts
from nattools.protocols.pwnat.secret import SharedKeys
from nattools.traversal.plan.side import Side, side_of
from nattools.traversal.plan.steps import Step
from nattools.traversal.plan.udpstrategies import udp_steps

ORIGINAL_SESSION: Final = b"the original"
"""The only one that there is where nothing can be said in an error."""
PLAN_TIMES: Final = 2
"""A plan is gone through so often, on both sides: what is drawn is drawn anew. Knocks count its steps on."""
KEPT: Final = ListenerPorts()
Part = Literal["listener", "caller"]
LISTENER: Final = Side(moves="not", accepts="port")
"""What a knock could reach is an outside port that the listener's peers all see: of its filter the strictest
is taken."""


class KnockSession(PeerConversation):
    """`name` None: no caller has come yet. `attempt`: of how many connections of this session it is."""

    def __init__(self, keys: SharedKeys, name: bytes | None = None) -> None:
        super().__init__(b"" if name is None else keys.session(name))
        self.name = name
        self._keys = keys

    @property
    def apart(self) -> Statement:
        return statement("pwnat-apart")

    def begin(self, name: bytes) -> None:
        """This caller's, from now on."""
        self.name = name
        self.secret = self._keys.session(name)

    def leave(self) -> None:
        """It was some caller's, who is gone."""
        self.name = None
        self.attempt = self.heard_of = 0

    def credentials(self, part: Part) -> Credentials:
        """ICE's, of one of the two (RFC 8445 5.3): who knows them knows the secret."""
        digest = hmac.digest(self.secret, b"checks of the " + part.encode(), "sha256")
        text = b64encode(digest).decode().rstrip("=")
        return Credentials(text[:8], text[8:40])


def planned(nat: CallerNat, listener: ListenerPorts = KEPT, measured: Nat | None = None) -> tuple[Step, ...]:
    """The steps, as both sides draw them from the knock; none where both NATs give every destination the same
    port, or nothing practical is known. The listener is the first of each pair. `measured`: the caller's own
    NAT, which tells it how far that is."""
    told = nat.as_measured()
    if measured is not None:
        told = structs.replace(told, distance_hops=measured.distance_hops)
    caller = side_of(told, low_ports=nat.low_ports)
    if caller is None or caller.moves == listener.moves == "not":
        return ()
    first = structs.replace(LISTENER, moves=listener.moves, step=listener.step)
    return tuple(udp_steps(first, caller, ("its", "our") if measured is not None else ("our", "its")))
