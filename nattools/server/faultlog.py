"""What goes wrong in a server's callbacks and tasks: one line, and few of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from nattools.net.system.oserrors import describe
from nattools.server.limits import TokenBucket

logger = logging.getLogger(__name__)

_RATE: Final = 0.1
_BURST: Final = 5


class FaultLog:
    """An event loop's exception handler: `tell` gets a line. The traceback is logged as debugging."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._bucket = TokenBucket(_RATE, _BURST)
        self._untold = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not self._bucket.take(loop.time()):
            self._untold += 1
            return
        logger.debug("%s", context.get("message"), exc_info=error)
        more = f" (and {self._untold} faults before that were not told)" if self._untold else ""
        self._untold = 0
        self._tell(f"{_sentence(context, error)}{more}")


def _sentence(context: dict[str, Any], error: BaseException | None) -> str:
    what = str(context.get("message") or "a fault in the event loop")
    if isinstance(error, OSError):
        if "accept" in what:
            what = "a connection cannot be accepted, and the next is tried in a second"
        return f"{what}: {describe(error)}"
    return what if error is None else f"{what}: {type(error).__name__}: {error}"
