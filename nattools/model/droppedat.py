"""Who stops what comes from outside."""

from __future__ import annotations

from typing import Literal

DroppedAt = Literal["host", "router", "beyond", "unknown"]
"""This machine's own firewall, the next router, somebody beyond."""
