"""The parts of docs/reference/ that follow from the code, made from it.

    python scripts/reference.py [--check]

A document marks them:

    <!-- generated help lab exec -->      what `nattools lab exec --help` prints
    <!-- generated fields Nat -->         a table of the fields of a type
    <!-- generated sentences advice -->   a table of codes and the sentences that are made of them
    <!-- generated refusals -->           a table of what routers say instead of a mapping
    <!-- generated explanations -->       what codes mean, how it was found, what to do
    <!-- end -->

In a table the fields, their values and their defaults follow from the type; what a field means is written
by hand, in the table, and kept. With --check nothing is written: a difference, a missing part and a field
without a meaning are errors.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nattools.cli.app import COMMANDS, run  # noqa: E402 -- of this clone, whatever is installed
from nattools.lab import impairment, scenario, scenariofiles  # noqa: E402
from nattools.model.observation import Observation  # noqa: E402
from nattools.model.punch import Punch  # noqa: E402
from nattools.model.report import Report  # noqa: E402
from nattools.wording.explanations import TOPICS, all_codes, explain  # noqa: E402
from nattools.wording.sentences import tables  # noqa: E402

FOLDER = ROOT / "docs" / "reference"
_PART = re.compile(
    r"(?<=^<!-- generated )(\w+)([^\n]*?) -->\n(.*?)(?=^<!-- end -->)", re.MULTILINE | re.DOTALL
)
_ROW = re.compile(r"^\| `([^`|]+)` \|.*\| (.*?) *\|$", re.MULTILINE)
_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything"}
_MANY = {str: "texts", int: "whole numbers", float: "numbers", type(None): "nulls"}
_TABLES = {
    "NatSpec": "nat",
    "FirewallSpec": "firewall",
    "HostSpec": "host",
    "ServerSpec": "server",
}
"""Types of a scenario file that stand in tables of their own."""
OPTIONS = "options"
"""The name under which the scenario file's table of options stands; it has no type of its own."""


def commands() -> list[str]:
    """All commands as they are typed after `nattools`, groups first; "" is nattools itself."""
    found = [""]
    for name in COMMANDS:
        found.append(name)
        found += [f"{name} {line.split()[0]}" for line in _listed(help_text(name))]
    return found


def _listed(text: str) -> list[str]:
    """The lines of a help text that name subcommands."""
    lines = text.partition("\nCommands:\n")[2].partition("\n\n")[0].splitlines()
    return [line for line in lines if re.match(r"  \S", line)]


def help_text(command: str) -> str:
    """What `--help` prints, at 80 columns."""
    os.environ["COLUMNS"] = "80"
    with redirect_stdout(io.StringIO()) as out:
        run([*command.split(), "--help"])
    return out.getvalue()


def report_types() -> dict[str, type[msgspec.Struct]]:
    """The types that a report is made of, by name, in the order in which a reader meets them."""
    found: dict[str, type[msgspec.Struct]] = {}
    _walk(Report, found)
    return found


def _walk(kind: Any, found: dict[str, type[msgspec.Struct]]) -> None:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind.__name__ not in found:
            found[kind.__name__] = kind
            for hint in get_type_hints(kind).values():
                _walk(hint, found)
    else:
        for part in get_args(kind):
            _walk(part, found)


def scenario_types() -> dict[str, type[msgspec.Struct]]:
    """The types that a scenario file is made of, by name."""
    kinds = (
        scenario.Scenario,
        impairment.Impairment,
        impairment.BurstSpec,
        scenario.MapperSpec,
        scenario.Nat64Spec,
        scenario.NatSpec,
        scenario.FirewallSpec,
        scenario.HostSpec,
        scenario.ControlSpec,
        scenario.LanSpec,
        scenario.DerpSpec,
        scenario.TurnSpec,
        scenario.Libp2pSpec,
        scenario.ServerSpec,
        scenario.EventSpec,
    )
    return {kind.__name__: kind for kind in kinds}


Field = tuple[str, ...]
"""A field's name, and the columns that follow from its type."""


def fields_of(name: str) -> list[Field]:
    """The rows of a table: (name, values) in a report, (name, values, default) in a scenario."""
    if name == OPTIONS:
        return [(key, values(kind), "") for key, kind in scenariofiles._OPTIONS.items()]
    if name == "Observation":
        return [("kind", "text"), *((key, values(hint)) for key, hint in get_type_hints(Observation).items())]
    if name in scenario_types():
        return list(_scenario_fields(scenario_types()[name]))
    kind = report_types()[name]
    base = next((each for each in (Observation, Punch) if kind is not each and issubclass(kind, each)), None)
    common = {} if base is None else get_type_hints(base)
    return [(key, values(hint)) for key, hint in get_type_hints(kind).items() if key not in common]


def _scenario_fields(kind: type[msgspec.Struct]) -> Iterator[Field]:
    """Without those that stand in the base type's own table, and the name, which is the file's."""
    base = set() if kind is impairment.Impairment else set(get_type_hints(impairment.Impairment))
    hints = get_type_hints(kind)
    for each in msgspec.structs.fields(kind):
        if each.name in base or (kind is scenario.Scenario and each.name == "name"):
            continue
        yield each.name, values(hints[each.name], optional=False), _default(each)


def _default(each: msgspec.structs.FieldInfo) -> str:
    if each.required:
        return "required"
    if each.default in (msgspec.NODEFAULT, None, (), {}):
        return ""
    return f"`{msgspec.json.encode(each.default).decode()}`"


