"""IPv6 in plain words: the answers, what is wrong, and what this machine has."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from nattools.model.ipv6 import Ipv6, Ipv6Address, PathMtu
from nattools.model.nat import NatByTransport
from nattools.model.packetform import FormPassage
from nattools.model.report import Report
from nattools.model.statement import Statement, statement
from nattools.report.document import Block, Cell, Mood, Prose, Section, Table, View
from nattools.report.safetext import safe
from nattools.report.sections import summary
from nattools.report.sections.nat import behaviour as nat_behaviour
from nattools.wording import sentence, terms

_TRUTHS: dict[bool | None, str] = {True: "", False: "-not", None: "-unknown"}
_STATES: dict[str, tuple[str, Mood]] = {
    "open": ("open", "good"),
    "filtered": ("dropped", "bad"),
    "rejected": ("refused", "bad"),
    "prohibited": ("prohibited", "bad"),
    "unknown": ("not known", "unsure"),
}
_KINDS = {
    "stable": "stable",
    "temporary": "temporary, for privacy",
    "eui-64": "made from the hardware address",
    "ula": "local (unique local address)",
    "link-local": "of this link alone",
    "teredo": "Teredo",
    "6to4": "6to4",
    "clat": "IPv4 by this machine's own translator",
    "other": "of a kind that the system does not tell",
}
_SOURCES = {"ra": "it announces itself", "static": "set by hand", "unknown": "whence is not known"}
_MOST = 40


def headline(found: Ipv6) -> Statement:
    """The answer, as a sentence."""
    if found.capable is False:
        return statement("ipv6-none")
    if found.works is not True:
        return statement("ipv6-untried" if found.works is None else "ipv6-dead")
    states = {"UDP": found.reachable.udp, "TCP": found.reachable.tcp}
    opened = [name for name, state in states.items() if state]
    closed = [name for name, state in states.items() if state is False]
    if len(opened) == 2:
        return statement("ipv6-reached")
    if opened and closed:
        return statement("ipv6-half-reached", open=opened[0], closed=closed[0])
    return statement("ipv6-closed" if closed and not opened else "ipv6-closed-unknown")


def answers(found: Ipv6) -> Iterator[Statement]:
    """All that the support code holds beside the problems, as sentences without any address."""
    capable = {True: "ipv6-capable", False: "ipv6-not-capable", None: "ipv6-capable-unknown"}
    yield statement(capable[found.capable])
    if found.capable is not False:
        yield statement(f"ipv6-works{_TRUTHS[found.works]}")
    if found.works:
        yield statement(f"ipv6-translation-{found.translation}")
        yield statement(f"ipv6-in-{found.inbound.udp}", transport="UDP")
        yield statement(f"ipv6-in-{found.inbound.tcp}", transport="TCP")
        pings = {True: "open", False: "closed", None: "unknown"}
        yield statement(f"ipv6-ping-{pings[found.reachable.icmp]}")
    if found.dropped_at is not None:
        yield statement(f"ipv6-stopped-{found.dropped_at}")
    if found.pinhole is not None:
        yield statement(f"ipv6-pinhole-{found.pinhole.outcome}")
    if found.punched:
        yield statement("ipv6-punched")
    if found.nat64 is not None:
        words = {True: "true", False: "false", None: "unknown"}
        yield statement(f"ipv6-nat64-{words[found.nat64.works]}")
    if found.path_mtu.ipv6 is not None and found.path_mtu.ipv6.black_hole:
        yield statement("ipv6-mtu-hole")
    yield from _forms("fragments", found.fragments.ipv6)
    yield from _forms("headers", found.extension_headers)
    if found.preferred is not None:
        yield statement(f"ipv6-preferred-{found.preferred}")


_WAYS: dict[tuple[bool | None, bool | None], str] = {
    (True, True): "open",
    (False, False): "none",
    (True, False): "out",
    (False, True): "in",
    (True, None): "out-alone",
    (None, True): "in-alone",
    (False, None): "not-out",
    (None, False): "not-in",
}
"""By what passes out, and what passes in."""


def _forms(kind: str, passage: FormPassage | None) -> Iterator[Statement]:
    way = None if passage is None else _WAYS.get((passage.outbound, passage.inbound))
    if way is not None:
        yield statement(f"ipv6-{kind}-{way}")


def answer(report: Report, view: View) -> list[Section]:
    """Can this machine be reached over IPv6, what to do, and the code to read out."""
    found = report.ipv6
    if found is None:
        return summary.summary(report, [Prose("IPv6 was not looked at.", mood="strong")])
    if report.ended is not None and report.ended.step == "link":  # nor has it IPv4: it is no matter of IPv6
        why = Prose(safe(report.ended.why), "Why")
        to_do = summary.to_do([sentence(statement("connect-network"))])
        told = Prose(sentence(statement("ended-without-link")), mood="strong")
        return summary.summary(report, [told, why, *to_do])
    advice = [each.advice for each in found.problems if each.advice]
    lines = [Prose(sentence(headline(found)), mood="strong"), *summary.to_do(advice[:10])]
    if found.code:
        lines.append(Prose(f"{safe(found.code, 40)} (nattools report show --code explains it)", "Code"))
    return summary.summary(report, lines)


def explained(report: Report, view: View) -> list[Section]:
    """The answers one by one, and what is wrong."""
    found = report.ipv6
    if found is None or (report.ended is not None and report.ended.step == "link"):
        return []
    return [each for each in (_answers(found), _problems(found), _unknown(found)) if each is not None]


def of_code(found: Ipv6) -> tuple[Section, ...]:
    """What a support code says, as the report of its machine says it."""
    first = Section("", (Prose(sentence(headline(found)), mood="strong"),))
    return tuple(each for each in (first, _answers(found), _problems(found)) if each is not None)


def _answers(found: Ipv6) -> Section:
    return Section("IPv6", tuple(Prose(f"- {sentence(each)}") for each in answers(found)))


def _problems(found: Ipv6) -> Section | None:
    if not found.problems:
        return None
    rows = tuple(
        (Cell(safe(each.code, 40), "bad"), Cell(f"{safe(each.meaning)} {safe(each.advice)}".strip()))
        for each in found.problems
    )
    return Section("Problems", (Table(("problem", "what it means, and what to do"), rows, (0, 1)),))


def _unknown(found: Ipv6) -> Section | None:
    if not found.unknowns:
        return None
    said: dict[str, list[str]] = {}
    for name, why in found.unknowns.items():
        said.setdefault(why, []).append(_in_words(name))
    lines = tuple(
        Prose(f"- {safe(', '.join(names), 80)}: {safe(why)}", mood="unsure") for why, names in said.items()
    )
    return Section("Not known", lines)


def _in_words(field: str) -> str:
    """A field of which it is said why it is not known."""
    name, _, way = field.removeprefix("inbound.").partition(".")
    ways = {"outbound": " out", "inbound": " in"}
    return f"{name.replace('_', ' ')}{ways.get(way, '')}"


def addresses(report: Report, view: View) -> list[Section]:
    """This machine's addresses and routers."""
    found = report.ipv6
    if found is None or not (found.addresses or found.routers):
        return []
    blocks: list[Block] = []
    if found.addresses:
        tried = any(each.inbound is not None for each in found.addresses)
        titles = ("address", "kind", *(("UDP in", "TCP in") if tried else ()))
        rows = tuple(_address(each, tried=tried) for each in found.addresses[:_MOST])
        blocks.append(Table(titles, rows, (0, 1, 0, 0)[: len(titles)]))
    for router in found.routers[:_MOST]:
        via = router.address or "point to point"
        silent = "; it does not answer" if router.silent else ""
        blocks.append(Prose(safe(f"Router {via} on {router.interface}: {_SOURCES[router.source]}{silent}.")))
    return [Section("Addresses", tuple(blocks))]


