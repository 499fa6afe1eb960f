"""What stands for a terminal: it says that it is one."""

from __future__ import annotations

import io


class Terminal(io.StringIO):
    """Text that was written to a terminal, or is typed at one."""

    def isatty(self) -> bool:
        """It is."""
        return True
