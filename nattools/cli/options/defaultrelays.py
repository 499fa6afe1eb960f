"""Relays that nobody has to name: those among the servers, and the public DERP servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nattools.cli.display.outputs import tell
from nattools.cli.options.sharedoptions import Servers
from nattools.cli.options.turnoptions import credentials_of
from nattools.errors import UsageError

if TYPE_CHECKING:
    from nattools.engine.relaysearch import RelaySearch


def default_relays(servers: Servers, *, no_derp: bool = False) -> RelaySearch:
    """What a diagnosis tries: relays among its servers, and where these are public ones, how far away the
    public DERP servers are, unless `no_derp`."""
    from nattools.engine.relaysearch import RelaySearch

    user, secret = credentials_of(None, None)
    turn = tuple(each for each in servers.uris if each.scheme in ("turn", "turns") and not servers.public)
    return RelaySearch(
        turn=turn,
        user=user,
        secret=secret,
        public_map=servers.public and not no_derp,
        far_only=True,
        keep=map_folder(),
    )


def check_maps(sources: list[str]) -> None:
    """What --derp-map takes. UsageError: one is neither a page nor a file."""
    for source in sources:
        if not source.startswith(("http://", "https://")) and not Path(source).is_file():
            raise UsageError(f"--derp-map {source[:100]!r}: there is no such file, and it is not a URL")


def map_folder() -> Path:
    """Where DERP maps that were fetched are kept."""
    from platformdirs import user_cache_path

    return user_cache_path("nattools", appauthor=False)


def say_that_map_is_fetched(without: str = "") -> None:
    """Somebody is asked for something that was not named: Tailscale's map, unless it is kept here. `without`:
    how not to."""
    from nattools.net.derp.derpmaps import DEFAULT_MAP, KEPT_S, kept_age_s

    age_s = kept_age_s(DEFAULT_MAP, map_folder())
    if age_s is None or age_s >= KEPT_S:
        tell(f"nattools: fetching the map of public DERP servers, {DEFAULT_MAP}{without}")
