"""Which servers to ask: named on the command line, else in the environment, else in the configuration file,
else the built-in public ones."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from nattools.engine.options import PUBLIC_SERVERS
from nattools.errors import UsageError
from nattools.model.serveruri import ServerUri, parse_server
from nattools.report.safetext import safe

VARIABLE = "NATTOOLS_SERVER"
CONFIG_NAME = "config.toml"


class Servers(NamedTuple):
    """Servers to ask; `public`: they are the built-in list."""

    uris: tuple[ServerUri, ...]
    public: bool = False


def chosen_servers(named: tuple[ServerUri, ...]) -> Servers:
    """The servers to use; UsageError if the environment or the file names one wrongly."""
    for servers in (named, _from_environment(), _from_config(config_path())):
        if servers:
            return Servers(servers)
    return Servers(tuple(parse_server(text) for text in PUBLIC_SERVERS), public=True)


def config_path() -> Path:
    """`config.toml` in the user's configuration folder."""
    from platformdirs import user_config_path

    return user_config_path("nattools", appauthor=False) / CONFIG_NAME


def parse_all(texts: list[str], where: str = "") -> tuple[ServerUri, ...]:
    """Parse each server, each once; UsageError says where the bad one stands."""
    try:
        return tuple({parse_server(text): None for text in texts})
    except UsageError as error:
        raise UsageError(f"{where}: {error}" if where else str(error)) from None


def _from_environment() -> tuple[ServerUri, ...]:
    texts = [text for text in re.split(r"[\s,]+", os.environ.get(VARIABLE, "")) if text]
    return parse_all(texts, f"the environment variable {VARIABLE}")


def _from_config(path: Path) -> tuple[ServerUri, ...]:
    try:
        with path.open("rb") as file:
            config = tomllib.load(file)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    return _servers_of(config, path)


def _servers_of(config: dict[str, Any], path: Path) -> tuple[ServerUri, ...]:
    unknown = [key for key in config if key != "server"]
    if unknown:
        raise UsageError(f"{path}: unknown key {safe(unknown[0], 60)!r}; there is only 'server'")
    value = config.get("server", [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f'{path}: write server = ["HOST:PORT", ...]')
    return parse_all(texts, str(path))
