"""The JSON schema of a report, generated from its types.

`scripts/schema.py FILE` writes it; without a file it goes to standard output.
"""

from __future__ import annotations

import sys
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from nattools.model.report import SCHEMA, Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """The schema as an indented JSON document that ends in a newline; the same bytes every time."""
    document = {"$schema": DIALECT, "title": SCHEMA, **msgspec.json.schema(Report)}
    _clean_descriptions(document)
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2).decode() + "\n"


def _clean_descriptions(node: Any) -> None:
    """Descriptions are docstrings, whose indentation Python 3.13 removes and earlier versions keep."""
    if isinstance(node, dict):
        if isinstance(node.get("description"), str):
            node["description"] = cleandoc(node["description"])
        for each in node.values():
            _clean_descriptions(each)
    elif isinstance(node, list):
        for each in node:
            _clean_descriptions(each)


def main(arguments: list[str]) -> int:
    """Write the schema to the file named, or to standard output; with `--check FILE`, compare with the file
    instead and give 1 if it is not the same."""
    if arguments[:1] == ["--check"] and len(arguments) == 2:
        path = Path(arguments[1])
        if path.is_file() and path.read_text(encoding="utf-8") == schema_text():
            return 0
        sys.stderr.write(f"{path} is not what the types give: scripts/schema.py {path}\n")
        return 1
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        path = Path(arguments[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(schema_text(), encoding="utf-8")
        return 0
    if arguments:
        sys.stderr.write("usage: scripts/schema.py [[--check] FILE]\n")
        return 2
    sys.stdout.write(schema_text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
