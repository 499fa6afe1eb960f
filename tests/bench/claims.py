"""What a bench claims: a figure of ours beside another program's, and a target that it meets or misses.

Claims are in pytest-benchmark's JSON, `extra_info["claims"]`, a list of tables with `figure`, `ours`, `peer`,
`target` (texts with their units), `ratio` (ours to the peer's, or null), `met` (null: there was nothing to
compare with) and `note`. `summary.py` prints them. A target missed fails nothing: the machine may be busy. A
wrong answer or a crash does.
"""

from __future__ import annotations

from typing import Any


def claim(
    benchmark: Any,
    figure: str,
    *,
    ours: str,
    target: str,
    met: bool | None,
    peer: str = "",
    ratio: float | None = None,
    note: str = "",
) -> None:
    """Add a claim to what a bench reports."""
    benchmark.extra_info.setdefault("claims", []).append(
        {
            "figure": figure,
            "ours": ours,
            "peer": peer,
            "ratio": ratio,
            "target": target,
            "met": met,
            "note": note,
        }
    )
