"""What became of connecting two machines, in plain words: the answer, the plan, and what happened when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nattools.model.nat import Nat
from nattools.model.punch import (
    Echoes,
    PlannedStep,
    Punch,
    PunchStage,
    RelayUse,
    Stage,
    Strategy,
    Throughput,
    UsedPath,
)
from nattools.model.punch import Path as Way
from nattools.model.punchmtu import OneWayMtu, PunchMtu
from nattools.model.report import Report
from nattools.report.document import Cell, EventChart, Mood, Prose, Section, Table, TimelineEvent, View
from nattools.report.safetext import safe
from nattools.report.sections import summary
from nattools.report.sections.nat import standing
from nattools.wording import terms

SIDES = ("here", "there")
MOST_STEPS = 20
MOST_STAGES = 400
MOST_SPARES = 10
MOST_PATHS = 6
NARROW = 60
STAGES: dict[PunchStage, str] = {
    "mailbox": "mailbox",
    "token": "token",
    "beacon": "beacon",
    "knock": "knock",
    "behaviour": "NAT",
    "mappings": "router",
    "candidates": "addresses",
    "plan": "plan",
    "attempt": "attempt",
    "nomination": "path",
    "secured": "secured",
    "lost": "lost",
    "again": "again",
    "use": "in use",
    "end": "end",
}
BY: dict[Strategy, str] = {
    "host": ", straight to its own address",
    "reflexive": " by hole punching",
    "mapped": " through a port mapping",
    "low-ttl": " by hole punching with a low TTL",
    "prediction": " by hole punching, its next port predicted",
    "birthday": " by hole punching with birthday probes",
    "simultaneous-open": " by opening at the same moment",
    "relay": "",
}
_OUTCOMES: dict[bool | None, tuple[str, Mood]] = {
    True: ("ok", "good"),
    False: ("no", "bad"),
    None: ("", "plain"),
}
_PROTECTION = {"quic": "QUIC (TLS 1.3)", "tls": "TLS 1.3"}


def headline(punch: Punch | None) -> str:
    """Are they connected, where to, and how: one sentence."""
    if punch is None:
        return "Nothing was tried."
    if not punch.connected:
        return "Not connected."
    connected = "Was connected" if punch.advice else "Connected"  # what broke it off
    to = f" to {safe(punch.remote, 80)}" if punch.remote else ""
    over = f" over {punch.transport.upper()}" if punch.transport else ""
    by = BY[punch.strategy] if punch.strategy else ""
    took = f", in {terms.seconds(punch.elapsed_s)}" if punch.elapsed_s is not None else ""
    if punch.path == "relayed":
        return f"{connected} through a relay{to}{over}{took}."
    return f"{connected} directly{to}{over}{by}{took}."


def answer(report: Report, view: View) -> list[Section]:
    """The answer, why, and what the connection is like."""
    first = Prose(headline(report.connection), mood="strong")
    return summary.summary(report, (first, *_reasons(report.connection)))


def _reasons(punch: Punch | None) -> Iterator[Prose]:
    """What stands below the headline: why, what would help, and what the connection is like."""
    if punch is None:
        return
    if punch.why:
        yield Prose(safe(punch.why), "Why")
    if punch.advice:
        yield Prose(safe(punch.advice), "Ended" if punch.connected else "Would help")
    if punch.connected:
        yield from _connection(punch)


def _connection(punch: Punch) -> Iterator[Prose]:
    if punch.echoes is not None:
        yield Prose(_echoes(punch.echoes), "Round trip")
    elif punch.rtt_ms is not None:
        yield Prose(terms.milliseconds(punch.rtt_ms), "Round trip")
    if punch.relay is not None:
        yield Prose(_relay(punch.relay), "Relay")
    if len(punch.paths) > 1:
        yield Prose(_used(punch.paths), "Paths")
    if punch.mtu is not None:
        yield Prose(_largest(punch.mtu), "Largest packet")
    if punch.throughput is not None:
        yield Prose(_throughput(punch.throughput), "Throughput")
    if punch.secured_by is not None:
        stages = {each.stage for each in punch.stages}
        bound = "the tokens" if "token" in stages else "the secret" if "knock" in stages else "the code"
        yield Prose(f"{_PROTECTION[punch.secured_by]}, bound to {bound}", "Secured by")
    for number, spare in enumerate(punch.spares[:MOST_SPARES]):
        yield Prose(_way(spare), "Spare paths" if number == 0 else " ")


def _relay(relay: RelayUse) -> str:
    """Which relay, how far it makes the way, and how long it was in use."""
    trip = "" if relay.rtt_ms is None else f"; {terms.milliseconds(relay.rtt_ms)} to the peer and back"
    return f"{safe(relay.uri, 80)}, in use for {terms.seconds(relay.seconds)}{trip}"


def _used(paths: Sequence[UsedPath]) -> str:
    """One after the other, the last ones if there were many."""
    shown = paths[-MOST_PATHS:]
    texts = [f"{each.path} to {safe(each.remote, 80)} for {terms.seconds(each.seconds)}" for each in shown]
    return ("..., " if len(paths) > len(shown) else "") + ", then ".join(texts)


def _echoes(echoes: Echoes) -> str:
    came = f"{terms.number(echoes.received)} of {terms.number(echoes.sent)} echoes came back"
    if echoes.rtt_ms is None:
        return came
    least, median, most = (terms.milliseconds(each) for each in echoes.rtt_ms)
    return f"{median} ({came}, in {least} to {most})"


def _largest(mtu: PunchMtu) -> str:
    """The largest datagram each way, in one where they are alike."""
    up, down = _one_way(mtu.up), _one_way(mtu.down)
    if mtu.up is not None and up == down:
        return f"{up}, both ways"
    return f"up {up}; down {down}"


def _one_way(mtu: OneWayMtu | None) -> str:
    if mtu is None:
        return "not known"
    text = f"{terms.number(mtu.bytes)}\u00a0bytes"
    if mtu.black_hole:
        return f"{text} (larger ones vanish, and nobody says so)"
    by = mtu.too_big_from
    return f"{text} (larger ones are refused by {safe(by, 80)})" if by else text


def _throughput(measured: Throughput) -> str:
    text = f"{_rate(measured.up_mbps)} up, {_rate(measured.down_mbps)} down"
    if measured.loss is not None:
        text += f"; {terms.percent(measured.loss)} of datagrams lost"
    if measured.idle_rtt_ms is not None and measured.loaded_rtt_ms is not None:
        idle, loaded = (terms.milliseconds(each) for each in (measured.idle_rtt_ms, measured.loaded_rtt_ms))
        text += f"; round trip {idle} idle, {loaded} under load"
    return text


def _rate(mbps: float) -> str:
    return f"{terms.number(round(mbps, 1))}\u00a0Mbit/s" if abs(mbps) < 1e6 else f"{mbps:.3g}\u00a0Mbit/s"


def _way(way: Way) -> str:
    rtt = f", {terms.milliseconds(way.rtt_ms)}" if way.rtt_ms is not None else ""
    return f"{way.transport.upper()}, {safe(way.local, 80)} to {safe(way.remote, 80)}{rtt}"


def plan(report: Report, view: View) -> list[Section]:
    """What was going to be tried."""
    return (
        []
        if report.connection is None
        else plan_section(report.connection.plan, report.connection.odds, view.columns)
    )


def plan_section(
    steps: Sequence[PlannedStep], odds: float | None, columns: int = 80, sides: str = "here, there"
) -> list[Section]:
    """What is tried, in which order, with what odds and at what cost; below it, why. `sides`: whose the
    packets are."""
    if not any_direct(steps):
        return []
    shown = steps[:MOST_STEPS]
    kept = range(5) if columns >= NARROW else (0, 2, 4)
    titles = ("plan", "over", "odds", f"packets {sides}", "at most")
    rows = tuple(tuple(_step(each)[place] for place in kept) for each in shown)
    table = Table(tuple(titles[place] for place in kept), rows, (1, 0, 0, 0, 0)[: len(kept)])
    measured = "to connect directly, if both networks are as measured."
    whole = "" if odds is None else f"{_capital(terms.chance(odds))} {measured}"
    whys = [f"- {_capital(terms.STRATEGIES[each.strategy])}: {safe(each.why)}" for each in shown if each.why]
    proses = tuple(Prose(each) for each in dict.fromkeys((whole, *whys)) if each)
    return [Section("Plan", (table,)), *([Section("", proses)] if proses else [])]


def any_direct(steps: Sequence[PlannedStep]) -> bool:
    """Is there a step that is not the relay?"""
    return any(step.strategy != "relay" for step in steps)


def _step(step: PlannedStep) -> tuple[Cell, ...]:
    relayed = step.strategy == "relay"
    packets = "" if step.packets is None else ", ".join(terms.number(each) for each in step.packets)
    seconds = "" if step.seconds is None else terms.seconds(step.seconds)
    texts = (
        terms.STRATEGIES[step.strategy],
        "" if relayed else step.transport.upper(),
        _odds(step),
        packets,
        seconds,
    )
    return tuple(Cell(text, "quiet" if relayed else "plain") for text in texts)


def _odds(step: PlannedStep) -> str:
    if step.strategy == "relay":
        return ""
    if step.odds is None:
        beside = any(each.code == "step-one-router" for each in step.reason)
        return "not known" if beside else "in reserve"
    return terms.chance(step.odds)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def timeline(report: Report, view: View) -> list[Section]:
    """Both sides' doings, in the order of time on this machine's clock."""
    stages = report.connection.stages if report.connection is not None else ()
    if not stages:
        return []
    events = tuple(timeline_event(each) for each in stages[:MOST_STAGES])
    chart = EventChart("What happened, by side", SIDES, events, max(len(stages) - MOST_STAGES, 0))
    return [Section("Timeline", (chart,))]


def timeline_event(stage: Stage) -> TimelineEvent:
    """A stage as the timeline shows it."""
    word, mood = _OUTCOMES[stage.ok]
    text = Cell(_happened(stage), mood if stage.ok is False else "plain")
    return TimelineEvent(stage.at_s, stage.side, STAGES[stage.stage], Cell(word, mood), text)


def _happened(stage: Stage) -> str:
    text = safe(stage.text)
    counts = [
        f"{terms.number(count)} {what}"
        for count, what in ((stage.sent, "sent"), (stage.seen, "seen"))
        if count is not None
    ]
    return f"{text} ({', '.join(counts)})" if counts else text


def network(report: Report, view: View) -> list[Section]:
    """This side's networks, a line each. With detail their behaviour is said in full instead."""
    if view.detail:
        return []
    nat = report.nat
    named = (
        ("UDP over IPv4", nat.udp4),
        ("UDP over IPv6", nat.udp6),
        ("TCP over IPv4", nat.tcp4),
        ("TCP over IPv6", nat.tcp6),
    )
    rows = tuple((Cell(name, "strong"), Cell(_network(one))) for name, one in named if one is not None)
    return [Section("This side's network", (Table(("", ""), rows, (0, 1)),))] if rows else []


def _network(nat: Nat) -> str:
    if nat.reachable is False:
        return standing(nat)
    behaviour = [
        terms.MAPPINGS[nat.mapping] if nat.present and nat.mapping != "unknown" else "",
        terms.FILTERINGS[nat.filtering] if nat.filtering != "unknown" else "",
    ]
    return "; ".join([standing(nat), *(each for each in behaviour if each)])


def in_short(punch: Punch) -> Iterator[str]:
    """The answer, why, and what would help, where there is no room for a page."""
    yield headline(punch)
    for text in (punch.why, punch.advice):
        if text:
            yield safe(text)
