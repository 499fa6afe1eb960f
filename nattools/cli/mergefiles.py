"""`nattools report merge`: what is written where, and what a person sees meanwhile."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import msgspec

from nattools.cli.display.outputs import check_writable, tell, write_document, write_text
from nattools.errors import UsageError
from nattools.report.document import Document
from nattools.report.fleet import Fleet, merged
from nattools.report.fleet.fleetfiles import identities
from nattools.report.fleet.fleetpage import fleet_page
from nattools.report.safetext import safe
from nattools.report.savedreport import escaped_controls, load_file
from nattools.report.terminal import is_live

SUFFIXES = (".json", ".html", ".md", ".txt", ".parquet")
_EVERY_S = 1.0


class MergeProgress:
    """A line on standard error, at most once a second."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _EVERY_S
        self._live = is_live(sys.stderr)

    def __call__(self, reports: int, faulty: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _EVERY_S
        odd = f", {faulty:,} that are none" if faulty else ""
        text = f"nattools: {reports:,} reports read{odd}"
        sys.stderr.write(f"\r{text}\x1b[K" if self._live else f"{text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Leave nothing on the line."""
        if self._live:
            sys.stderr.write("\r\x1b[K")


def merge_into(named: list[str], outputs: list[Path], *, as_json: bool) -> int:
    """Merge and write, with `as_json` to standard output too; exit code 0. UsageError: an output that cannot
    be written, or no reports."""
    parquet = _checked(outputs)
    progress = MergeProgress()
    try:
        fleet = merged(named, progress, parquet=parquet[0] if parquet else None, apart=identities(outputs))
    finally:
        progress.close()
    for path in dict.fromkeys(outputs):
        if path not in parquet:
            write_text(path, _rendered(fleet, path.suffix.lower()))
    if as_json:
        write_document(_rendered(fleet, ".json"))
    many = "1 report" if fleet.reports == 1 else f"{fleet.reports:,} reports"
    tell(f"nattools: {many} merged{_odd(fleet)}")
    return 0


def _odd(fleet: Fleet) -> str:
    """How many files are no reports, and which is the first of them."""
    if not fleet.faults:
        return ""
    number = "1 is none" if fleet.faulty == 1 else f"{fleet.faulty:,} are none, the first"
    return f", {number}: {safe(fleet.faults[0].file, 200)}: {safe(fleet.faults[0].problem, 200)}"


def _checked(outputs: list[Path]) -> list[Path]:
    """The files that are to be Parquet: one at most."""
    for path in outputs:
        if path.suffix.lower() not in SUFFIXES:
            raise UsageError(f"cannot tell the format of {path}: its name must end in {', '.join(SUFFIXES)}")
        if _is_report(path):
            raise UsageError(f"-o {path}: that is a report, which would be lost: choose another name")
        check_writable(path)
    parquet = [path for path in dict.fromkeys(outputs) if path.suffix.lower() == ".parquet"]
    if len(parquet) > 1:
        raise UsageError("-o: one .parquet is enough")
    return parquet


def _is_report(path: Path) -> bool:
    """Is there one already?"""
    if path.suffix.lower() != ".json" or not os.path.isfile(path):
        return False
    try:
        load_file(path)
    except UsageError:
        return False
    return True


def _rendered(fleet: Fleet, suffix: str) -> str:
    if suffix == ".json":
        return escaped_controls(msgspec.json.format(msgspec.json.encode(fleet), indent=2).decode()) + "\n"
    return _drawn(fleet_page(fleet), suffix)


def _drawn(page: Document, suffix: str) -> str:
    if suffix == ".html":
        from nattools.report.html import html_page

        return html_page(page)
    if suffix == ".md":
        from nattools.report.markdown import markdown_page

        return markdown_page(page)
    from nattools.report.terminal import plain_text

    return plain_text(page, 100)
