"""Reading scenario files. Whatever the file holds, the result is a Scenario or a UsageError with the file,
the line and the reason.

`docs/reference/` has the format; `lab.scenario` its types. The scenarios that come with nattools stand in
`scenarios/` of the repository and, once installed, inside the package.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import msgspec

import nattools
from nattools.boundedtoml import read_text, toml_table
from nattools.errors import UsageError
from nattools.lab import expect, layout, validation
from nattools.lab.impairment import filled_in
from nattools.lab.scenario import FirewallSpec, HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.scenarioevents import EventSpec
from nattools.lab.tomlfields import (
    InvalidValue,
    check_keys,
    convert,
    field,
    line_of,
    shown,
    table_of,
)

MOST_EVENTS = 1000
MOST_OF_A_KIND = 40
"""Nodes of one kind: as many as `lab.layout` has addresses for."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,11}", re.ASCII)
_KINDS: dict[str, type[msgspec.Struct]] = {
    "nat": NatSpec,
    "firewall": FirewallSpec,
    "host": HostSpec,
    "server": ServerSpec,
}
_OPTIONS: dict[str, Any] = {
    "command": Literal["diagnose", "ipv6", "lan", "libp2p", "tailscale"],
    "peers": list[str],
    "lifetime": bool,
    "max_lifetime_s": float,
    "timeout_s": float,
    "interface": str,
    "families": list[int],
    "cross_check": bool,
    "low_ports": bool,
    "named_server": bool,
    "turn_user": str,
}


def folder() -> Path:
    """Where the scenarios that come with nattools are: in the package, or beside it in a clone."""
    package = Path(nattools.__file__).parent
    installed = package / "scenarios"
    return installed if installed.is_dir() else package.parent / "scenarios"


def available() -> list[str]:
    """The names of the scenarios that come with nattools."""
    try:
        files = os.listdir(folder())
    except OSError:
        return []
    return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))


def load(path_or_name: str) -> Scenario:
    """A scenario by its name, or from a file (a path that ends in `.toml` or has a folder in it)."""
    is_path = path_or_name.endswith(".toml") or "/" in path_or_name or "\\" in path_or_name
    if is_path:
        return parse(_read(Path(path_or_name), path_or_name), path_or_name)
    names = available()
    if path_or_name not in names:
        near = get_close_matches(path_or_name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "nattools lab list shows those that there are"
        raise UsageError(f"no scenario is called {shown(path_or_name)}; {hint}")
    return parse(
        _read(file_of(path_or_name), f"scenarios/{path_or_name}.toml"), f"scenarios/{path_or_name}.toml"
    )


def file_of(name: str) -> Path:
    """Where a scenario that comes with nattools is."""
    return folder() / f"{name}.toml"


def _read(path: Path, shown_as: str) -> str:
    try:
        return read_text(path, shown_as)
    except FileNotFoundError:
        raise UsageError(f"cannot read {shown_as}: there is no such file") from None


def parse(text: str, name: str) -> Scenario:
    """A scenario from its text. `name` is the file's name for messages; without folder and suffix it
    becomes the scenario's `name`."""
    try:
        return _scenario(toml_table(text), Path(name).stem)
    except InvalidValue as bad:
        where = f"{name}, line {line_of(text, bad.path)}"
        raise UsageError(f"{where}: {_dotted(bad.path)}{bad.reason}") from None
    except RecursionError:
        raise UsageError(f"{name}: nested too deeply for a scenario") from None
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _dotted(path: tuple[str, ...]) -> str:
    return "".join((".".join(shown(part).strip("'") for part in path), ": ")) if path else ""


def _scenario(table: dict[str, Any], name: str) -> Scenario:
    known = [name for name in Scenario.__struct_fields__ if name != "name"]
    check_keys(table, known, ())
    parts: dict[str, Any] = {kind: _nodes(table[kind], kind) for kind in _KINDS if kind in table}
    if "event" in table:
        parts["event"] = _events(table["event"])
    scenario = Scenario(
        title=_text(table, "title"),
        description=_text(table, "description", ""),
        options=_options(table.get("options", {})),
        expect=table_of(table.get("expect", {}), ("expect",)),
        name=name,
        **parts,
    )
    validation.validate(scenario)
    layout.plan(scenario)
    expect.validate(scenario.expect, list(scenario.host))
    return scenario


def _text(table: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = table.get(key, default)
    if value is None:
        raise InvalidValue((), f"{key!r} is missing")
    if not isinstance(value, str):
        raise InvalidValue((key,), f"expected text, not {shown(value)}")
    return value


def _nodes(value: object, kind: str) -> dict[str, Any]:
    nodes = table_of(value, (kind,))
    if len(nodes) > MOST_OF_A_KIND:
        raise InvalidValue((kind,), f"{len(nodes)} is too many: at most {MOST_OF_A_KIND}")
    for name in nodes:
        if not _NAME.fullmatch(name):
            raise InvalidValue((kind, name), "a name has 1 to 12 letters, digits, - or _")
    tables = {name: filled_in(table_of(spec, (kind, name))) for name, spec in nodes.items()}
    return {name: convert(table, _KINDS[kind], (kind, name)) for name, table in tables.items()}


def _events(value: object) -> tuple[EventSpec, ...]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InvalidValue(("event",), "write each as [[event]]")
    if len(value) > MOST_EVENTS:
        raise InvalidValue(("event",), f"{len(value)} is too many: at most {MOST_EVENTS}")
    return tuple(convert(each, EventSpec, ("event",)) for each in value)


def _options(value: object) -> dict[str, Any]:
    options = table_of(value, ("options",))
    check_keys(options, _OPTIONS, ("options",))
    return {key: field(each, _OPTIONS[key], ("options", key)) for key, each in options.items()}
