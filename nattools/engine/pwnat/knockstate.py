"""The state of a listener or a caller, and its report."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import asdict, replace

from nattools.engine.punch.state import PunchState
from nattools.engine.pwnat.caller import KnockCaller
from nattools.engine.pwnat.knockoptions import PwnatCounts
from nattools.engine.pwnat.listener import KnockListener
from nattools.model.pwnat import Pwnat, PwnatRole
from nattools.model.report import Report
from nattools.model.statement import Statement, statement
from nattools.protocols.pwnat.outside import Outside
from nattools.traversal.path import SelectedPath


@dataclass(slots=True)
class PwnatState(PunchState):
    """That of a punch, told in another way. `side`: the listener or the caller, once there is one."""

    role: PwnatRole = "listener"
    counts: PwnatCounts = field(default_factory=PwnatCounts)
    side: KnockListener | KnockCaller | None = None
    outside: Outside | None = None

    def tell_outside(self, outside: Outside) -> None:
        """The listener's outside port was read from quoted checksums, or has changed."""
        again = self.outside is not None
        self.outside = outside
        how = statement(f"pwnat-ports-{outside.ports.moves.replace(' ', '-')}", step=outside.ports.step)
        self.timeline.note("beacon", statement("pwnat-port-changed" if again else "pwnat-port-read"), how)

    def report(self) -> Report:
        """The report so far."""
        found = PunchState.report(self)
        peer = None if self.side is None else self.side.peer
        assert found.punch is not None
        pwnat = Pwnat(
            **asdict(found.punch),
            role=self.role,
            peer=None if peer is None else str(peer),
            beacons_sent=self.counts.beacons,
            knocks_sent=self.counts.knocks,
            errors_seen=self.counts.errors,
            refused=self.counts.refused,
            port_read=None if self.outside is None else self.outside.ports.moves,
        )
        return replace(found, command="pwnat", punch=None, pwnat=pwnat)

    def _reasons(self, path: SelectedPath) -> tuple[Statement, ...]:
        return (statement("by-knock"),)
