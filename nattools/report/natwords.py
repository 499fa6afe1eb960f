"""What stands between a machine and the internet, in plain words and in RFC terms."""

from __future__ import annotations

from nattools.model.nat import Layer, Nat
from nattools.report import wording
from nattools.report.document import Cell, Mood, Prose, Section, Table
from nattools.report.safetext import safe

ROLES = {
    "router": "router",
    "nat": "NAT",
    "carrier-nat": "your provider's NAT",
    "internet": "on the internet",
    "unknown": "not known what it is",
}
Row = tuple[Cell, ...]


def nat_section(title: str, nat: Nat, *, detail: int) -> Section:
    """One transport and address family. `detail` 1 adds figures and the layers on the way out."""
    rows = [_mapping(nat), _filtering(nat), *_if(nat.present, _ports(nat)), *_if(nat.present, _hairpin(nat))]
    rows += _lifetime(nat)
    rows.append(_outside(nat))
    rows.append(_row("Old name", wording.CLASSICS[nat.classic], "RFC 3489"))
    rows += _open_and_blocked(nat)
    if detail:
        rows += _figures(nat)
    blocks = [Table(("", "", ""), tuple(rows), (0, 1, 0))] if nat.reachable is not False else []
    return Section(title, (*blocks, *_unknowns(nat)), note=standing(nat))


def _if(present: bool | None, row: Row) -> list[Row]:
    """Rows that mean nothing where there is no NAT."""
    return [] if present is False else [row]


def _row(label: str, words: str, term: str = "", mood: Mood = "plain") -> Row:
    return (Cell(label, "strong"), Cell(words, mood), Cell(term, "quiet"))


def standing(nat: Nat) -> str:
    """Is there a NAT, how many, and whose: one phrase."""
    if nat.reachable is False:
        return "nothing came back: blocked, or no server answered"
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


def _mapping(nat: Nat) -> Row:
    return _row("Mapping", wording.MAPPINGS[nat.mapping], wording.term(nat.mapping))


def _filtering(nat: Nat) -> Row:
    words = wording.FILTERINGS[nat.filtering]
    if nat.present is False and nat.filtering == "endpoint-independent":
        words = "nothing in the way lets packets in only as answers"
    return _row("Filtering", words, wording.term(nat.filtering))


def _ports(nat: Nat) -> Row:
    words = wording.ALLOCATIONS[nat.port_allocation]
    if nat.port_allocation == "sequential" and nat.port_step is not None:
        words = f"counts up by {safe(str(nat.port_step))}"
    if nat.port_range is not None:
        block = " in a block" if nat.port_block else ""
        words += f",{block} from {safe(str(nat.port_range[0]))} to {safe(str(nat.port_range[1]))}"
    return _row("Ports", words, wording.term(nat.port_allocation))


def _hairpin(nat: Nat) -> Row:
    words = {
        True: "machines behind it reach each other by the outside address",
        False: "machines behind it cannot use each other's outside address",
        None: "not known",
    }[nat.hairpinning]
    return _row("Hairpinning", words, wording.yes_no(nat.hairpinning))


def _lifetime(nat: Nat) -> list[Row]:
    bounds = nat.binding_lifetime_bounds_s
    if nat.binding_lifetime_s is None and bounds is None:
        return []
    rows = [_row("Lifetime", _lifetime_words(nat), "of an idle mapping")]
    if nat.refreshed_by_inbound is not None:
        by = "in and out" if nat.refreshed_by_inbound else "out only"
        rows.append(_row("Refresh", f"traffic {by} keeps a mapping alive", "RFC 4787 REQ-6"))
    return rows


def _lifetime_words(nat: Nat) -> str:
    alive, dead = nat.binding_lifetime_bounds_s or (None, None)
    if alive is not None and dead is not None:
        return f"lives {wording.seconds(alive)} unused, is gone after {wording.seconds(dead)}"
    if alive is not None:
        return f"at least {wording.seconds(alive)} unused; not tested for longer"
    if dead is not None:
        return f"gone within {wording.seconds(dead)} unused"
    return f"about {wording.seconds(nat.binding_lifetime_s or 0)} unused"


def _outside(nat: Nat) -> Row:
    seen = [safe(address, 80) for address in nat.external]
    words = ", ".join(seen[:4]) + (f" and {len(seen) - 4} more" if len(seen) > 4 else "")
    return _row("From outside", words or "not known", "as servers see you")


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
        rows.append(_row("Round trip", wording.milliseconds(nat.rtt_ms), "to the nearest server"))
    if nat.loss is not None:
        rows.append(_row("Loss", wording.percent(nat.loss), "of packets, both ways"))
    if nat.distance_hops is not None:
        rows.append(_row("Outermost NAT", f"{wording.number(nat.distance_hops)} hops away", "by TTL"))
    if nat.hairpinning_confidence is not None:
        share = wording.percent(nat.hairpinning_confidence)
        rows.append(_row("Hairpin tests", f"{share} of the repeated tests agree", "RFC 4787 REQ-9"))
    return rows + [_layer(layer) for layer in nat.layers]


def _layer(layer: Layer) -> Row:
    address = safe(layer.address, 80) if layer.address else "did not answer"
    return _row(f"Hop {wording.number(layer.hops)}", address, ROLES[layer.role])


def _unknowns(nat: Nat) -> list[Prose]:
    return [
        Prose(f"{safe(what, 40).replace('_', ' ')}: {safe(why)}", "Not known", "unsure")
        for what, why in list(nat.unknowns.items())[:20]
    ]
