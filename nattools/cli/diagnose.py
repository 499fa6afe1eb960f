"""`nattools diagnose`."""

from __future__ import annotations

from nattools.cli.measuring import measuring_command

command = measuring_command(
    "diagnose", "Run every check that can run here: can this machine be reached, by which way, what to do."
)
