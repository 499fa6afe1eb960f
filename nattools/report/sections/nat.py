"""What stands between a machine and the internet, in plain words and in RFC terms."""

from __future__ import annotations

import msgspec

from nattools.model.nat import Layer, Nat, NatByTransport
from nattools.model.report import Report
from nattools.report.document import Block, Cell, Detail, Mood, Prose, Section, Table, View
from nattools.report.safetext import safe
from nattools.report.sections import summary
from nattools.wording import terms

ROLES = {
    "router": "router",
    "nat": "NAT",
    "carrier-nat": "your provider's NAT",
    "internet": "on the internet",
    "unknown": "not known what it is",
}
FINDINGS = {
    "present": "whether there is a NAT",
    "mapping": "mapping",
    "filtering": "filtering",
    "port_allocation": "ports",
    "hairpinning": "hairpinning",
    "quoted_checksum": "quoted checksums",
    "binding_lifetime_s": "lifetime",
    "refreshed_by_inbound": "what keeps a mapping alive",
    "cgnat": "whether the provider shares the address",
    "double_nat": "whether there is a second NAT",
    "distance_hops": "how far away the NAT is",
}
PATH_FINDINGS = ("cgnat", "double_nat", "distance_hops")
"""The path is the same for every transport, and UDP is the better tool to find out about it."""

Row = tuple[Cell, ...]
Unknown = tuple[str, str]
"""What is not known, and why."""


STATUS_MOODS: dict[str, Mood] = {"met": "good", "not met": "bad", "untested": "unsure"}


def answer(report: Report, view: View) -> list[Section]:
    """What the NAT does, in one sentence: about UDP where it gets through, since TCP's is the same box."""
    measured = transports(report.nat)
    if report.ended is not None:
        told = report.advice.headline if report.advice is not None else "Nothing could be measured."
        actions = report.advice.to_do[:10] if report.advice is not None else ()
        lines = [Prose(safe(told), mood="strong"), Prose(safe(report.ended.why), "Why")]
        return summary.summary(report, [*lines, *summary.to_do(actions)])
    if not measured:
        return summary.summary(report, [Prose("Nothing could be measured.", mood="strong")])
    name, first, _ = next((one for one in measured if one[1].reachable is not False), measured[0])
    text = headline(first) if name.startswith("UDP") else f"{name}: {headline(first)}"
    return summary.summary(report, [Prose(text, mood="strong")])


def transports(nat: NatByTransport) -> list[tuple[str, Nat, Nat | None]]:
    """What was measured: its name, the findings, and for TCP those of UDP on the same path."""
    named = (
        ("UDP over IPv4", nat.udp4, None),
        ("TCP over IPv4", nat.tcp4, nat.udp4),
        ("UDP over IPv6", nat.udp6, None),
        ("TCP over IPv6", nat.tcp6, nat.udp6),
    )
    return [(name, one, udp) for name, one, udp in named if one is not None]


def behaviour(report: Report, view: View) -> list[Section]:
    """A section for each transport and address family."""
    said: set[Unknown] = set()
    return [
        _nat_section(name, one, detail=view.detail, over_udp=udp, said=said)
        for name, one, udp in transports(report.nat)
    ]


def requirements(report: Report, view: View) -> list[Section]:
    """What the RFCs ask of a NAT, held against what was seen."""
    sections = []
    for rfc, what in ((4787, "UDP"), (5382, "TCP"), (5508, "ICMP")):
        rows = tuple(
            (
                Cell(safe(one.number, 12)),
                Cell(safe(one.title, 120)),
                Cell(one.status, STATUS_MOODS[one.status]),
                Cell(f"{safe(one.why)} {terms.evidence(one.evidence)}".strip()),
            )
            for one in report.requirements
            if one.rfc == rfc
        )
        if rows:
            table = Table((f"RFC {rfc} ({what})", "requirement", "status", "why"), rows, (0, 2, 0, 3))
            sections.append(Section(f"RFC {rfc} ({what})", (table,), collapsed=True))
    return sections


def _nat_section(
    title: str, nat: Nat, *, detail: Detail, over_udp: Nat | None, said: set[Unknown]
) -> Section:
    """One transport and address family. `detail` 1 adds figures and the layers on the way out.

    `over_udp`: what UDP found on the same path. Without detail, what is the same is then said in one line,
    and what is not known for a reason in `said` is not said again; `said` grows by what this section says.
    """
    compare = over_udp is not None and over_udp.reachable is not False
    nat = _with_path(nat, over_udp) if compare and over_udp else nat
    rows: list[Row] = []
    blocks: list[Block] = []
    if nat.reachable is not False:
        rows = _behaviour(nat) + (_figures(nat) if detail else [])
    if compare and over_udp and rows and not detail:
        rows, blocks = _differences(rows, _behaviour(over_udp))
    tables = [Table(("", "", ""), tuple(rows), (0, 1, 0))] if rows else []
    unknowns = _unknowns(nat, set() if detail else said) if nat.reachable is not False or detail else []
    return Section(title, (*tables, *blocks, *unknowns), note=standing(nat))


