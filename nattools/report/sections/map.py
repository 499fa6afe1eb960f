"""Port mappings in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from nattools.model.mappingseen import MapOffer, MapTable
from nattools.model.observation import Gap
from nattools.model.portmapping import MappingProtocol, PortMapping
from nattools.model.report import NOT_REACHED, Report
from nattools.model.statement import statement
from nattools.report.document import Cell, Mood, Prose, Section, Table, View
from nattools.report.safetext import safe
from nattools.report.sections import summary
from nattools.wording import sentence, terms

_NOBODY = "No router here can be asked to open ports: none speaks UPnP, NAT-PMP or PCP."
_NEEDLESS = "This machine has a public IPv4 address of its own: it needs no mapping."
_NO_LIST = "nattools has made no mapping here. What others have made is unknown: only UPnP lists mappings."
_ONE_ADDRESS = (
    "If both routers are yours, set one to bridge mode or forward the port on the outer one as well; else "
    "ask your provider for a public IPv4 address, or use IPv6."
)
_SAME_NUMBER = (
    "What comes arrives at this machine's port of the same number as outside, and not at the one asked for: "
    "let the program listen there."
)
_UNFINISHED = "Time ran out before the router had listed its mappings."
_BLINDLY = "Any such mapping has been removed. The router does not say whether there was one."
_PROVEN: dict[bool | None, tuple[str, Mood]] = {
    True: ("open, proven", "good"),
    False: ("closed", "bad"),
    None: ("not tried", "unsure"),
}


def answer(report: Report, view: View) -> list[Section]:
    """What came of it, and what to do."""
    lines = (Prose(headline(report), mood="strong"), *summary.to_do(tuple(to_do(report))))
    return summary.summary(report, lines)


def headline(report: Report) -> str:
    """What came of `nattools map`, as a sentence."""
    made = report.new_mappings
    match report.action:
        case "list":
            return _listed(report)
        case "delete":
            return _deleted(report)
        case "probe":
            return _probed(report, made)
        case _:
            return _made(report, made)


def _listed(report: Report) -> str:
    tables = [seen for seen in report.observations if isinstance(seen, MapTable)]
    cut = next((safe(_cut(each)) for each in tables if each.incomplete), "")
    if report.mappings:
        return f"{_count(len(report.mappings), 'mapping')} known here. {cut}".rstrip()
    if report.timed_out:
        return _UNFINISHED
    if not _spoken(report):
        return _NOBODY
    return cut or ("There is no mapping here." if tables else _NO_LIST)


def _cut(table: MapTable) -> str:
    """Why there may be more."""
    if table.refusal is not None and not table.rows:
        return f"The router's mappings may not be listed: {table.incomplete}."
    return f"The router's list is incomplete: {table.incomplete}."


def _spoken(report: Report, *protocols: MappingProtocol) -> bool:
    """Does any router here speak any of the protocols, or of those named?"""
    offers = (seen for seen in report.observations if isinstance(seen, MapOffer))
    return any(
        seen.outcome == "answered" and (not protocols or seen.protocol in protocols) for seen in offers
    )


def _nobody(report: Report) -> str:
    """Why there is nobody to ask."""
    if any(each.id == "direct-ipv4" and each.verdict == "works" for each in report.techniques):
        return _NEEDLESS
    own = {address for each in report.host.interfaces for address in each.addresses}
    nat = report.nat.udp4
    # an address of this machine is the one that others see
    public = nat is not None and nat.present is False and not own.isdisjoint(nat.external)
    return _NEEDLESS if public else _NOBODY


def _deleted(report: Report) -> str:
    mappings = report.mappings
    if not mappings:
        if report.timed_out:
            return _UNFINISHED
        return "There was no mapping to remove." if _spoken(report) else _NOBODY
    known = [each for each in mappings if each.created]
    gone = sum(each.removed for each in known)
    if not known:
        return _BLINDLY if all(each.removed for each in mappings) else "No mapping could be removed."
    left = sum(not each.removed for each in mappings if not each.created)
    if gone == len(known):
        return f"{_count(gone, 'mapping')} removed{f', {left} more may still exist' if left else ''}."
    return f"{gone} of {_count(len(known), 'mapping')} removed."


def _probed(report: Report, made: list[PortMapping]) -> str:
    if any(each.verified_inbound for each in made):
        return "Your router opens ports for this machine: verified from outside."
    if any(each.arrives_at for each in made):
        return f"The router opens ports. {_SAME_NUMBER}"
    if other := _off_path(report):
        return f"{other} opens ports, but is not the router that packets leave by: mappings there do nothing."
    if any(each.dropped_at == "host" for each in made):
        return "The router opens ports, but this machine's own firewall stops what comes by them."
    if any(each.verified_inbound is False for each in made):
        return "The router says that it opens ports, but nothing arrives through them."
    if made:
        return "The router says that it opens ports; no server here could try them from outside."
    return "The router can be asked to open ports, but opens none." if _spoken(report) else _nobody(report)


def _made(report: Report, made: list[PortMapping]) -> str:
    if not made:
        return f"No mapping was made. {_why_none(report)}".rstrip()
    count = _count(len(made), "mapping")
    ended = all(each.removed for each in made)
    tail = " They have been removed again." if ended and len(made) > 1 else " It has been removed again."
    tail = tail if ended else ""
    if all(each.verified_inbound for each in made):
        return f"{count} made, verified from outside.{tail}"
    if all(each.verified_inbound or each.arrives_at for each in made):
        return f"{count} made. {_SAME_NUMBER}{tail}"
    if other := _off_path(report):
        return f"{count} made at {other}, which is not the router that packets leave by.{tail}"
    closed = sum(each.verified_inbound is False for each in made)
    if any(each.dropped_at == "host" for each in made):
        return f"{count} made, but this machine's own firewall stops what comes.{tail}"
    if closed:
        return f"{count} made, but {closed} of them closed from outside.{tail}"
    tried = any(each.verified_inbound for each in made)
    return f"{count} made, {'not all' if tried else 'not'} tried from outside.{tail}"


def _off_path(report: Report) -> str:
    """Who answered, if that is none of the routers on the path."""
    offers = [seen for seen in report.observations if isinstance(seen, MapOffer)]
    answered = [each for each in offers if each.outcome == "answered"]
    if not report.warns_of("gateway-off-path") or not all(each.other for each in answered):
        return ""
    return safe(next((each.host for each in answered if each.host), ""))


def _why_none(report: Report) -> str:
    """What is known of the routers here explains more than the code that one of them gave."""
    if report.warns_of(NOT_REACHED):
        return "There is a second NAT beyond your router: a mapping on your router alone is no use."
    error = next((each.error for each in report.mappings if each.error is not None), None)
    return safe(error.meaning) if error else "" if _spoken(report) else _nobody(report)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def to_do(report: Report) -> Iterator[str]:
    """What the user can do where something did not work, each once."""
    if report.action in ("list", "delete"):
        return
    if any(each.verified_inbound is not False for each in report.new_mappings):
        return
    if not _spoken(report):
        if _nobody(report) == _NEEDLESS:
            yield "If it cannot be reached, open the port in this machine's firewall."
            return
        page = next((g.address for g in report.host.gateways if g.family == 4 and g.address), None)
        where = f" (http://{page})" if page else ""
        yield f"Enable UPnP, NAT-PMP or PCP in your router's settings{where}, or forward a port there."
        return
    told = [each.advice for each in report.techniques if each.verdict == "fails"]
    if not told and any(each.dropped_at == "host" for each in report.mappings):
        told = [sentence(statement("allow-in-own-firewall"))]
    if not told and report.warns_of(NOT_REACHED):
        told = [_ONE_ADDRESS]
    told = told or [each.error.advice for each in report.mappings if each.error is not None]
    yield from tuple(dict.fromkeys(each for each in told if each))[:2]


def mappings(report: Report, view: View) -> list[Section]:
    """A row for each mapping."""
    if not report.mappings:
        return []
    own = {address.partition("%")[0] for each in report.host.interfaces for address in each.addresses}
    named = any(each.description for each in report.mappings)
    titles = ("mapping to", "outside", "by", "for", "from outside", *(("name",) if named else ()))
    rows = tuple(_row(each, own)[: len(titles)] for each in report.mappings[:200])
    return [Section("Mappings", (Table(titles, rows, (0, 0, 0, 0, 1, 1)[: len(titles)]),))]


def mappings_made(report: Report, view: View) -> list[Section]:
    """The same, where the router is not what was asked about: only if one was made, or with detail."""
    made = view.detail or any(each.created for each in report.mappings)
    return mappings(report, view) if made else []


def _row(mapping: PortMapping, own: set[str]) -> tuple[Cell, ...]:
    life = terms.seconds(mapping.lifetime_s) if mapping.lifetime_s is not None else "permanent"
    proof, mood = _PROVEN[mapping.verified_inbound]
    if mapping.arrives_at is not None:
        proof, mood = f"arrives at own port {safe(mapping.arrives_at.rpartition(':')[2], 5)}", "unsure"
    if mapping.dropped_at == "host":
        proof = "closed by this machine"
    if mapping.error is not None:
        code = "" if mapping.error.code is None else f"{mapping.error.code} "
        failed = safe(code + mapping.error.name, 60)
        proof, mood, life = failed if failed.startswith("not ") else f"no: {failed}", "bad", ""
    elif mapping.external is None:
        proof, mood, life = "", "plain", ""
    if mapping.removed and not mapping.created and mapping.error is None:
        proof, mood, life = "removed, if it was there", "plain", ""
    elif mapping.removed and mapping.lifetime_s is None and mapping.verified_inbound is None:
        proof, mood, life = "removed", "plain", ""
    elif mapping.removed and mapping.created:
        proof = f"{proof}, removed" if proof else "removed"
    return (
        Cell(f"{mapping.transport} {_inside(mapping.internal, own)}"),
        Cell(safe(mapping.external, 60) if mapping.external else "none"),
        Cell(terms.TECHNIQUES[mapping.protocol]),
        Cell(life),
        Cell(proof, mood),
        Cell(safe(mapping.description, 60)),
    )


def _inside(internal: str, own: set[str]) -> str:
    """The port alone, if it is this machine's."""
    host, _, port = internal.rpartition(":")
    return port if host.strip("[]") in own else safe(internal, 60)


def open_questions(report: Report, view: View) -> list[Section]:
    """What could not be asked, and what would settle it; questions with one reason stand together."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for seen in report.observations:
        if isinstance(seen, Gap):
            reasons.setdefault((seen.reason, seen.settle), []).append(seen.question)
    proses = []
    for (reason, settle), questions in list(reasons.items())[:10]:
        asked = questions[0] if len(questions) == 1 else f"{questions[0]} (and {len(questions) - 1} more)"
        text = f"{safe(asked)} Not known: {safe(reason)}. What settles it: {safe(settle)}."
        proses.append(Prose(f"- {text}", mood="unsure"))
    return [Section("Open questions", tuple(proses))] if proses else []