def values(kind: Any, *, optional: bool = True) -> str:
    """What a field may hold, in the words of JSON and TOML. `optional`: say so where it may be null."""
    if get_origin(kind) is Literal:
        return ", ".join(f"`{msgspec.json.encode(each).decode()}`" for each in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        parts = [values(part) for part in get_args(kind) if part is not NoneType]
        return " or ".join([*parts, "null"] if optional and NoneType in get_args(kind) else parts)
    if get_origin(kind) in (tuple, list):
        return _sequence(get_args(kind))
    if get_origin(kind) is dict:
        return _mapping(get_args(kind)[1])
    if kind is NoneType:
        return "null"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    return _PLAIN[kind]


def _sequence(parts: tuple[Any, ...]) -> str:
    if len(parts) > 1 and parts[-1] is not Ellipsis:
        return f"[{', '.join(values(part) for part in parts)}]"
    kind = NoneType if parts[0] is None else parts[0]
    if any(issubclass(part, Observation) for part in get_args(kind) if isinstance(part, type)):
        return "list of [observations](#observations)"
    return f"list of {_MANY.get(kind) or values(kind)}"


def _mapping(kind: Any) -> str:
    """A scenario's nodes stand in tables of their own, whose names their authors choose."""
    name = _TABLES.get(getattr(kind, "__name__", ""))
    if name is not None:
        return f"tables [`[{name}.NAME]`](#{name}name)"
    return "table" if kind is Any else f"table of {_MANY.get(kind) or values(kind)}"


def table(name: str, meanings: dict[str, str]) -> str:
    """The table of a type's fields with what they mean."""
    rows = fields_of(name)
    heads = ("Key", "Values", "Default", "Meaning") if len(rows[0]) == 3 else ("Field", "Values", "Meaning")
    lines = [_line(heads), _line(("---",) * len(heads))]
    lines += [_line((f"`{key}`", *rest, meanings.get(key, ""))) for key, *rest in rows]
    return "".join(lines)


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _table(rows: list[tuple[str, str]], heads: tuple[str, str] = ("Code", "Sentence")) -> str:
    return "".join(map(_line, [heads, ("---", "---"), *rows]))


def refusals() -> list[tuple[str, str]]:
    """The codes of routers' refusals, with what happened and what to do."""
    of_statements = {code for table in tables().values() for code in table}
    found = [explained for code in all_codes() if code not in of_statements and (explained := explain(code))]
    return [(f"`{each.code}`", f"{each.sentence} {each.remedy}") for each in found]


def explanations() -> str:
    """A section for each topic, with its codes as patterns: which topic is whose does not change with every
    new code."""
    sections = []
    for topic in TOPICS:
        products = f"\n{_table(list(topic.products.items()), ('Where', 'How'))}" if topic.products else ""
        sections.append(
            f"### {topic.title}\n\n{topic.meaning}\n\n"
            f"**Found by:** {topic.found}\n\n**To do:** {topic.do}\n{products}\n"
            f"Codes: {', '.join(f'`{code}`' for code in topic.codes) or 'all others'}.\n"
        )
    return "\n".join(sections)


def _generated(kind: str, name: str, old: str) -> str:
    if kind == "help":
        return f"\n```text\n$ nattools {f'{name} ' if name else ''}--help\n{help_text(name)}```\n\n"
    if kind == "sentences":
        rows = [("Code", "Sentence"), ("---", "---")]
        rows += [(f"`{code}`", sentence) for code, sentence in tables()[name].items()]
        return "\n" + "".join(map(_line, rows)) + "\n"
    if kind == "refusals":
        return f"\n{_table(refusals())}\n"
    if kind == "explanations":
        return f"\n{explanations()}\n"
    return f"\n{table(name, dict(_ROW.findall(old)))}\n"


def renewed(text: str) -> str:
    """A document with its generated parts as the code has them now."""
    return _PART.sub(
        lambda part: f"{part[1]}{part[2]} -->\n{_generated(part[1], part[2].strip(), part[3])}", text
    )


PARTS = {
    "commands.md": lambda: [f"help {command}".strip() for command in commands()],
    "report.md": lambda: [f"fields {name}" for name in ("Observation", *report_types())],
    "findings.md": lambda: [*(f"sentences {name}" for name in tables()), "refusals", "explanations"],
    "scenario-files.md": lambda: [f"fields {name}" for name in (*scenario_types(), OPTIONS)],
}
"""What must be in each document."""


def problems(document: str, text: str) -> list[str]:
    """What is wrong with a document, a sentence each."""
    found = [f"{kind}{name}" for kind, name, _ in _PART.findall(text)]
    wrong = [f"has no <!-- generated {part} -->" for part in PARTS[document]() if part not in found]
    if renewed(text).split() != text.split():
        wrong.append("does not say what the code says: run python scripts/reference.py")
    for kind, name, body in _PART.findall(text):
        if kind == "fields":
            wrong += [
                f"does not say what {name.strip()}.{key} means"
                for key, says in _ROW.findall(body)
                if not says
            ]
    return wrong


def main(arguments: list[str]) -> int:
    """Renew or check the documents."""
    wrong = []
    for document in PARTS:
        path = FOLDER / document
        text = path.read_text(encoding="utf-8")
        if arguments != ["--check"]:
            text = renewed(text)
            path.write_text(text, encoding="utf-8")
        wrong += [f"docs/reference/{document} {each}" for each in problems(document, text)]
    sys.stderr.write("".join(f"{each}\n" for each in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
