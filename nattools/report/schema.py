"""The JSON schema of a report, generated from its types.

`python -m nattools.report.schema FILE` writes it; without a file it goes to standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from nattools.model.report import SCHEMA, Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """The schema as an indented JSON document that ends in a newline; the same bytes every time."""
    document = {"$schema": DIALECT, "title": SCHEMA, **msgspec.json.schema(Report)}
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2).decode() + "\n"


def main() -> None:
    """Write the schema to the file named, or to standard output."""
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(schema_text(), encoding="utf-8")
    else:
        sys.stdout.write(schema_text())


if __name__ == "__main__":
    main()