def _address(each: Ipv6Address, *, tried: bool) -> tuple[Cell, ...]:
    length = "" if each.prefix_length is None else f"/{each.prefix_length}"
    kind = [_KINDS[each.kind]]
    kind += ["deprecated"] if each.deprecated else []
    kind += ["another machine has it"] if each.duplicate else ["not settled"] if each.tentative else []
    kind += ["gets no answer"] if each.answered is False else []
    kind += ["shows the hardware address"] if each.shows_mac and each.kind != "eui-64" else []
    if each.valid_s is not None:
        kind.append(f"for {terms.seconds(each.valid_s)} more")
    row = (Cell(safe(f"{each.address}{length}")), Cell(", ".join(kind)))
    if not tried:
        return row
    states = ("unknown", "unknown") if each.inbound is None else (each.inbound.udp, each.inbound.tcp)
    cells = [Cell(*_STATES[state]) if each.inbound is not None else Cell("") for state in states]
    return (*row, *cells)


def figures(report: Report, view: View) -> list[Section]:
    """The figures of both families side by side."""
    found = report.ipv6
    if found is None:
        return []
    rows = []
    times, mtus = found.latency_ms, found.path_mtu
    if times.ipv4 is not None or times.ipv6 is not None:
        rows.append(
            (
                Cell("Round trip"),
                Cell(terms.known_ms(times.ipv4)),
                Cell(terms.known_ms(times.ipv6)),
            )
        )
    if mtus.ipv4 is not None or mtus.ipv6 is not None:
        rows.append((Cell("Largest packet"), Cell(_mtu(mtus.ipv4)), Cell(_mtu(mtus.ipv6))))
    through = found.fragments
    if through.ipv4 is not None or through.ipv6 is not None:
        rows.append((Cell("Fragments"), Cell(_through(through.ipv4)), Cell(_through(through.ipv6))))
    if not rows:
        return []
    blocks: list[Block] = [Table(("", "IPv4", "IPv6"), tuple(rows), (0, 1, 1))]
    if found.nat64 is not None and found.nat64.prefix is not None:
        blocks.append(Prose(safe(f"NAT64: {found.nat64.prefix}")))
    return [Section("IPv4 and IPv6", tuple(blocks))]


