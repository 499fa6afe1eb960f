"""DERP maps from where the user says they are: a file, or a web page, which is asked for once a day."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

import msgspec

from nattools.errors import ProtocolError, UsageError
from nattools.net.base import Network
from nattools.net.system.privatefiles import make_folder, open_own
from nattools.net.web.webrequest import fetch
from nattools.protocols import derp
from nattools.protocols.derp import derpmap

DEFAULT_MAP: Final = "https://controlplane.tailscale.com/derpmap/default"
KEPT_S: Final = 86_400.0
_FETCH_S: Final = 10.0


class LoadedMap(msgspec.Struct, frozen=True):
    """A map, and where it is from: fetched now, kept from a fetch `age_s` seconds ago, or a file. `problem`:
    why it could not be fetched anew."""

    map: derp.DerpMap
    origin: Literal["fetched", "kept", "file"]
    age_s: float = 0.0
    problem: str = ""


def is_page(source: str) -> bool:
    """Is it a URL, so that somebody is asked for it?"""
    return source.startswith(("http://", "https://"))


def kept_age_s(source: str, folder: Path | None) -> float | None:
    """How many seconds ago this page was fetched and kept; None: it is not there. What a clock that has been
    set back since then calls tomorrow's is as old as what is fetched again."""
    if folder is None:
        return None
    with contextlib.suppress(OSError):
        age_s = time.time() - _place(source, folder).stat().st_mtime
        return age_s if age_s > -1 else KEPT_S
    return None


async def load_map(network: Network, source: str, folder: Path | None) -> LoadedMap | str:
    """The map in a file or at a URL; a text says why there is none. `folder` keeps what was fetched for a
    day, and longer where nobody answers; None: nothing is kept. UsageError: there is no such file, or it
    holds no map."""
    if not is_page(source):
        return LoadedMap(_read_file(Path(source)), "file")
    age_s = kept_age_s(source, folder)
    kept = None if folder is None or age_s is None else _kept(_place(source, folder))
    if kept is not None and age_s is not None and age_s < KEPT_S:
        return LoadedMap(kept, "kept", age_s)
    data = await fetch(network, source, max_body=derpmap.MAX_SIZE, timeout_s=_FETCH_S)
    problem = data if isinstance(data, str) else ""
    if isinstance(data, bytes):
        try:
            fetched = derp.parse_map(data)
        except ProtocolError as error:
            problem = f"what is there is not a DERP map: {error}"
        else:
            if folder is not None:
                _keep(_place(source, folder), data)
            return LoadedMap(fetched, "fetched")
    if kept is not None and age_s is not None:
        return LoadedMap(kept, "kept", age_s, problem)
    return problem


def _place(source: str, folder: Path) -> Path:
    return folder / f"derpmap-{hashlib.sha256(source.encode()).hexdigest()[:16]}.json"


def _read_file(path: Path) -> derp.DerpMap:
    try:
        with path.open("rb") as file:
            return derp.parse_map(file.read(derpmap.MAX_SIZE + 1))
    except OSError as error:
        raise UsageError(f"the DERP map {path} cannot be read: {error.strerror}") from None
    except ProtocolError as error:
        raise UsageError(f"{path} is not a DERP map: {error}") from None


def _kept(path: Path) -> derp.DerpMap | None:
    """None: what was kept is damaged, or gone, or somebody has put something else in its place."""
    with contextlib.suppress(OSError, ProtocolError), os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        return derp.parse_map(file.read(derpmap.MAX_SIZE + 1))
    return None


def _keep(path: Path, data: bytes) -> None:
    """Whole or not at all; where nothing can be kept, it is fetched again. Nobody who may write the folder
    chooses what is overwritten (with `sudo -E` it is a user's, and this is root), nor does another nattools
    that keeps the same meanwhile write into this one's."""
    with contextlib.suppress(OSError):
        make_folder(path.parent)
        new = path.with_suffix(f".{uuid4().hex}.new")
        try:
            with os.fdopen(open_own(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
                file.write(data)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
