"""The state of a watch as OpenMetrics text (OpenMetrics 1.0), for a file or a page that is fetched."""

from __future__ import annotations

from collections import Counter

from nattools.model.report import Report
from nattools.watch.watch import WatchEvent

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_LANES = ("udp4", "udp6", "tcp4", "tcp6")
_HELP = {
    "nattools_up": ("gauge", "1: the last measurement was made, 0: it could not be."),
    "nattools_nat": ("gauge", "1 for the behaviour that was measured."),
    "nattools_technique_works": ("gauge", "1: it works, 0: it does not."),
    "nattools_rtt_seconds": ("gauge", "Round trip to the servers."),
    "nattools_loss_ratio": ("gauge", "Share of packets lost, both ways."),
    "nattools_relay_works": ("gauge", "1: the relay works, 0: it does not."),
    "nattools_relay_rtt_seconds": ("gauge", "Median round trip through the relay."),
    "nattools_relay_loss_ratio": ("gauge", "Share of packets lost through the relay."),
    "nattools_changes": ("counter", "Events since the watch began."),
}


class Metrics:
    """Takes events and reports; its text is bounded by what one report holds."""

    def __init__(self) -> None:
        self._report: Report | None = None
        self._up = 0
        self._changes: Counter[str] = Counter()

    def event(self, event: WatchEvent) -> None:
        """Count it, by its code."""
        if event.says.code != "watch-began":
            self._changes[event.says.code] += 1

    def report(self, report: Report | None) -> None:
        """The last measurement; None: there was none."""
        self._up = int(report is not None)
        self._report = report or self._report

    def text(self) -> str:
        """All of it, ending as the format wants."""
        families: dict[str, list[str]] = {name: [] for name in _HELP}
        families["nattools_up"].append(_sample("nattools_up", {}, self._up))
        if self._report is not None:
            _of_report(self._report, families)
        for code, many in sorted(self._changes.items()):
            families["nattools_changes"].append(_sample("nattools_changes_total", {"code": code}, many))
        lines: list[str] = []
        for name, samples in families.items():
            kind, words = _HELP[name]
            if samples:
                lines += [f"# TYPE {name} {kind}", f"# HELP {name} {words}", *samples]
        return "\n".join([*lines, "# EOF"]) + "\n"


def _of_report(report: Report, families: dict[str, list[str]]) -> None:
    told: set[tuple[str, ...]] = set()

    def add(name: str, labels: dict[str, str], value: float | bool | None) -> None:
        key = (name, *labels.values())
        if value is not None and key not in told:  # of a relay's families the better one, which comes first
            told.add(key)
            families[name].append(_sample(name, labels, value))

    for lane in _LANES:
        nat = getattr(report.nat, lane)
        if nat is None:
            continue
        external = ",".join(nat.external)
        about = {"lane": lane, "mapping": nat.mapping, "filtering": nat.filtering, "external": external}
        add("nattools_nat", about, 1)
        add("nattools_rtt_seconds", {"lane": lane}, None if nat.rtt_ms is None else nat.rtt_ms / 1000)
        add("nattools_loss_ratio", {"lane": lane}, nat.loss)
    for each in report.techniques:
        if each.verdict in ("works", "fails"):
            add("nattools_technique_works", {"technique": each.id}, each.verdict == "works")
    for relay in report.relays:
        about = {"uri": relay.uri, "transport": relay.transport}
        add("nattools_relay_works", about, relay.works)
        add("nattools_relay_rtt_seconds", about, None if relay.rtt_ms is None else relay.rtt_ms.median / 1000)
        add("nattools_relay_loss_ratio", about, relay.loss)


def _sample(name: str, labels: dict[str, str], value: float | bool) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    number = int(value) if isinstance(value, bool) else value
    return f"{name}{{{inner}}} {number:.9g}" if inner else f"{name} {number:.9g}"


def _escaped(text: str) -> str:
    """As the format wants, with nothing in it that a terminal would obey; at most 200 characters."""
    plain = "".join(each if each.isprintable() else "?" for each in text[:200])
    return plain.replace("\\", "\\\\").replace('"', '\\"')
