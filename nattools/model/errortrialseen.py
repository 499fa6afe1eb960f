"""What was seen of ICMP errors that were not true: how this side's routers treat them."""

from __future__ import annotations

from typing import Literal

from nattools.model.endpoint import Family
from nattools.model.observed import Observation


class ErrorTrial(Observation, frozen=True, kw_only=True, tag="error-trial"):
    """A Time Exceeded that somebody crafted: "in", the server `asked` made it, about what the port `local`
    had sent, to nobody (`quotes` "beacon") or to that server; "out", this machine made it, about a beacon
    that the server might have sent. `mapped`: this side's port as the server sees it, or for `read` the one
    towards nobody, as quoted checksums tell it. `sent`: how many.

    `outcome`: "arrived", from `source` as the receiver saw it; "missing"; "denied", by the server; "error":
    it was not sent, or the server did not tell, as `detail` says. `echoed`: of "out", was an echo request to
    the server answered (None: not tried)?"""

    family: Family
    asked: str
    direction: Literal["in", "out"]
    quotes: Literal["beacon", "server"] = "beacon"
    local: str | None = None
    mapped: str | None = None
    read: bool = False
    sent: int = 0
    outcome: Literal["arrived", "missing", "denied", "error"]
    source: str | None = None
    echoed: bool | None = None
    detail: str = ""