def _with_path(nat: Nat, over_udp: Nat) -> Nat:
    """What TCP alone could not find out about the path, UDP may have."""
    if not (nat.present and over_udp.present):
        return nat
    return msgspec.structs.replace(
        nat,
        cgnat=over_udp.cgnat if nat.cgnat is None else nat.cgnat,
        double_nat=over_udp.double_nat if nat.double_nat is None else nat.double_nat,
        unknowns={what: why for what, why in nat.unknowns.items() if what not in PATH_FINDINGS},
    )


def _behaviour(nat: Nat) -> list[Row]:
    rows = [_mapping(nat), _filtering(nat)]
    if nat.present is not False:
        rows += [_ports(nat), _hairpin(nat)]
    return [*rows, *_lifetime(nat), _outside(nat), *_old_name(nat), *_open_and_blocked(nat)]


def _differences(rows: list[Row], usual: list[Row]) -> tuple[list[Row], list[Block]]:
    """The rows that UDP does not have in the same words, and a line that names the others."""
    known = [row for row in rows if row[2].text != "unknown"]
    same = [row[0].text for row in known if row in usual]
    different = [row for row in known if row not in usual]
    return different, [Prose(", ".join(same).lower(), "As over UDP")] if same else []


def _row(label: str, words: str, term: str = "", mood: Mood = "plain") -> Row:
    return (Cell(label, "strong"), Cell(words, mood), Cell(term, "quiet"))


def standing(nat: Nat) -> str:
    """Is there a NAT, how many, and whose: one phrase."""
    if nat.reachable is False:
        old = " (RFC 3489: UDP blocked)" if nat.classic == "udp blocked" else ""
        return f"nothing came back: blocked, or no server answered{old}"
    if nat.present is None:
        return "not known whether there is a NAT"
    if not nat.present:
        return "no NAT: your own address is seen outside"
    if nat.cgnat:
        second = " behind your own router" if nat.double_nat else ""
        return f"your provider shares one address among customers (CGNAT){second}"
    if nat.double_nat:
        return "two NATs, one behind the other"
    if nat.double_nat is False:
        return "one NAT, no second one behind it"
    return "a NAT; whether a second one stands behind it is not known"


def headline(nat: Nat) -> str:
    """What a NAT does, as a sentence."""
    if nat.reachable is False:
        return "Nothing came back: it is blocked, or no server answered."
    filtering = terms.FILTERINGS[nat.filtering]
    if nat.present is False and nat.filtering == "endpoint-independent":
        return "There is no NAT, and nothing keeps packets out."
    if nat.present is False:
        unknown = "whether a firewall filters is not known"
        return f"There is no NAT; {unknown if nat.filtering == 'unknown' else f'a firewall {filtering}'}."
    known = [
        f"gives {terms.MAPPINGS[nat.mapping]}" if nat.mapping != "unknown" else "",
        filtering if nat.filtering != "unknown" else "",
    ]
    what = ", and ".join(part for part in known if part)
    if not nat.present:
        return "Whether there is a NAT is not known."
    return f"Your NAT {what}." if what else "There is a NAT; what it does is not known."


def _mapping(nat: Nat) -> Row:
    return _row("Mapping", terms.MAPPINGS[nat.mapping], terms.term(nat.mapping))


def _filtering(nat: Nat) -> Row:
    words = terms.FILTERINGS[nat.filtering]
    if nat.present is False and nat.filtering == "endpoint-independent":
        words = "lets everybody in"
    return _row("Filtering", words, terms.term(nat.filtering))


def _ports(nat: Nat) -> Row:
    words = terms.ALLOCATIONS[nat.port_allocation]
    if nat.port_allocation == "sequential" and nat.port_step is not None:
        words = f"counts up by {safe(str(nat.port_step))}"
    if nat.port_range is not None:
        block = " in a block" if nat.port_block else ""
        words += f",{block} from {safe(str(nat.port_range[0]))} to {safe(str(nat.port_range[1]))}"
    if nat.port_mask is not None:
        mask, value = (safe(hex(each)) for each in nat.port_mask)
        words += f", of a port set alone (port & {mask} is {value}): others share the address"
    return _row("Ports", words, terms.term(nat.port_allocation))


