"""What both ways of running `nattools punch` share, on this machine and in a lab: what the engine is asked
for, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nattools.cli.app import INTERRUPTED
from nattools.cli.punchoptions import MailboxWish, PunchWish
from nattools.engine.options import MeasureOptions
from nattools.engine.punch.options import PunchOptions
from nattools.model.report import Report

if TYPE_CHECKING:
    from nattools.traversal.rendezvous import MailboxAddress


class Done(NamedTuple):
    """What came of it. `told`: was it told of while it went on? `problem`: what went wrong with the use of
    the connection."""

    report: Report
    told: bool
    problem: str = ""
    interrupted: bool = False

    @property
    def code(self) -> int:
        """The exit code."""
        if self.interrupted:
            return INTERRUPTED
        connected = self.report.punch is not None and self.report.punch.connected
        return 0 if connected and not self.problem else 1


def engine_options(wish: PunchWish, measuring: MeasureOptions) -> PunchOptions:
    """What the engine is asked for."""
    return PunchOptions(
        measuring=measuring,
        code=wish.code,
        mailbox=None if wish.mailbox is None else _address(wish.mailbox),
        manual=wish.manual,
        wait_s=wish.wait_s,
        ask_router=wish.ask_router,
        udp=wish.udp,
        tcp=wish.tcp,
        low_ports=None if wish.low_ports else False,
    )


def _address(wish: MailboxWish) -> MailboxAddress:
    from nattools.traversal.rendezvous import MailboxAddress

    if not wish.secure:
        return MailboxAddress(wish.host, wish.port)
    from nattools.net.tls import client_context

    return MailboxAddress(wish.host, wish.port, client_context())
