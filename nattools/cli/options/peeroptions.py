"""The options of `nattools serve` that make it a libp2p peer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nattools.chance import random_bytes
from nattools.errors import CannotRun, UsageError
from nattools.net.system.oserrors import describe

if TYPE_CHECKING:
    from nattools.server.peer.peerservice import PeerServiceConfig


def peer_config(wanted: bool, key: Path | None, *, tcp: bool, files: int) -> PeerServiceConfig | None:
    """None: no libp2p. UsageError: the options do not go together. CannotRun: the file of the key cannot be
    read or made."""
    if not wanted:
        if key is not None:
            raise UsageError("--libp2p-key is for --libp2p")
        return None
    if not tcp:
        raise UsageError("--libp2p is served over TCP: leave --no-tcp out")
    from nattools.server.peer.peerservice import PeerServiceConfig

    seed = None if key is None else _kept_seed(key)
    return PeerServiceConfig(seed=seed, peers=min(256, files // 8))


def _kept_seed(path: Path) -> bytes:
    """The 32 bytes in a file, which is made, for its owner alone, if there is none."""
    from nattools.protocols.libp2p.hostkey import SEED_SIZE

    try:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            with path.open("rb") as existing:
                seed = existing.read(SEED_SIZE + 1)
        else:
            seed = random_bytes(SEED_SIZE)
            with os.fdopen(handle, "wb") as new:
                new.write(seed)
    except OSError as error:
        raise CannotRun(f"the key file {path} cannot be used: {describe(error)}") from error
    if len(seed) != SEED_SIZE:
        raise UsageError(f"--libp2p-key {path}: a key has {SEED_SIZE} bytes, and this file has another size")
    return seed
