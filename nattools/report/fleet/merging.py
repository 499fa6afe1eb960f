"""Reads many reports, side by side on all processors, into the store; and asks it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import msgspec

from nattools.errors import UsageError
from nattools.model.report import TECHNIQUE_IDS
from nattools.report.fleet import fleetqueries
from nattools.report.fleet.fleetfiles import FileIdentity, documents, found_files
from nattools.report.fleet.fleetpairs import MOST_NETWORKS, pairs_of
from nattools.report.fleet.fleetrow import row_of
from nattools.report.fleet.fleetstore import FleetStore, open_store
from nattools.report.fleet.fleetsummary import (
    FaultyFile,
    Fleet,
    Grouping,
    GroupShare,
    Outlier,
    Share,
    TechniqueShare,
    share,
)
from nattools.workers import end_with_parent

Told = Callable[[int, int], None]
"""Hears how many reports are read so far, and how many files were none."""
_CHUNK = 250
_ALONE = 200
_MOST_FAULTS = 1000
_MOST_GROUPS = 100
_MOST_OUTLIERS = 50
_LOSS_ALWAYS_USUAL = 0.05


class _Read(msgspec.Struct):
    """What became of some files: rows in a file, and what were no reports."""

    file: str
    rows: int
    faults: list[FaultyFile]
    faulty: int


def merged(
    named: Sequence[str],
    told: Told,
    *,
    parquet: Path | None,
    apart: frozenset[FileIdentity] = frozenset(),
) -> Fleet:
    """All reports as one. `parquet`: where to write the table; `apart`: files that are not read, as
    `found_files` takes them. UsageError: there are none; CannotRun: DuckDB is not there."""
    with open_store() as store:
        faults: list[FaultyFile] = []
        rows = faulty = 0
        for done in _read_all(found_files(named, apart), store.folder):
            rows, faulty = rows + done.rows, faulty + done.faulty
            faults += done.faults[: _MOST_FAULTS - len(faults)]
            if done.rows:
                store.take(Path(done.file))
            told(rows, faulty)
        if not rows:
            first = f"; {faults[0].file}: {faults[0].problem}" if faults else ""
            raise UsageError(f"none of these files is a nattools report{first}")
        duplicates = store.settle()
        if parquet is not None:
            store.write_parquet(parquet)
        return _summary(store, duplicates, faulty, faults)


def _read_all(files: Iterator[str], folder: Path) -> Iterator[_Read]:
    """In chunks; where there are many, in several processes, a few chunks ahead and no more."""
    chunks = _chunked(files)
    first = next(chunks, [])
    second = next(chunks, None)
    if second is None and len(first) <= _ALONE:
        yield _read(first, str(folder / "0.jsonl"))
        return
    waiting: set[Future[_Read]] = set()
    workers = max(1, os.cpu_count() or 1)
    numbered = enumerate(_rejoined(first, second, chunks))
    context = get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
        for number, chunk in islice(numbered, 2 * workers):
            waiting.add(pool.submit(_read, chunk, str(folder / f"{number}.jsonl")))
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for each in done:
                for number, chunk in islice(numbered, 1):
                    waiting.add(pool.submit(_read, chunk, str(folder / f"{number}.jsonl")))
                yield each.result()


def _chunked(files: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(islice(files, _CHUNK)):
        yield chunk


def _rejoined(first: list[str], second: list[str] | None, rest: Iterable[list[str]]) -> Iterator[list[str]]:
    yield first
    if second is not None:
        yield second
    yield from rest


def _read(files: list[str], into: str) -> _Read:
    """The rows of some files, written as JSON lines."""
    done = _Read(into, 0, [], 0)
    encoder = msgspec.json.Encoder()
    with Path(into).open("wb") as out:
        for path in files:
            for name, data in documents(path):
                try:
                    if isinstance(data, UsageError):
                        raise data
                    out.write(encoder.encode(row_of(data, name)) + b"\n")
                    done.rows += 1
                except UsageError as error:
                    done.faulty += 1
                    if len(done.faults) < _MOST_FAULTS:
                        done.faults.append(FaultyFile(file=name, problem=str(error)))
    return done


def _summary(store: FleetStore, duplicates: int, faulty: int, faults: list[FaultyFile]) -> Fleet:
    (reports, first, last) = store.rows(fleetqueries.TOTALS)[0]
    mix = [(str(ends), int(many)) for ends, many in store.rows(fleetqueries.ENDS.format(most=MOST_NETWORKS))]
    groupings: tuple[Grouping, ...] = ("kind", "provider", "country")
    return Fleet(
        reports=reports,
        duplicates=duplicates,
        faulty=faulty,
        first=first,
        last=last,
        reachable={str(name): share(many, reports) for name, many in store.rows(fleetqueries.REACHABLE)},
        techniques=tuple(_techniques(store)),
        groups={each: tuple(_groups(store, each)) for each in groupings},
        pairs=pairs_of(mix, reports),
        outliers=tuple(_outliers(store)),
        faults=tuple(faults),
    )


def _techniques(store: FleetStore) -> Iterator[TechniqueShare]:
    counted = {(name, verdict): many for name, verdict, many in store.rows(fleetqueries.TECHNIQUES)}
    for name in TECHNIQUE_IDS:
        works, fails = counted.get((name, "works"), 0), counted.get((name, "fails"), 0)
        unknown, skipped = counted.get((name, "unknown"), 0), counted.get((name, "skipped"), 0)
        if works + fails + unknown + skipped:
            yield TechniqueShare(id=name, works=share(works, works + fails), unknown=unknown, skipped=skipped)


def _groups(store: FleetStore, column: Grouping) -> Iterator[GroupShare]:
    for name, many, direct, known, *counts in store.rows(fleetqueries.by(column, _MOST_GROUPS)):
        techniques: dict[str, Share] = {}
        for technique, works, fails in zip(TECHNIQUE_IDS, counts[::2], counts[1::2], strict=True):
            if works + fails:
                techniques[technique] = share(int(works), int(works + fails))
        yield GroupShare(
            name=name, reports=many, direct=share(int(direct), int(known)), techniques=techniques
        )


def _outliers(store: FleetStore) -> Iterator[Outlier]:
    """By Tukey's far fence: three times the distance of the quartiles above the upper one."""
    columns: tuple[tuple[str, float], ...] = (("rtt_ms", 0.0), ("loss", _LOSS_ALWAYS_USUAL))
    for what, least in columns:
        low, high = store.rows(fleetqueries.QUARTILES.format(what=what))[0]
        if low is None:
            continue
        bound = max(high + 3 * (high - low), least)
        for file, value in store.rows(
            fleetqueries.OUTLIERS.format(what=what, bound=bound, most=_MOST_OUTLIERS)
        ):
            yield Outlier(
                file=file, what="loss" if what == "loss" else "rtt_ms", value=value, usual=round(bound, 4)
            )
