"""TOML files that anybody may have written: read within bounds, which parsers of TOML do not have."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

from nattools.errors import UsageError

SIZE_LIMIT: Final = 256 * 1024
LONGEST_LINE: Final = 4000
MOST_DOTS: Final = 60
"""Of a line. A key of many parts costs its parser the square of their number."""


def read_text(path: Path, shown: str) -> str:
    """What the file holds; of one that is too long, enough for `toml_table` to refuse.

    UsageError: it cannot be read. FileNotFoundError: there is none."""
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"cannot read {shown}: it is not a file")
        with path.open("rb") as file:
            return file.read(SIZE_LIMIT + 1).decode()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UsageError(f"cannot read {shown}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{shown} is not text in UTF-8") from None
    except ValueError as error:
        raise UsageError(f"cannot read {shown}: {error}") from None


def toml_table(text: str) -> dict[str, Any]:
    """The table of a text. UsageError: it is none, or too much of it; tomllib's errors name the line."""
    if len(text) > SIZE_LIMIT:
        raise UsageError(f"longer than {SIZE_LIMIT // 1024} KiB")
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > LONGEST_LINE or line.count(".") > MOST_DOTS:
            limits = f"at most {LONGEST_LINE} characters, and {MOST_DOTS} dots"
            raise UsageError(f"line {number} is too long: {limits}")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UsageError("nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"not TOML: {error}") from None
