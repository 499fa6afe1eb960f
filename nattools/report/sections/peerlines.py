"""What was asked of libp2p peers, as sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nattools.model.endpoint import host_of
from nattools.model.peertrial import (
    DialAsked,
    NameAsked,
    PeerVisit,
    QuicAsked,
    ReservationAsked,
    UpgradeTried,
)
from nattools.wording.terms import number, seconds


def _visit(o: PeerVisit) -> str:
    text = f"libp2p: {o.local or 'from here'} to {o.address}"
    if o.outcome != "connected":
        stage = f" at {o.stage}" if o.stage else ""
        return f"{text}: {o.outcome}{stage}" + (f" ({o.detail})" if o.detail else "")
    text += ", from a port that listens too" if o.listening else ""
    if not o.identified:
        return f"{text}: connected, and it does not say who it is"
    ping = "" if o.rtt_s is None else f", ping {seconds(o.rtt_s)}"
    return f"{text}: {o.agent or 'no name'}, sees us as {o.observed or '?'}{ping}"


def _name(o: NameAsked) -> str:
    asked = f"{number(len(o.asked))} name{'' if len(o.asked) == 1 else 's'} asked"
    refused = f", {number(o.refused)} refused" if o.refused else ""
    found = ", ".join(o.found) or f"no address ({o.detail})"
    return f"libp2p: {o.address}, {asked}{refused}: {found}"


def _dial(o: DialAsked) -> str:
    text = f"libp2p: {o.server} asked to dial {o.asked}"
    paid = f", for {number(o.paid)} bytes" if o.paid else ""
    if o.outcome != "answered":
        return f"{text}{paid}: {o.outcome}"
    came = f"it came from {o.origin}" if o.origin else "nothing came"
    known = ", which the port had sent to" if o.origin and host_of(o.origin) in o.written_to else ""
    return f"{text}{paid}: {o.status}, {o.dial} after {seconds(o.took_s)}; {came}{known}"


def _reservation(o: ReservationAsked) -> str:
    text = f"libp2p: a reservation at {o.relay}: {o.status or o.outcome}"
    if o.carried is None:
        return text
    trip = "" if o.rtt_s is None else f", there and back in {seconds(o.rtt_s)}"
    return f"{text}, and a connection through it {'was made' if o.carried else 'was not made'}{trip}"


def _quic(o: QuicAsked) -> str:
    answer = f"versions {', '.join(o.versions)}" if o.answered else "silent"
    return f"QUIC: {o.remote} asked for its versions, {number(o.sent)} sent: {answer}"


def _upgrade(o: UpgradeTried) -> str:
    whom = f"{o.peer} called" if o.role == "caller" else f"called by {o.peer}"
    text = f"libp2p: {whom} through {o.relay}: {o.relayed}"
    if o.end is None:
        return text
    tries = f", {number(o.attempts)} attempts" if o.attempts else ""
    return f"{text}; upgrade: {o.end}{tries} after {seconds(o.took_s)}" + (
        f", direct to {o.remote}" if o.remote else ""
    )


LINES: dict[type, Callable[[Any], str]] = {
    PeerVisit: _visit,
    NameAsked: _name,
    DialAsked: _dial,
    ReservationAsked: _reservation,
    QuicAsked: _quic,
    UpgradeTried: _upgrade,
}
