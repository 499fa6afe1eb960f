"""`--debug` and NATTOOLS_LOG: what nattools does and what goes wrong inside, on standard error.

For people who look for a fault; nothing else reads it, and its form may change. No secret is logged.
"""

from __future__ import annotations

import os
import sys

VARIABLE = "NATTOOLS_LOG"
LEVELS = ("debug", "info", "warning", "error")


def start_from_environment() -> None:
    """Log as the environment says, if it does. UsageError: there is no such level."""
    wanted = os.environ.get(VARIABLE, "").strip().lower()
    if wanted:
        start_debug_log(wanted)


def start_debug_log(level: str) -> None:
    """Log from this level on, once."""
    import logging

    from nattools.errors import UsageError
    from nattools.report.safetext import safe

    if level not in LEVELS:
        raise UsageError(f"{VARIABLE}={level[:20]}: must be one of {', '.join(LEVELS)}")

    class Safe(logging.Formatter):
        """What peers and routers said is in the records: it must not steer the terminal."""

        def format(self, record: logging.LogRecord) -> str:
            return "\n".join(safe(line) for line in super().format(record).splitlines())

    logger = logging.getLogger("nattools")
    logger.setLevel(level.upper())
    if not logger.handlers and sys.stderr is not None:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Safe("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
