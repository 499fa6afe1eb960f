"""What only some commands ask for: each area is analysed once, by modules that are imported with it."""

from __future__ import annotations

from functools import cached_property

from nattools.engine.analysis.findings import Findings
from nattools.model.ipv6 import Ipv6
from nattools.model.lan import Lan
from nattools.model.lanseen import LanLink
from nattools.model.libp2p import Libp2p
from nattools.model.pwnat import Pwnat
from nattools.model.tailscale import Tailscale


class AreaFindings(Findings, frozen=True, dict=True):
    """The findings, and those of each area that the measurement is about."""

    @cached_property
    def ipv6(self) -> Ipv6 | None:
        """None: the report is of a version that did not look."""
        if self.measurement.host.ipv6 is None:
            return None
        from nattools.engine.analysis.ipv6.ipv6 import ipv6

        return ipv6(self)

    @cached_property
    def lan(self) -> Lan | None:
        """None: nobody looked at the local network."""
        if not self.seen(LanLink):
            return None
        from nattools.engine.analysis.lan.lanfindings import lan

        return lan(self)

    @cached_property
    def libp2p(self) -> Libp2p | None:
        """None: the command was about something else."""
        if self.measurement.command not in ("diagnose", "libp2p"):
            return None
        from nattools.engine.analysis.libp2p.libp2p import libp2p

        return libp2p(self)

    @cached_property
    def pwnat(self) -> Pwnat | None:
        """What `nattools pwnat test` has found; None: another command measured."""
        if self.measurement.command != "pwnat":
            return None
        from nattools.engine.analysis.verdicts.pwnatverdicts import tested

        return tested(self)

    @cached_property
    def tailscale(self) -> Tailscale | None:
        """None: the command asked nothing that would tell."""
        if self.measurement.command not in ("diagnose", "tailscale"):
            return None
        from nattools.engine.analysis.overlays.tailnetfindings import tailscale

        return tailscale(self)
