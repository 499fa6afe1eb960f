"""What a connection asks for a path, and for another one when that is lost."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Final

from nattools.engine.punch.attempt import Attempt
from nattools.engine.punch.localside import LocalSide
from nattools.engine.punch.signaling import PeerConversation
from nattools.engine.punch.signals import A_PATH, AttemptAim
from nattools.engine.punch.timeline import NoPath, Timeline
from nattools.model.endpoint import Transport
from nattools.model.statement import Statement
from nattools.traversal.budget import Budget
from nattools.traversal.path import SECURE_S, SelectedPath

MOST_FIRST_PATHS: Final = 3


class PathFinder(ABC):
    """Makes attempt after attempt. `last` is the latest one by a plan, and `announced` the latest whose plan
    was told; `sent`: packets of all attempts. Set `moved` when this machine has come into another network, so
    that it is measured again."""

    def __init__(self, own: LocalSide, timeline: Timeline) -> None:
        self.own, self.timeline = own, timeline
        self.budget = Budget(asyncio.get_running_loop().time)
        self.last: Attempt | None = None
        self.announced: Attempt | None = None
        self.moved = False
        self.sent = 0

    @property
    @abstractmethod
    def signaling(self) -> PeerConversation:
        """The conversation with the peer."""

    @property
    @abstractmethod
    def leads(self) -> bool:
        """This side's part in the latest attempt."""

    @property
    def resumes(self) -> bool:
        """Have both sides still the secure connection that the latest attempt was to find a path for?"""
        return False

    @property
    def first_paths(self) -> int:
        """So many paths that cannot be secured are given up before there is a connection."""
        return MOST_FIRST_PATHS if self.signaling.live else 1

    @property
    def secure_s(self) -> float:
        """How long the peer may take to secure the first path."""
        return SECURE_S

    def secured(self) -> None:  # noqa: B027
        """There is a connection with the peer."""

    @property
    def newcomer_s(self) -> float | None:
        """So long has somebody else who knows the secret been asking for the peer's place, and the peer not
        for another path. None: nobody does."""
        return None

    def make_room(self) -> Statement:
        """The peer is gone, and the newcomer has its place once this connection has ended. Why."""
        raise NotImplementedError

    @abstractmethod
    async def connect(
        self, *, resumes: bool = False, without: Transport | None = None, aim: AttemptAim = A_PATH
    ) -> SelectedPath | NoPath:
        """One attempt. `resumes`: the secure connection is still there; `without`: a transport not to use
        this time.

        CannotRun: this machine is in no network."""
