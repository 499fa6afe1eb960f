"""Where a measurement ended to which nothing outside answered."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.statement import Reason

EndingStep = Literal["link", "address", "route", "dns", "firewall", "portal", "answer"]


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The first step that failed on the way to an answer: `link` (no interface is connected), `address` (none
    has an address), `route` (no way leads to the internet, or to any server that was named), `dns` (no
    server's name can be looked up), `firewall` (this machine's own lets nothing out), `portal` (a captive
    portal answers in others' names) or `answer` (all that was sent got no answer: everything is blocked, or
    no server runs).

    `why`, the text of `reason`, says what was asked and how it failed.
    """

    step: EndingStep
    why: str = ""
    reason: Reason = ()