def _hairpin(nat: Nat) -> Row:
    words = {
        True: "machines behind it reach each other by the external address",
        False: "machines behind it cannot use each other's external address",
        None: "not known",
    }[nat.hairpinning]
    return _row("Hairpinning", words, terms.yes_no(nat.hairpinning))


def _lifetime(nat: Nat) -> list[Row]:
    bounds = nat.binding_lifetime_bounds_s
    if nat.binding_lifetime_s is None and bounds is None:
        return []
    rows = [_row("Lifetime", _lifetime_words(nat), "of an idle mapping")]
    if nat.refreshed_by_inbound is not None:
        keeps = "keeps" if nat.refreshed_by_inbound else "does not keep"
        rows.append(_row("Refresh", f"traffic that comes in {keeps} a mapping alive", "RFC 4787 4.3"))
    return rows


def _lifetime_words(nat: Nat) -> str:
    alive, dead = nat.binding_lifetime_bounds_s or (None, None)
    if alive is not None and dead is not None:
        return f"lives {terms.seconds(alive)} unused, is gone after {terms.seconds(dead)}"
    if alive is not None:
        return f"at least {terms.seconds(alive)} unused; not tested for longer"
    if dead is not None:
        return f"gone within {terms.seconds(dead)} unused"
    return f"about {terms.seconds(nat.binding_lifetime_s or 0)} unused"


def _outside(nat: Nat) -> Row:
    seen = [safe(address, 80) for address in nat.external]
    words = ", ".join(seen[:4]) + (f" and {len(seen) - 4} more" if len(seen) > 4 else "")
    return _row("From outside", words or "not known", terms.POOLINGS.get(nat.pooling, "as servers see you"))


def _old_name(nat: Nat) -> list[Row]:
    """RFC 3489 named what UDP finds; an unknown name says nothing."""
    if nat.classic == "unknown":
        return []
    return [_row("Old name", terms.CLASSICS[nat.classic], "RFC 3489")]


def _open_and_blocked(nat: Nat) -> list[Row]:
    rows = []
    if nat.blocked_ports:
        rows.append(_row("Blocked", f"to ports {_list(nat.blocked_ports)}", "destination ports", "bad"))
    if nat.blocked_ports and nat.open_ports:
        rows.append(_row("Open", f"to ports {_list(nat.open_ports)}", "destination ports"))
    return rows


def _list(ports: tuple[int, ...]) -> str:
    return safe(", ".join(str(port) for port in ports), 120)


def _figures(nat: Nat) -> list[Row]:
    rows = []
    if nat.rtt_ms is not None:
        rows.append(_row("Round trip", terms.milliseconds(nat.rtt_ms), "to the servers"))
    if nat.loss is not None:
        rows.append(_row("Loss", terms.percent(nat.loss), "of packets, both ways"))
    if nat.distance_hops is not None:
        away = "1 hop away" if nat.distance_hops == 1 else f"{terms.number(nat.distance_hops)} hops away"
        rows.append(_row("Outermost NAT", away, "by TTL"))
    if nat.quoted_checksum not in (None, "unknown"):
        rows.append(_row("ICMP quotes", terms.QUOTED_CHECKSUMS[nat.quoted_checksum], "checksums in errors"))
    if nat.hairpinning_confidence is not None:
        share = terms.percent(nat.hairpinning_confidence)
        rows.append(_row("Hairpin tests", f"{share} of the repeated tests agree", "RFC 4787 REQ-9"))
    return rows + [_layer(layer) for layer in nat.layers]


def _layer(layer: Layer) -> Row:
    address = safe(layer.address, 80) if layer.address else "did not answer"
    return _row(f"Hop {terms.number(layer.hops)}", address, ROLES[layer.role])


def _unknowns(nat: Nat, said: set[Unknown]) -> list[Prose]:
    """What could not be measured, and what would settle it; findings with one reason stand together."""
    by_reason: dict[str, list[str]] = {}
    for what, why in list(nat.unknowns.items())[:20]:
        moot = what == "hairpinning" and nat.present is False
        if (what, why) not in said and not moot:
            said.add((what, why))
            name = FINDINGS.get(what) or safe(what, 40).replace("_", " ")
            by_reason.setdefault(safe(why), []).append(name)
    return [Prose(f"{', '.join(names)}. {why}", "Not known", "unsure") for why, names in by_reason.items()]
