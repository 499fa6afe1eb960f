"""Which addresses belong to one server: the asked one and the one that it calls its other."""

from __future__ import annotations

from nattools.model.endpoint import Endpoint


class ServerGroups:
    """Hosts joined by OTHER-ADDRESS. Two addresses of one server are two destinations but one witness."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._others: dict[str, set[Endpoint]] = {}
        self._namers: dict[Endpoint, set[Endpoint]] = {}

    def join(self, asked: Endpoint | None, other: Endpoint | None) -> None:
        """A server asked at one endpoint named another as its own."""
        if asked is None or other is None or asked in self._namers.get(other, ()):
            return
        self._others.setdefault(asked.host, set()).add(other)
        self._namers.setdefault(other, set()).add(asked)
        first, second = self.of(asked.host), self.of(other.host)
        self._parent[max(first, second)] = min(first, second)

    def of(self, host: str) -> str:
        """The name of the group that a host is in."""
        while (parent := self._parent.get(host, host)) != host:
            host = parent
        return host

    def others(self, host: str) -> set[Endpoint]:
        """What a host called its other address."""
        return self._others.get(host, set())

    def namers(self, other: Endpoint) -> set[Endpoint]:
        """Who called this endpoint its other address."""
        return self._namers.get(other, set())
