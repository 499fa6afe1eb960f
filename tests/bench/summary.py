"""One table of all claims in pytest-benchmark's JSON: python tests/bench/summary.py FILE"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_HEAD = ("figure", "ours", "peer", "ratio", "target", "")
_VERDICT = {True: "met", False: "MISSED", None: "not compared"}
_GAP = "  "


def claims_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """All claims, in the order of the benches' names."""
    benches = sorted(document["benchmarks"], key=lambda bench: str(bench["fullname"]))
    return [claim for bench in benches for claim in bench["extra_info"].get("claims", [])]


def table(claims: list[dict[str, Any]]) -> str:
    """A line each with its verdict, then the notes, then how many are met."""
    marks = _marks(claims)
    rows = [_HEAD, *(_row(claim, marks) for claim in claims)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [_GAP.join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
    lines += ["", *(f"[{mark}] {note}" for note, mark in marks.items()), _count(claims)]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _marks(claims: list[dict[str, Any]]) -> dict[str, int]:
    """A number for each different note."""
    notes = dict.fromkeys(claim["note"] for claim in claims if claim["note"])
    return {note: number for number, note in enumerate(notes, 1)}


def _row(claim: dict[str, Any], marks: dict[str, int]) -> tuple[str, ...]:
    ratio = "" if claim["ratio"] is None else f"{claim['ratio']:.2f}"
    mark = f" [{marks[claim['note']]}]" if claim["note"] else ""
    verdict = _VERDICT[claim["met"]] + mark
    return claim["figure"], claim["ours"], claim["peer"], ratio, claim["target"], verdict


def _count(claims: list[dict[str, Any]]) -> str:
    met = sum(claim["met"] is True for claim in claims)
    missed = sum(claim["met"] is False for claim in claims)
    other = len(claims) - met - missed
    said = f"{met} of {len(claims)} targets met, {missed} missed"
    return f"{said}, {other} not compared" if other else said


def main(arguments: list[str]) -> int:
    """Print the table of the file named."""
    if len(arguments) != 1:
        sys.stderr.write("usage: summary.py FILE\n")
        return 2
    try:
        document = json.loads(Path(arguments[0]).read_bytes())
    except (OSError, ValueError) as error:
        sys.stderr.write(f"summary.py: no results in {arguments[0]}: {error}\n")
        return 1
    claims = claims_of(document)
    sys.stdout.write("\n" + table(claims))
    return 0 if claims else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
