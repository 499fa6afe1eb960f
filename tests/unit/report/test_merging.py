"""Many reports as one: what is counted, what is left out, and that nothing in a report can break out."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from report_samples import home_router

from nattools.cli.app import run
from nattools.errors import UsageError
from nattools.model.nat import NAT_KINDS, NatByTransport
from nattools.model.provider import Provider
from nattools.model.report import Advice, Report
from nattools.report.fleet import Fleet, merged
from nattools.report.fleet.fleetpage import fleet_page
from nattools.report.html import html_page
from nattools.report.markdown import markdown_page
from nattools.report.savedreport import render_json
from nattools.report.terminal import plain_text

duckdb = pytest.importorskip("duckdb")
EVIL = (
    "'; DROP TABLE reports; --",
    '","x":1}\n{"',
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "\x1b[2J\x00\u202e",
)


def report_of(kind: str, number: int, country: str | None = None) -> Report:
    """A report of a machine behind such a NAT."""
    nat = replace(NAT_KINDS[kind], classic={"port-restricted": "port-restricted cone"}.get(kind, "symmetric"))
    provider = None if country is None else Provider(asn=64512, name=f"Net of {country}", country=country)
    return replace(
        home_router(),
        started=f"2026-01-01T00:00:{number:06d}Z",
        nat=NatByTransport(udp4=nat),
        provider=provider,
        observations=(),
    )


def test_of_junk_everything_is_named_and_nothing_waited_for(tmp_path: Path) -> None:
    good = render_json(report_of("full cone", 1)).replace("\n", " ")
    (tmp_path / "good.json").write_text(good, encoding="utf-8")
    (tmp_path / "some.jsonl").write_text(f"{good}\n\nx\n{{}}\n", encoding="utf-8")
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "self.json").symlink_to("self.json")
    (tmp_path / "dead.json").symlink_to("nowhere")
    (tmp_path / "zeros.jsonl").symlink_to("/dev/zero")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "folder.json" / "again").symlink_to(tmp_path)
    with gzip.open(tmp_path / "bomb.json.gz", "wb") as file:
        file.writelines(bytes(1 << 20) for _ in range(64))
    with gzip.open(tmp_path / "blank.jsonl.gz", "wb") as file:
        file.writelines(b"\n" * (1 << 16) for _ in range(8))
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(good.encode())[:200])
    fleet = merge([str(tmp_path)])
    assert (fleet.reports, fleet.duplicates) == (1, 1)
    found = {Path(each.file).name: each.problem for each in fleet.faults}
    assert {name: next(word for word in words if word in found[name]) for name, words in ODD.items()}
    assert len(found) == len(ODD)


ODD = {
    "blank.jsonl.gz": ("lines without anything",),
    "bomb.json.gz": ("too large",),
    "cut.json.gz": ("end-of-stream",),
    "dead.json": ("No such file",),
    "fifo.json": ("is not a file",),
    "self.json": ("symbolic links",),
    "some.jsonl:3": ("not JSON",),
    "some.jsonl:4": ("schema",),
    "zeros.jsonl": ("is not a file",),
}


def written(folder: Path, reports: list[Report]) -> list[str]:
    for number, report in enumerate(reports):
        (folder / f"{number}.json").write_text(render_json(report), encoding="utf-8")
    return [str(folder)]


def merge(named: list[str], parquet: Path | None = None) -> Fleet:
    return merged(named, lambda reports, faulty: None, parquet=parquet)


def test_shares_are_those_of_the_mix_within_their_intervals(tmp_path: Path) -> None:
    draw = random.Random(4)
    kinds = draw.choices(("port-restricted", "symmetric random"), (0.7, 0.3), k=700)
    fleet = merge(written(tmp_path, [report_of(kind, number) for number, kind in enumerate(kinds)]))
    assert fleet.reports == 700
    counted = {each.name: each.reports for each in fleet.groups["kind"]}
    assert counted == {
        "port-restricted cone": kinds.count("port-restricted"),
        "symmetric": kinds.count("symmetric random"),
    }
    assert fleet.pairs is not None
    assert fleet.pairs.networks == 2
    both = fleet.pairs.relay + fleet.pairs.unknown
    assert 0 <= both < 0.2
    weights = {each.strategy: each.share for each in fleet.pairs.ways}
    assert weights["reflexive"] == pytest.approx(0.7**2, abs=0.06)
    assert weights["birthday"] == pytest.approx(2 * 0.7 * 0.3, abs=0.06) or len(weights) > 2


def test_what_connects_and_what_needs_a_relay_are_all(tmp_path: Path) -> None:
    kinds = ("port-restricted", "port-restricted", "symmetric random", "symmetric random")
    pairs = merge(written(tmp_path, [report_of(kind, number) for number, kind in enumerate(kinds)])).pairs
    assert pairs is not None
    assert pairs.unknown == 0
    assert pairs.direct.share is not None
    assert 0 < pairs.direct.share < 1
    assert pairs.direct.share + pairs.relay == pytest.approx(1, abs=0.0002)
    assert pairs.direct.low < pairs.direct.share < pairs.direct.high


def test_files_of_all_kinds_and_what_is_none(tmp_path: Path) -> None:
    one, two, three = (render_json(report_of("port-restricted", number)).encode() for number in range(3))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a.json").write_bytes(one)
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(two))
    lines = [msgspec.json.encode(json.loads(three)), b"", b"{broken", msgspec.json.encode(json.loads(one))]
    (tmp_path / "c.jsonl").write_bytes(b"\n".join(lines))
    (tmp_path / "same.json").write_bytes(two)
    (tmp_path / "cut.json").write_bytes(one[:900])
    (tmp_path / "other.json").write_text('{"schema": "nattools.report/99"}')
    (tmp_path / "not.json.gz").write_bytes(b"no gzip")
    (tmp_path / "notes.txt").write_text("not looked at in a folder")
    fleet = merge([str(tmp_path)])
    assert fleet.reports == 4  # the same report in another form is another one
    assert fleet.duplicates == 1
    assert fleet.faulty == 4
    assert sorted(Path(each.file).name for each in fleet.faults) == [
        "c.jsonl:3",
        "cut.json",
        "not.json.gz",
        "other.json",
    ]
    assert merge([str(tmp_path / "**" / "*.json")]).faulty == 2


def test_nothing_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no report is found"):
        merge([str(tmp_path)])
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(UsageError, match="none of these files is a nattools report"):
        merge([str(tmp_path)])


@pytest.mark.parametrize("text", EVIL)
def test_texts_of_strangers_stay_texts(tmp_path: Path, text: str) -> None:
    evil = replace(
        report_of("port-restricted", 1),
        started=text,
        provider=Provider(asn=1, name=text, country=text),
        tool=replace(home_router().tool, version=text),
    )
    table = tmp_path / "it's.parquet"
    folder = tmp_path / "in"
    folder.mkdir()
    fleet = merge(written(folder, [evil, report_of("port-restricted", 2, "DE")]), table)
    assert fleet.reports == 2
    assert {each.name for each in fleet.groups["country"]} == {text, "DE"}
    page = fleet_page(fleet)
    assert "<script>" not in html_page(page)
    assert "<script>" not in markdown_page(page)
    assert "\x1b" not in plain_text(page, 80)
    rows = duckdb.sql(
        f"SELECT started, provider FROM '{str(table).replace(chr(39), chr(39) * 2)}'"
    ).fetchall()
    assert (text, text) in rows


def test_figures_and_names_of_strangers_stop_nothing(tmp_path: Path) -> None:
    ordinary = report_of("port-restricted", 1, "DE")
    lane = ordinary.nat.udp4
    assert lane is not None
    odd = [
        replace(ordinary, provider=Provider(asn=2**70, name="many digits")),
        *(
            replace(
                ordinary, started=f"2026-02-0{number}", nat=NatByTransport(udp4=replace(lane, rtt_ms=rtt))
            )
            for number, rtt in enumerate((1.7e308, -1.7e308, 20.0), 1)
        ),
    ]
    (tmp_path / os.fsdecode(b"name-\xff.json")).write_text(render_json(ordinary))
    unheard = render_json(replace(ordinary, advice=Advice(reachable="directly")))
    (tmp_path / "unheard.json").write_text(unheard.replace('"directly"', '"in a new way"'))
    (tmp_path / os.fsdecode(b"none-\xff.json")).write_text("nothing")
    fleet = merge(written(tmp_path, odd))
    assert (fleet.reports, fleet.faulty) == (5, 2)
    assert fleet.faults[0].file.endswith("none-\\udcff.json")
    assert msgspec.json.encode(fleet)


def test_groups_have_the_techniques_of_their_own(tmp_path: Path) -> None:
    reports = [report_of("port-restricted", number, "DE" if number % 3 else "FR") for number in range(30)]
    fleet = merge(written(tmp_path, reports))
    assert {each.name: each.reports for each in fleet.groups["country"]} == {"DE": 20, "FR": 10}
    punching = fleet.groups["country"][0].techniques["udp-punch"]
    assert (punching.count, punching.of, punching.share) == (20, 20, 1.0)
    assert punching.low == pytest.approx(0.84, abs=0.01)


def test_the_table_names_no_file_and_no_address(tmp_path: Path) -> None:
    table = tmp_path / "t.parquet"
    folder = tmp_path / "secret-folder"
    folder.mkdir()
    merge(written(folder, [report_of("port-restricted", number) for number in range(3)]), table)
    names = [row[0] for row in duckdb.sql(f"DESCRIBE SELECT * FROM '{table}'").fetchall()]
    assert "file" not in names
    assert "udp-punch" in names
    assert b"secret-folder" not in table.read_bytes()
    assert b"11.1.0.2" not in table.read_bytes()


def test_what_is_written_is_not_read(tmp_path: Path) -> None:
    one = render_json(report_of("full cone", 1)).replace("\n", " ")
    two = render_json(report_of("full cone", 2)).replace("\n", " ")
    (tmp_path / "two.ndjson").write_text(f"{one}\n{two}\n", encoding="utf-8")
    written = tmp_path / "all.json"
    for _ in range(2):
        assert run(["report", "merge", str(tmp_path), "-o", str(written)]) == 0
        found = json.loads(written.read_text(encoding="utf-8"))
        assert (found["reports"], found["faulty"]) == (2, 0)


def test_no_report_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "a.json"
    report.write_bytes(render_json(report_of("full cone", 1)).encode("utf-16"))
    before = report.read_bytes()
    assert run(["report", "merge", str(report), "-o", str(report)]) == 2
    assert "that is a report, which would be lost" in capsys.readouterr().err
    assert report.read_bytes() == before
    assert run(["report", "merge", str(report), "-o", str(tmp_path / "all.json")]) == 0
