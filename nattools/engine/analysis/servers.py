"""Which servers can be believed: how each behaved."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from nattools.engine.analysis.evidence import JudgedAnswer, PathEvidence, doubt
from nattools.engine.analysis.nat.externals import ExternalAddresses
from nattools.model.endpoint import Endpoint, read_endpoint
from nattools.model.observation import Binding
from nattools.model.report import Server
from nattools.model.statement import Statement, statement, unique


class ServerBehaviour(msgspec.Struct):
    """How one server host behaved. `problems` are its faults; `distrusted`: its filtering evidence does not
    count. `other`: the other address that it names."""

    answered: bool = False
    nattools: bool = False
    refuses_change: bool = False
    changed: bool = False
    distrusted: bool = False
    other: Endpoint | None = None
    problems: list[Statement] = msgspec.field(default_factory=list)

    def blame(self, problem: Statement, *, distrust: bool = True) -> None:
        """Note a fault once."""
        self.distrusted = self.distrusted or distrust
        if problem not in self.problems:
            self.problems.append(problem)

    @property
    def rfc5780(self) -> bool | None:
        """Can it change address and port? None: it names another address, but nothing came from there."""
        if not self.answered:
            return None
        if self.other is None or self.refuses_change or self.distrusted:
            return False
        return True if self.changed or self.nattools else None


def server_behaviours(paths: list[PathEvidence]) -> dict[str, ServerBehaviour]:
    """The behaviour of every server host, judged by all paths over which it was asked."""
    found: dict[str, ServerBehaviour] = defaultdict(ServerBehaviour)
    for path in paths:
        for binding, judged in zip(path.bindings, path.judged, strict=True):
            asked = read_endpoint(binding.asked)
            if asked is not None:
                _note(found[asked.host], asked, binding, judged)
        _blame_own_names(path, found)
        _blame_silence(path, found)
        _blame_losses(path, found)
    return found


def _blame_silence(path: PathEvidence, found: dict[str, ServerBehaviour]) -> None:
    """A server that did not answer from elsewhere, though the port had written there and has one outside
    port for all, would not have answered a filtering test either."""
    silent = [
        binding
        for binding in path.bindings
        if binding.purpose == "control" and binding.change_address and binding.outcome == "timeout"
    ]
    if not silent:
        return
    outside: dict[tuple[Endpoint | None, str], set[Endpoint]] = defaultdict(set)
    for answer in path.answers:
        outside[answer.local, path.groups.of(answer.asked.host)].add(answer.mapped)
    for binding in silent:
        asked = read_endpoint(binding.asked)
        if asked is None:
            continue
        one_port = len(outside[read_endpoint(binding.local), path.groups.of(asked.host)]) == 1
        if one_port and path.loss_to(asked.host).conclusive(binding.sent):
            found[asked.host].blame(statement("server-no-change", server=str(asked)))


def _blame_losses(path: PathEvidence, found: dict[str, ServerBehaviour]) -> None:
    """Its silence is held against what it loses itself, and what it says counts as ever."""
    hosts = {asked.host for binding in path.bindings if (asked := read_endpoint(binding.asked)) is not None}
    for host in sorted(hosts):
        lost = path.loss_to(host).share
        if path.transport == "udp" and path.groups.of(host) in path.overloaded and lost is not None:
            blame = statement("server-overloaded", server=path.groups.of(host), lost=lost)
            found[host].blame(blame, distrust=False)


def _blame_own_names(path: PathEvidence, found: dict[str, ServerBehaviour]) -> None:
    """A server that names nothing but the address it was asked at has no other one, and its filtering tests
    would make every NAT look permissive. (One that is asked at its other address may well name that.)"""
    claims: dict[str, list[tuple[Endpoint, Endpoint]]] = defaultdict(list)
    for pair in dict.fromkeys((binding.asked, binding.other_address) for binding in path.bindings):
        asked, other = map(read_endpoint, pair)
        if asked is not None and other is not None:
            claims[asked.host].append((asked, other))
    for host, made in claims.items():
        asked = made[0][0]
        if all(at == other for at, other in made) and path.groups.namers(asked) <= {asked}:
            found[host].blame(statement("server-names-itself", server=str(asked)))


def _note(server: ServerBehaviour, asked: Endpoint, binding: Binding, judged: JudgedAnswer) -> None:
    changing = binding.change_address or binding.change_port
    if binding.outcome == "malformed" and not changing:
        server.blame(statement("server-not-stun", server=str(asked), detail=binding.detail), distrust=False)
    if binding.error_code is not None and changing:
        server.refuses_change = True
    if binding.outcome != "answered":
        return
    server.answered = True
    doubted = doubt(binding, judged)
    if doubted is not None:
        server.blame(doubted, distrust=False)
    server.nattools = server.nattools or binding.nattools_server
    other, source = read_endpoint(binding.other_address), read_endpoint(binding.source)
    if other is not None and other != asked:
        server.other = other
    origin = source if binding.source == binding.response_origin else read_endpoint(binding.response_origin)
    if origin is not None and source is not None and origin != source and binding.transport == "udp":
        server.blame(
            statement("server-origin-differs", server=str(asked), origin=str(origin), source=str(source))
        )
    if changing and source is not None:
        _note_change(server, asked, source, binding)


def _note_change(server: ServerBehaviour, asked: Endpoint, source: Endpoint, binding: Binding) -> None:
    """RFC 5780 7.2: with the flags set, the answer must come from elsewhere."""
    if binding.change_address:
        obeyed, code = source.host != asked.host, "server-same-address"
    else:
        obeyed, code = source.host == asked.host and source.port != asked.port, "server-same-port"
    if obeyed:
        server.changed = True
    else:
        server.blame(statement(code, server=str(asked), source=str(source)))


def describe(
    servers: tuple[Server, ...], paths: list[PathEvidence], behaviours: dict[str, ServerBehaviour]
) -> tuple[Server, ...]:
    """The servers as the report lists them: what was noted of them while measuring, and what is now known."""
    return tuple(_described(server, paths, behaviours) for server in servers)


def _described(server: Server, paths: list[PathEvidence], behaviours: dict[str, ServerBehaviour]) -> Server:
    host = _host_of(server)
    if host is None or host not in behaviours:
        return server
    known = behaviours[host]
    problems = unique((*server.problems, *known.problems))
    if not known.answered and not problems:
        problems = (statement("server-silent"),)
    return Server(
        uri=server.uri,
        address=server.address,
        answered=server.answered or known.answered,
        rfc5780=known.rfc5780 if known.answered else server.rfc5780,
        nattools=known.nattools if known.answered else server.nattools,
        problems=problems,
    )


def _host_of(server: Server) -> str | None:
    """A server's address is given with or without a port."""
    if server.address is None:
        return None
    whole = read_endpoint(server.address) if server.address.count(":") == 1 or "]" in server.address else None
    return whole.host if whole is not None else server.address.strip("[]").partition("%")[0]


def server_notices(
    behaviours: dict[str, ServerBehaviour], externals: list[ExternalAddresses]
) -> list[Statement]:
    """All that a reader should know about the servers before trusting the rest."""
    found = [notice for outside in externals for notice in outside.notices]
    for host, known in behaviours.items():
        found += known.problems
        if known.problems and known.distrusted:
            found.append(statement("server-filtering-unused", server=host))
    return found