_THROUGH: dict[str | None, str] = {
    "open": "pass",
    "none": "dropped, out and in",
    "out": "out, but not in",
    "in": "in, but not out",
    "out-alone": "out; in not known",
    "in-alone": "in; out not known",
    "not-out": "not out; in not known",
    "not-in": "not in; out not known",
    None: "not known",
}


def _through(passage: FormPassage | None) -> str:
    return "" if passage is None else _THROUGH[_WAYS.get((passage.outbound, passage.inbound))]


def _mtu(found: PathMtu | None) -> str:
    if found is None:
        return ""
    if found.bytes is None:
        return "not known"
    text = f"{found.bytes} bytes"
    if found.black_hole:
        at = f", after {found.silent_at}" if found.silent_at else ""
        return safe(f"{text}; larger ones vanish{at}")
    return safe(f"{text}; {found.too_big_from} says so" if found.too_big_from else text)


def behaviour(report: Report, view: View) -> list[Section]:
    """What was measured of IPv6's NAT or firewall; of IPv4 nothing was, but that it answers."""
    nat = report.nat
    return nat_behaviour(replace(report, nat=NatByTransport(udp6=nat.udp6, tcp6=nat.tcp6)), view)


def line(report: Report, view: View) -> list[Section]:
    """One line of a diagnosis."""
    found = report.ipv6
    if found is None:
        return []
    text = f"{sentence(headline(found))} Support code {safe(found.code, 40)} (nattools ipv6)."
    return [Section("IPv6", (Prose(text),))]
