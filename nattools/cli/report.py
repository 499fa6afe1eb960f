"""`nattools report`: what can be done with saved reports."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from nattools.cli.app import new_app
from nattools.cli.display.outputs import (
    check_writable,
    checked_outputs,
    renderer,
    show,
    tell,
    write_document,
    write_files,
    write_json,
    write_out,
    write_text,
)
from nattools.cli.options import completion, sharedoptions
from nattools.errors import UsageError
from nattools.model.provider import Provider
from nattools.model.report import Report
from nattools.report.document import Document
from nattools.report.safetext import safe, valid_text
from nattools.report.savedreport import load_file, problems
from nattools.report.terminal import lay_out, terminal_columns, write_lines

FORMATS = ("terminal", "json", "md", "html", "txt")
AnyFile = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="A report that -o or --json wrote; -: standard input."),
]
Code = Annotated[
    str | None,
    typer.Option("--code", metavar="CODE", help="A support code of nattools ipv6, instead of a file."),
]
KEPT = ("asn", "country", "private")
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A report that -o or --json wrote; -: standard input.")
]
Form = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help=", ".join(FORMATS),
        autocompletion=completion.one_of(*FORMATS),
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Analyse its observations again, with this version.")]

Kept = Annotated[
    str | None,
    typer.Option(
        "--keep", metavar="LIST", help="What to keep, separated by commas: asn, country, private (addresses)."
    ),
]
Salt = Annotated[
    str | None,
    typer.Option(
        "--salt", metavar="TEXT", help="Reports that are redacted with the same TEXT agree; keep it secret."
    ),
]
Networks = Annotated[
    Path | None,
    typer.Option(
        "--networks", metavar="FILE", help="A table of iptoasn.com, for --keep asn,country: .tsv or .tsv.gz."
    ),
]
Ports = Annotated[bool, typer.Option("--ports", help="Change port numbers too.")]
Written = Annotated[
    list[Path], typer.Option("-o", "--output", metavar="FILE", help=".json, .md, .html or .txt. Repeatable.")
]

LowPorts = Annotated[
    str | None,
    typer.Option(
        "--low-ports", metavar="a|b|both", help="Which machine may bind ports below 1024 (default: neither)."
    ),
]

report_app = new_app(no_args_is_help=True, help="Show, check and compare saved reports.")


@report_app.command("show")
def show_report(
    file: AnyFile = None,
    code: Code = None,
    form: Form = "terminal",
    again: Again = False,
    output: sharedoptions.Output = None,
    as_json: sharedoptions.Json = False,
    verbose: sharedoptions.Verbose = 0,
) -> int:
    """Show a saved report as it was shown when measured, or what a support code says."""
    sharedoptions.check_choice("--format", form, FORMATS)
    if (file is None) == (code is None):
        raise UsageError(
            "give FILE, a report, or --code CODE, a support code of nattools ipv6\n"
            "See: nattools report show --help"
        )
    files = checked_outputs(output or [])
    if file is None:
        if files:
            raise UsageError("-o writes a report: give FILE")
        if form not in ("terminal", "json", "txt"):
            raise UsageError(f"--code: a support code is shown as terminal, json or txt, not as {form}")
        return _show_code(code or "", as_json=as_json or form == "json")
    report = _anew(load_file(file)) if again else load_file(file)
    detail = sharedoptions.detail_of(verbose)
    if form == "terminal" or as_json:
        show(report, as_json=as_json, detail=detail)
    else:
        (write_document if form == "json" else write_out)(renderer(form, detail)(report))
    write_files(report, files, detail)
    return 0


def _show_code(code: str, *, as_json: bool) -> int:
    from nattools.model.supportcode import read_support_code
    from nattools.report.sections.ipv6 import of_code
    from nattools.wording.texts import ipv6_with_texts

    try:
        found = ipv6_with_texts(read_support_code(code))
    except ValueError as error:
        raise UsageError(f"--code {code[:40]!r}: {error}") from None
    if as_json:
        write_json(found)
        return 0
    _write_page(Document(f"Support code {found.code}", of_code(found)))
    return 0


def _anew(report: Report) -> Report:
    from nattools.engine.analyse import reanalyse
    from nattools.net.addresses import is_public

    return reanalyse(report, is_public=is_public)


@report_app.command("validate")
def validate_report(file: File, as_json: sharedoptions.Json = False) -> int:
    """Check a saved report: exit code 0 if it is a report of this schema, 1 if it is not."""
    if str(file) != "-" and (os.path.isdir(file) or not os.path.exists(file)):
        raise UsageError(f"there is no file {file}")
    try:
        report = load_file(file)
    except UsageError as error:
        found, schema = [str(error)], None
    else:
        found, schema = problems(report), report.schema
    if as_json:
        write_json({"valid": not found, "schema": schema, "problems": found})
    else:
        lines = [safe(line) for line in found] or [f"{safe(str(file))}: a valid report ({schema})"]
        write_out("".join(f"{line}\n" for line in lines))
    return 1 if found else 0


@report_app.command("predict")
def predict(
    a: Annotated[Path, typer.Argument(metavar="A", help="One machine's report.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The other machine's report.")],
    low_ports: LowPorts = None,
    as_json: sharedoptions.Json = False,
) -> int:
    """How two machines would connect: by what, with what odds, packets and time."""
    sharedoptions.check_choice("--low-ports", low_ports, ("a", "b", "both"))
    from nattools.report.prediction import prediction_json, prediction_page
    from nattools.traversal.plan.punchplan import MeasuredEnd
    from nattools.traversal.plan.punchplan import predict as predict_plan

    reports = _both(a, b)
    granted = (low_ports in ("a", "both"), low_ports in ("b", "both"))
    ends = [
        MeasuredEnd(nat=each.nat, low_ports=low, outside=frozenset(each.nat.external()))
        for each, low in zip(reports, granted, strict=True)
    ]
    made = predict_plan(ends[0], ends[1], ("A's", "B's"))
    files = (valid_text(str(a)), valid_text(str(b)))
    if as_json:
        write_document(prediction_json(made, files))
    else:
        _write_page(prediction_page(made, files, reports, terminal_columns(sys.stdout)))
    return 0


def _both(a: Path, b: Path) -> tuple[Report, Report]:
    if str(a) == str(b) == "-":
        raise UsageError("- can be given only once: there is one standard input")
    return load_file(a), load_file(b)


def _write_page(page: Document) -> None:
    write_lines(lay_out(page, terminal_columns(sys.stdout)), sys.stdout)
    sys.stdout.flush()


@report_app.command("diff")
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="The earlier report.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The later one.")],
    as_json: sharedoptions.Json = False,
    verbose: sharedoptions.Verbose = 0,
) -> int:
    """What has changed from one report to another, and what that means.

    Exit code 0: nothing that two measurements of one network would not show; 1: something."""
    from nattools.report.comparison import compare, comparison_json, comparison_page

    reports = _both(a, b)
    found, files = compare(*reports), (valid_text(str(a)), valid_text(str(b)))
    if as_json:
        write_document(comparison_json(found, files))
    else:
        _write_page(comparison_page(found, files, reports, all_of_it=bool(sharedoptions.detail_of(verbose))))
    return 0 if found.same else 1


@report_app.command("redact")
def redact(
    file: File,
    output: Written,
    keep: Kept = None,
    salt: Salt = None,
    ports: Ports = False,
    networks: Networks = None,
) -> int:
    """Write a report that can be posted: with pseudonyms for addresses, names and tokens, and the same
    verdicts."""
    kept = frozenset(filter(None, (word.strip() for word in (keep or "").split(","))))
    for word in sorted(kept):
        sharedoptions.check_choice("--keep", word, KEPT)
    if networks is not None and not kept & {"asn", "country"}:
        raise UsageError("--networks FILE is for --keep asn,country")
    if salt is not None and not salt:
        raise UsageError("--salt: give a text that others cannot guess")
    files = checked_outputs(output)
    from nattools.report.redaction import Redaction, redacted

    report = load_file(file)
    provider = _provider(report, kept, networks)
    write_files(redacted(report, Redaction(salt, kept, ports, provider)), files, 2)
    return 0


def _provider(report: Report, kept: frozenset[str], networks: Path | None) -> Provider | None:
    """Whose network it was. UsageError: it is to be kept, and nobody knows."""
    outside = [
        address
        for nat in (report.nat.udp4, report.nat.tcp4, report.nat.udp6)
        if nat
        for address in nat.external
    ]
    if networks is not None and outside:
        from nattools.report.redaction.networktable import provider_of

        return provider_of(networks, outside[0])
    if kept & {"asn", "country"} and report.provider is None and networks is None:
        raise UsageError(
            "the report does not say whose network it was: --networks FILE looks it up in a table"
        )
    return None


@report_app.command("scenario")
def scenario(
    file: File,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.toml", help="The scenario file to write.")
    ],
) -> int:
    """Draw the network of a report as a scenario, which gives the same report: reproduce it on your desk.

    What the report leaves open has the ordinary value and is marked. 'nattools lab run FILE.toml' holds one
    against the other."""
    if output.suffix.lower() != ".toml":
        raise UsageError(f"-o {output}: a scenario's file is called FILE.toml")
    check_writable(output)
    from nattools.lab.redraw import redrawn
    from nattools.lab.scenariofiles import parse

    drawing = redrawn(load_file(file))
    text = drawing.toml()
    try:
        parse(text, str(output))
    except UsageError as error:
        raise UsageError(f"{file}: no scenario can be drawn like this: {error}") from None
    write_text(output, text)
    marked = len(drawing.open)
    left = f"; {marked} {'thing is' if marked == 1 else 'things are'} left open and marked" if marked else ""
    tell(f"nattools: {output} is written{left}. To measure it: nattools lab run {shlex.quote(str(output))}")
    return 0


@report_app.command("merge")
def merge(
    named: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES|FOLDER...", help="Reports: .json, .jsonl, .ndjson, .gz; folders; patterns."
        ),
    ],
    output: Annotated[
        list[Path] | None,
        typer.Option("-o", "--output", metavar="FILE", help=".json, .html, .md or .parquet. Repeatable."),
    ] = None,
    as_json: sharedoptions.Json = False,
) -> int:
    """Many reports as one: which technique works for which share of them, by kind of NAT, provider and
    country, and which pairs of them would connect.

    What is no report is listed, and stops nothing. Needs DuckDB: pip install duckdb."""
    from nattools.cli.mergefiles import merge_into

    if not output and not as_json:
        raise UsageError("nowhere to write to: give -o FILE or --json\nSee: nattools report merge --help")
    return merge_into(named, output or [], as_json=as_json)
