"""Saved reports come from strangers: any bytes give a report that can be drawn, or a UsageError."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_mutations import VALUES, mutated
from report_samples import home_router
from schema import schema_text

from nattools.engine.analyse import reanalyse
from nattools.errors import UsageError
from nattools.model.report import TIME_OVER
from nattools.net.addresses import is_public
from nattools.report import savedreport
from nattools.report.html import render_html
from nattools.report.markdown import render_markdown
from nattools.report.savedreport import load, load_file, problems, render_json
from nattools.report.terminal import render_text
from nattools.wording.texts import with_texts

GOOD = render_json(home_router()).encode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (b"\n\r\r\n\x1c\0\0\0", "a packet capture and no report"),
        (b"\xd4\xc3\xb2\xa1\2\0", "a packet capture and no report"),
        (b"\x1f\x8b\x08\0", "compressed, and cut short"),
        (b"\x1f\x8bgarbage of some length", "compressed, and damaged"),
        (gzip.compress(b"{} {}"), "something follows the first JSON document"),
        (b'{"schema": "nattools.fleet/1"}', "many reports, merged"),
        (b"<!DOCTYPE html>\n", "a page made of a report"),
        (b"\xff\xfe", "the file is empty"),
        (b"\xff\xfe{\0", "not JSON, or cut short"),
        (GOOD[: len(GOOD) // 2], "not JSON, or cut short"),
        (GOOD + b"{}", "something follows the first JSON document"),
        (b"[]", "not a nattools report"),
        (b"{}", 'it does not say "schema"'),
        (b'{"schema": 1}', 'it does not say "schema"'),
        (b'{"schema": "nattools.report/2"}', "written by a later nattools"),
        (b'{"schema": "nattools.report/0"}', "unknown schema"),
        (b'{"schema": "nattools.report/\\u001b[2J"}', "unknown schema"),
        (b'{"schema": "nattools.report/1"}', "missing required field"),
        (GOOD.replace(b'"works"', b'"perhaps"', 1), "Invalid enum value 'perhaps' - at `$.techniques"),
        (b"[" * 1_000_000, "not a nattools report"),
        (b'{"x":' * 100_000, "nested too deeply"),
        (GOOD.replace(b'"duration_s": 1.234', b'"duration_s": 1e999'), "not "),
    ],
)
def test_refuses_with_the_cause(data: bytes, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(data)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(GOOD),
        GOOD.decode().encode("utf-16"),
        b"\xfe\xff" + GOOD.decode().encode("utf-16-be"),
        GOOD.replace(b"\n", b"\r\n"),
    ],
)
def test_reads_what_shells_and_tools_make_of_a_report(data: bytes, tmp_path: Path) -> None:
    assert load(data) == home_router()
    (tmp_path / "a.json").write_bytes(data)
    assert load_file(tmp_path / "a.json") == home_router()


def test_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(GOOD)))
    assert load_file(Path("-")) == home_router()
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UsageError, match="-: the file is empty"):
        load_file(Path("-"))


def test_what_unpacks_to_more_than_is_read_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(savedreport, "SIZE_LIMIT", len(GOOD))
    assert load(gzip.compress(GOOD)) == home_router()
    with pytest.raises(UsageError, match="too large for a nattools report"):
        load(gzip.compress(GOOD + b" "))


def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(savedreport, "SIZE_LIMIT", len(GOOD) - 1)
    with pytest.raises(UsageError, match="too large for a nattools report"):
        load(GOOD)


def test_reads_a_file_and_names_it_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD)
    assert load_file(path) == home_router()
    path.write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"a\.json: not JSON"):
        load_file(path)
    with pytest.raises(UsageError, match=r"cannot read .*missing"):
        load_file(tmp_path / "missing")
    with pytest.raises(UsageError, match="cannot read"):
        load_file(tmp_path)


def test_fields_of_later_versions_are_ignored() -> None:
    later = json.loads(GOOD)
    later["novelty"] = {"deep": [1, 2, {}]}
    later["techniques"][0]["novelty"] = True
    assert load(json.dumps(later).encode()) == home_router()


def test_inconsistencies_are_named() -> None:
    report = home_router()
    assert problems(report) == []
    twice = msgspec.structs.replace(report, observations=report.observations + report.observations[:1])
    assert problems(twice) == ["two observations have the same id"]
    none = msgspec.structs.replace(report, observations=())
    assert problems(none)[0] == "technique direct-ipv4 refers to observation 1, which does not exist"
    assert any("finding mapping" in line for line in problems(none))


def draws(data: bytes) -> None:
    """The property itself."""
    try:
        report = load(data)
    except UsageError:
        return
    for detail in (0, 2):
        text = render_text(report, detail=detail)  # type: ignore[arg-type]
        assert all(c.isprintable() or c == "\n" for c in text)
    render_markdown(report)
    render_html(report)
    problems(report)
    reanalyse(report, is_public=is_public)
    assert load(render_json(report).encode()) == report


@settings(deadline=None)
@given(st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_input(data: bytes) -> None:
    draws(data)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(json.loads(GOOD))), VALUES, min_size=1, max_size=3))
def test_arbitrary_fields(fields: dict[str, Any]) -> None:
    draws(json.dumps({**json.loads(GOOD), **fields}).encode())


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(mutated())
def test_mutated_values(data: bytes) -> None:
    draws(data)


@settings(deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=6), st.integers(0, 6))
def test_mutated_bytes(at: int, inserted: bytes, removed: int) -> None:
    draws(GOOD[:at] + inserted + GOOD[at + removed :])


def test_a_report_of_an_earlier_version_has_texts_alone() -> None:
    old = json.loads(GOOD)
    for technique in old["techniques"]:
        technique.pop("reason", None)
        technique.pop("remedy", None)
    old["techniques"][0]["summary"] = "As it was worded once."
    old["warnings"] = ["The time given was over before all questions were answered; more is not known."]
    old.pop("notices", None)
    report = load(json.dumps(old).encode())
    assert report.timed_out
    assert with_texts(report).techniques[0].summary == "As it was worded once."
    assert reanalyse(report, is_public=is_public).warns_of(TIME_OVER)


def test_a_map_report_of_an_earlier_version_keeps_its_headline() -> None:
    warning = (
        "The router's own external address, 100.64.0.2, is not public: your provider runs a second NAT "
        "beyond it. Mappings on this router alone do not reach you from the internet."
    )
    old = json.dumps({**json.loads(GOOD), "command": "map", "action": "add", "warnings": [warning]})
    report = load(old.encode())
    assert report.notices == ()
    assert "There is a second NAT beyond your router" in render_text(report)


def test_the_published_schema_is_that_of_the_types() -> None:
    path = Path(__file__).parents[3] / "docs" / "schema" / "report.json"
    assert path.read_text(encoding="utf-8") == schema_text(), (
        f"the types changed: scripts/schema.py {path.relative_to(Path.cwd())}"
    )
