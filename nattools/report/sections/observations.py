"""Observations as sentences: what was sent and what was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nattools.model import mappingseen
from nattools.model import observation as seen
from nattools.model.errortrialseen import ErrorTrial
from nattools.model.ipv6trial import InboundCheck, MtuTrial, SourceTrial
from nattools.model.networkleft import NetworkLeft
from nattools.model.packetform import FormTrial
from nattools.model.portmapping import Refusal
from nattools.model.quotedchecksumseen import QuotedAs, QuotedChecksum
from nattools.model.relaytrial import RelayTrial
from nattools.model.report import Report
from nattools.report.document import Cell, Section, Table, View
from nattools.report.safetext import safe
from nattools.report.sections import lanlines, peerlines, tailnetlines
from nattools.wording.terms import number, seconds

PURPOSES: dict[seen.Purpose, str] = {
    "reach": "does it answer",
    "mapping": "mapping",
    "filter-address": "filtering, from another address",
    "filter-port": "filtering, from another port",
    "control": "control beside a filtering test",
    "allocation": "port allocation",
    "ports": "is this port open",
    "round-trip": "how long is a round trip",
}


def observations(report: Report, view: View) -> list[Section]:
    """All that was sent and seen."""
    rows = tuple(
        (Cell(f"#{one.id}"), Cell(f"{one.at_s:.3f}" if abs(one.at_s) < 1e6 else "?"), Cell(describe(one)))
        for one in report.observations
    )
    if not rows:
        return []
    table = Table(("observation", "at s", "what was sent and seen"), rows, (0, 0, 1))
    return [Section("Observations", (table,), collapsed=True)]


def describe(observation: seen.AnyObservation) -> str:
    """One line about any observation, safe to print."""
    return safe(_WORDS[type(observation)](observation))


def _binding(o: seen.Binding) -> str:
    changes = [name for name, asked in (("address", o.change_address), ("port", o.change_port)) if asked]
    ask = f", asking for another {' and '.join(changes)}" if changes else ""
    text = f"{PURPOSES[o.purpose]}: {o.transport} {o.local or '?'} to {o.asked}{ask}: "
    if o.outcome != "answered":
        after = f" after {seconds(o.waited_s)}" if o.waited_s else ""
        return text + f"{o.outcome}{after}, {number(o.sent)} sent{_detail(o.detail)}"
    text += f"seen as {o.mapped or '?'}"
    if o.source and o.source != o.asked:
        text += f", answered by {o.source}"
    if o.rtt_s is not None:
        text += f", {seconds(o.rtt_s)}"
    if o.error_code is not None:
        text += f", error {number(o.error_code)}"
    return text + f", {number(o.received)} of {number(o.sent)} answered{_detail(o.detail)}"


def _hairpin(o: seen.Hairpin) -> str:
    came = f", arrived as from {o.source}" if o.source else ""
    return f"hairpin: {o.transport} {o.local} to {o.target}: {number(o.received)} of {number(o.sent)}{came}"


def _idle(o: seen.Idle) -> str:
    state = {True: "still alive", False: "gone", None: "could not tell"}[o.alive]
    kept = "" if o.refreshed_by == "nothing" else f", with {o.refreshed_by} traffic meanwhile"
    return f"lifetime: {o.transport} {o.local} as {o.mapped} idle for {seconds(o.idle_s)}{kept}: {state}"


def _hop(o: seen.Hop) -> str:
    rtt = f", {seconds(o.rtt_s)}" if o.rtt_s is not None else ""
    return f"path to {o.destination}: hop {number(o.ttl)} is {o.address or 'silent'}{rtt}"


def _opener(o: seen.Opener) -> str:
    state = {True: "its answer got in", False: "its answer did not get in", None: "could not tell"}[o.opened]
    return f"opener: {o.local} to {o.towards} with TTL {number(o.ttl)}: {state}"


def _dial_back(o: seen.DialBack) -> str:
    fresh = "" if o.fresh else " (had been written to before)"
    text = f"dial-back: {o.transport} from {o.origin}{fresh} to {o.target}: {o.outcome}"
    card = "" if o.outcome == "arrived" else _CARD[o.reached_card]
    return f"{text}{card}{_detail(o.detail)}"


_CARD = {True: ", came to the interface", False: ", did not come to the interface", None: ""}


def _punch_trial(o: seen.PunchTrial) -> str:
    text = f"punch: {o.transport} {o.local or '?'} to {o.towards}"
    if o.ttl is not None:
        text += f" with TTL {number(o.ttl)}"
    if o.aimed:
        text += f", which sent to port {', '.join(str(port) for port in o.aimed)}"
    after = f" after {seconds(o.took_s)}" if o.took_s else ""
    text += f": {o.outcome}{after}, {number(o.openers)} and {number(o.sent)} sent"
    return text + _answered(o) + _detail(o.detail)


def _answered(o: seen.PunchTrial | seen.BirthdayTrial) -> str:
    if not o.answered:
        return ""
    return f", then answered to {o.seen}" if o.seen else ", then answered"


def _birthday_trial(o: seen.BirthdayTrial) -> str:
    text = f"birthday: udp from {number(o.sockets)} ports to {o.towards}"
    if o.ttl is not None:
        text += f" with TTL {number(o.ttl)}"
    text += f", which sent {number(o.sent)} of up to {number(o.planned)} packets"
    text += f" to ports {o.pool[0]} to {o.pool[1]}"
    after = f" after {seconds(o.took_s)}" if o.took_s else ""
    text += f": {o.outcome}{after}"
    if o.hit is not None:
        text += f", port {o.hit} as {o.local or '?'}"
    text += _answered(o)
    if o.checked:
        text += (
            f", {number(o.open)} of {number(o.checked)} ports were told, {number(o.entered)} of them let in"
        )
    return text + _detail(o.detail)


def _connection(o: seen.Connection) -> str:
    rtt = f", {seconds(o.rtt_s)}" if o.rtt_s is not None else ""
    return f"connect: tcp {o.local or '?'} to {o.remote}: {o.outcome}{rtt}{_detail(o.detail)}"


def _resolution(o: seen.Resolution) -> str:
    return f"name {o.name}: {', '.join(o.addresses) or o.error or 'no address'}"


def _nat64(o: seen.Nat64) -> str:
    state = {True: "a server answered through it", False: "no answer", None: "not tried"}[o.works]
    return f"NAT64 {o.prefix}, learnt by {o.learnt}: {state}{', used' if o.used else ''}"


def _portal(o: seen.Portal) -> str:
    answered = "something that is not HTTP" if o.status is None else f"HTTP {number(o.status)}"
    return f"captive portal: {o.asked} answered {answered}" + (f", to {o.location}" if o.location else "")


def _second_opinion(o: seen.SecondOpinion) -> str:
    return f"{o.tool} {o.version} says: {o.says} ({seconds(o.duration_s)}){_detail(o.detail)}"


def _gap(o: seen.Gap) -> str:
    server = f" ({o.server})" if o.server else ""
    return f"not asked: {o.question}: {o.reason}{server}; {o.settle}"


_OFFERS: dict[str, str] = {
    "answered": "supported",
    "refused": "refused",
    "timeout": "no answer",
    "unreachable": "unreachable",
    "malformed": "an invalid answer",
    "not asked": "not asked",
}


def _offer(o: mappingseen.MapOffer) -> str:
    version = f" {o.version}" if o.version else ""
    text = f"router: {o.protocol}{version} at {o.server}, from {o.local}: {_OFFERS[o.outcome]}"
    if o.external:
        text += f", calls {o.external} its external address"
    if o.connected is False:
        text += ", says that it is offline"
    if o.rtt_s is not None:
        text += f", {seconds(o.rtt_s)}"
    return text + _refused(o.refusal) + _quirks(o.quirks) + _detail(o.detail)


def _attempt(o: mappingseen.MapAttempt) -> str:
    port = "" if o.wanted_port is None else f" as port {number(o.wanted_port)}"
    text = f"{o.protocol}: {o.action} {o.transport} {o.internal}{port}: {o.outcome}"
    if o.external:
        text += f" {o.external}"
    if o.outcome in ("granted", "found"):
        text += " until deleted" if o.lifetime_s is None else f" for {seconds(o.lifetime_s)}"
    return text + f", {seconds(o.took_s)}" + _refused(o.refusal) + _quirks(o.quirks) + _detail(o.detail)


def _check(o: mappingseen.MapCheck) -> str:
    by = f" from {o.origin}" if o.origin else ""
    tried = f"{number(o.sent)} sent" if o.transport == "udp" else f"{number(o.sent)} tries"
    return (
        f"{o.protocol}: from outside {o.transport}{by} to {o.target}, behind it {o.internal}: {o.outcome}, "
        f"{tried}, {seconds(o.waited_s)}{_CARD[o.reached_card]}{_OPENED[o.opened_here]}{_detail(o.detail)}"
    )


_OPENED = {
    True: ", but got in once this machine's own firewall was opened for it",
    False: ", also once this machine's own firewall was opened for it",
    None: "",
}


def _entry(o: mappingseen.MapEntry) -> str:
    state = "" if o.enabled else ", switched off"
    life = "until deleted" if o.lifetime_s is None else f"for {seconds(o.lifetime_s)}"
    name = f" {o.description!r}" if o.description else ""
    ours = ", ours" if o.ours else ""
    row = f"{o.transport} {o.external_port} to {o.internal} {life}{name}{state}{ours}"
    return f"{o.protocol}: the router has {row}"


def _table(o: mappingseen.MapTable) -> str:
    text = f"{o.protocol}: table of mappings, rows read: {number(o.rows)}"
    return text + _refused(o.refusal) + _detail(o.incomplete)


def _relay_trial(o: RelayTrial) -> str:
    text = f"relay: {o.relay} {o.uri} over {o.transport}"
    if o.steps:
        last = o.steps[-1]
        text += f": as far as {last.step}, {'done' if last.ok else 'which failed'}"
    if o.sent:
        text += f", {number(len(o.trips_s))} of {number(o.sent)} came back through it"
    if o.direct_sent:
        text += f", {number(len(o.direct_s))} of {number(o.direct_sent)} without it"
    failure = o.failure
    code = "" if failure is None or failure.code is None else f" {number(failure.code)}"
    return text if failure is None else f"{text}: {failure.cause}{code}{_detail(failure.detail)}"


def _inbound(o: InboundCheck) -> str:
    text = f"inbound: {o.transport} from {o.origin or '?'} to {o.target}: {o.outcome}"
    text += f", as {o.offender} said" if o.offender else ""
    stopped = o.outcome not in ("arrived", "denied", "error")
    return f"{text}{_CARD[o.reached_card] if stopped else ''}, {number(o.sent)} sent{_detail(o.detail)}"


def _mtu(o: MtuTrial) -> str:
    text = f"path MTU: to {o.asked}: {number(o.passed) if o.passed is not None else 'nothing'} answered"
    if o.failed is not None:
        text += f", {number(o.failed)} not{' sent by this machine itself' if o.refused_here else ''}"
    if o.told is not None or o.told_by is not None:
        text += f", {o.told_by or '?'} says {number(o.told) if o.told is not None else '?'}"
    if o.last_hop is not None:
        text += f", large ones come to {o.last_hop}"
    return f"{text}, {number(o.sent)} sent"


def _form(o: FormTrial) -> str:
    way = "to" if o.outward else "from"
    what = {"fragments": f"in fragments, {number(o.size)} bytes", "destination-options": "extension header"}
    text = f"{what.get(o.form, o.form)}: {way} {o.asked}: {o.outcome}"
    return f"{text}, {number(o.sent)} sent{_detail(o.detail)}"


def _source(o: SourceTrial) -> str:
    answered = "answered" if o.answered else "no answer"
    return f"asked {o.asked} from {o.address}: {answered}, {number(o.sent)} sent{_detail(o.detail)}"


def _refused(refusal: Refusal | None) -> str:
    return "" if refusal is None else f", {number(refusal.code)} {refusal.name}"


def _quirks(quirks: tuple[str, ...]) -> str:
    return "".join(f"; {each}" for each in quirks[:10])


def _error_trial(o: ErrorTrial) -> str:
    whose = f"from {o.asked}, about" if o.direction == "in" else f"to {o.asked}, about"
    what = "a beacon" if o.quotes == "beacon" else "what was sent there"
    what += f" at the port that was read, {o.mapped}" if o.read else ""
    came = f", as from {o.source}" if o.source else ""
    echoed = {True: "; echo requests are answered", False: "; nor are echo requests answered", None: ""}[
        o.echoed
    ]
    text = f"crafted ICMP error {whose} {what}: {o.outcome}{came}, {number(o.sent)} sent"
    return text + (echoed if o.outcome == "missing" else "") + _detail(o.detail)


def _quoted_checksum(o: QuotedChecksum) -> str:
    where = f"{o.local} ({o.mapped} outside) to {o.asked}, TTL {number(o.ttl)}"
    if not o.quoted:
        return f"checksums quoted, {where}: nobody reported it, {number(o.sent)} sent"
    told = ", ".join(_QUOTED[each] for each in o.quoted)
    return f"checksums quoted, {where}: {told}, by {o.source}"


def _network_left(o: NetworkLeft) -> str:
    return f"network: {o.address} is gone, or the route from it"


_QUOTED: dict[QuotedAs, str] = {
    "as-sent": "as sent",
    "as-mapped": "as outside",
    "none": "none",
    "other": "another",
}


def _detail(text: str) -> str:
    return f" ({text})" if text else ""


_WORDS: dict[type, Callable[[Any], str]] = {
    seen.Binding: _binding,
    seen.Hairpin: _hairpin,
    seen.Idle: _idle,
    seen.Hop: _hop,
    seen.Opener: _opener,
    seen.DialBack: _dial_back,
    seen.PunchTrial: _punch_trial,
    seen.BirthdayTrial: _birthday_trial,
    ErrorTrial: _error_trial,
    QuotedChecksum: _quoted_checksum,
    NetworkLeft: _network_left,
    seen.Connection: _connection,
    seen.Resolution: _resolution,
    seen.Nat64: _nat64,
    seen.Portal: _portal,
    seen.SecondOpinion: _second_opinion,
    seen.Gap: _gap,
    InboundCheck: _inbound,
    MtuTrial: _mtu,
    FormTrial: _form,
    SourceTrial: _source,
    mappingseen.MapOffer: _offer,
    mappingseen.MapAttempt: _attempt,
    mappingseen.MapCheck: _check,
    mappingseen.MapEntry: _entry,
    mappingseen.MapTable: _table,
    RelayTrial: _relay_trial,
    **peerlines.LINES,
    **tailnetlines.LINES,
    **lanlines.LINES,
}
