"""`nattools serve`: STUN and dial-back on the sockets of any network: host, namespace or simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from nattools.chance import random_bytes
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, family_of
from nattools.net.base import MachineSocket, Network, StreamHandler, TcpListener, TcpStream, UdpSocket
from nattools.protocols.stun import constants as c
from nattools.server.connections import Answer, BackgroundTasks, NonStunHandler, Reception, converse
from nattools.server.dialbackserver import Cookies, DialBackLimits, DialBackServer
from nattools.server.endpoints import Role, ServerEndpoints, dialled_from
from nattools.server.errortrialserver import ErrorTrialServer, error_trials
from nattools.server.limits import RateLimit, Slots
from nattools.server.listening import check_listening
from nattools.server.service import StunService
from nattools.server.stun import BindingServer

if TYPE_CHECKING:
    import ssl

    from nattools.server.mailbox import MailboxLimits
    from nattools.server.mailboxserver import MailboxConnections
    from nattools.server.peer.peerservice import PeerService, PeerServiceConfig
    from nattools.server.relay.relayservice import RelayConfig, RelayService
_MULTISTREAM = 19
"""What a connection of libp2p begins with (`protocols.libp2p.multistream.FIRST_BYTE`)."""
_CHOICES = 8
"""So often the system chooses a port: one that is free over UDP at one address may be taken at the other one,
or over TCP, which is so of less than one in ten."""
_DIAL_BACK = (
    c.SERVICE_DIAL_BACK_UDP
    | c.SERVICE_DIAL_BACK_TCP
    | c.SERVICE_DIAL_BACK_PORTS
    | c.SERVICE_DIAL_BACK_LISTENS
)


class ServeConfig(msgspec.Struct, frozen=True):
    """What to serve, and how much of it.

    `addresses`: one or two of this machine's own per family. `port` 0: one that the system chooses.
    `alternate_port` None: no second port. Answers that amplify are limited to `answer_*` a second, per source
    and in all; new TCP connections to `arrival_*`, and the bytes that are read from them to `octet_*`.
    `idle_s`, `streams_per_source` and `streams` bound TCP connections, `peers_per_source` and
    `peers` those of the mailbox, which is on the same ports. `tls_files`: a certificate and its key, for TLS
    on those ports too.
    `dials`: may a dial-back go to this address (default: `dialled_from`)? `report` is told of every one, in
    words. `after_many` is called a little after some hundred connections: most are gone again then.
    """

    addresses: tuple[str, ...]
    port: int = 3478
    alternate_port: int | None = 3479
    tcp: bool = True
    dial_back: bool = True
    mailbox: bool = True
    tls_files: tuple[str, str] | None = None
    answer_rate: float = 20.0
    answer_burst: float = 100.0
    answer_total_rate: float = 2000.0
    answer_total_burst: float = 4000.0
    arrival_rate: float = 10.0
    arrival_burst: float = 128.0
    arrival_total_rate: float = 300.0
    arrival_total_burst: float = 1500.0
    octet_rate: float = 64e3
    octet_burst: float = 128e3
    octet_total_rate: float = 512e3
    octet_total_burst: float = 2e6
    idle_s: float = 30.0
    streams_per_source: int = 32
    streams: int = 512
    peers_per_source: int = 64
    peers: int = 4096
    mailbox_limits: MailboxLimits | None = None
    relay: RelayConfig | None = None
    libp2p: PeerServiceConfig | None = None
    secret: bytes = msgspec.field(default_factory=lambda: random_bytes(32))
    dials: Callable[[str], bool] | None = None
    report: Callable[[str], None] | None = None
    after_many: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        check_listening(self.addresses, self.port, self.alternate_port)

    def __repr__(self) -> str:
        # without the secret
        return f"ServeConfig(addresses={self.addresses!r}, port={self.port})"


class Running:
    """A running server. `endpoints` are what it listens on, over UDP and, if `tcp`, over TCP as well."""

    def __init__(self, network: Network, config: ServeConfig) -> None:
        self.endpoints: tuple[Endpoint, ...] = ()
        self._sites: tuple[ServerEndpoints, ...] = ()
        self._network = network
        self._config = config
        self._tasks = BackgroundTasks()
        self._open: list[UdpSocket | TcpListener] = []
        self._limit = _rate(config, "answer")
        self._cookies = Cookies(config.secret)
        self._dial_limits = DialBackLimits()
        self._slots = Slots(per_source=config.streams_per_source, total=config.streams)
        self._proven: set[tuple[Endpoint, Endpoint]] = set()
        self._reception = Reception(
            _rate(config, "arrival"), _rate(config, "octet"), self._proven, config.after_many
        )
        self._relay: RelayService | None = None
        self._trials: ErrorTrialServer | None = None
        self._relays = config.relay is not None and config.relay.relays
        self._has_mailbox = config.tcp and config.mailbox
        self._mailbox_connections: MailboxConnections | None = None
        self._tls = None if config.tls_files is None else _tls(config.tls_files)
        self._peers: PeerService | None = None

    async def start(self) -> None:
        """Open the sockets and serve. CannotRun: an address is not here, or a port is taken."""
        await self._tasks.start()
        if self._config.relay is not None:
            self._relay = self._make_relay(self._config.relay)
        sites: dict[Family, ServerEndpoints] = {}
        try:
            for family in (4, 6):
                addresses = [each for each in self._config.addresses if family_of(each) == family]
                if addresses:
                    sites[family] = await self._open_family(family, addresses)
        except BaseException:
            await self.close()
            raise
        if self._config.libp2p is not None and self._config.tcp:
            self._peers = self._make_peers(self._config.libp2p, sites)
        self._sites = tuple(sites.values())
        self.endpoints = tuple(endpoint for site in self._sites for _, endpoint in site)

    @property
    def services(self) -> str:
        """What it offers, in a few lines and, where that is less than it could be, why."""
        return describe(
            self._sites,
            self._network.is_public,
            tcp=self._config.tcp,
            dial_back=self._config.dial_back,
            mailbox=self._has_mailbox,
            tls=self._config.tls_files is not None,
            relay=self._config.relay,
            trials=self._trials,
            libp2p=() if self._peers is None else tuple(map(str, self._peers.addresses)),
        )

    async def close(self) -> None:
        """Close every socket and end every conversation. Idempotent."""
        for each in self._open:
            each.close()
        self._open.clear()
        await self._tasks.close()

    def _make_relay(self, config: RelayConfig) -> RelayService:
        from nattools.server.relay.relayservice import RelayService

        hosts: dict[Family, str] = {}
        for address in self._config.addresses:
            hosts.setdefault(family_of(address), address)
        relay = RelayService(self._network, config, hosts, self._tasks, self._config.secret, self._proven)
        self._tasks.spawn(relay.sweep_forever())
        return relay

    def _make_peers(self, config: PeerServiceConfig, sites: dict[Family, ServerEndpoints]) -> PeerService:
        from nattools.server.peer.peerservice import PeerService

        peers = PeerService(
            self._network,
            config,
            {family: [row[0] for row in site.endpoints] for family, site in sites.items()},
            {each: self._config.dials or dialled_from(self._network, site) for each, site in sites.items()},
            self._config.report,
        )
        self._tasks.spawn(peers.run())
        return peers

    async def _open_family(self, family: Family, addresses: list[str]) -> ServerEndpoints:
        """UDP first: the site's ports are known then, also where the system chose one."""
        ports = [self._config.port]
        if self._config.alternate_port is not None:
            ports.append(self._config.alternate_port)
        sockets: dict[Role, MachineSocket] = {}
        for address, host in enumerate(addresses):
            for index in range(len(ports)):
                socket = await self._network.open_udp(family=family, host=host, port=ports[index])
                self._open.append(socket)
                ports[index] = socket.local.port
                sockets[address, index] = socket
        site = ServerEndpoints(
            tuple(
                tuple(sockets[address, index].local for index in range(len(ports)))
                for address in range(len(addresses))
            )
        )
        service = self._service(site, sockets)
        for role in sockets:
            service.receive_on(role)
        if self._config.tcp:
            await self._listen(family, site, service)
        return site

    async def _listen(self, family: Family, site: ServerEndpoints, service: StunService) -> None:
        for role, endpoint in site:
            listener = await self._network.listen_tcp(
                family=family,
                host=endpoint.host,
                port=endpoint.port,
                on_stream=self._accept(service.stream_answer(role)),
            )
            self._open.append(listener)

    def _accept(self, answer: Answer) -> StreamHandler:
        def on_stream(stream: TcpStream) -> None:
            admitted = self._reception.admit(stream)
            if admitted is not None:
                self._tasks.spawn(self._converse(admitted, answer))

        return on_stream

    async def _converse(self, stream: TcpStream, answer: Answer) -> None:
        other = self._non_stun(answer)
        try:
            await converse(stream, answer, self._slots, patience_s=self._patience_s, other=other)
        finally:
            if self._relay is not None:
                self._relay.on_end(stream)

    def _patience_s(self, stream: TcpStream) -> float:
        return max(self._config.idle_s, 0.0 if self._relay is None else self._relay.patience_s(stream))

    def _non_stun(self, answer: Answer) -> NonStunHandler | None:
        """What serves connections that do not begin with STUN."""
        if not self._has_mailbox and self._tls is None and self._config.libp2p is None:
            return None
        return lambda stream, first: self._serve_other(stream, first, answer)

    async def _serve_other(self, stream: TcpStream, first: bytes, answer: Answer) -> None:
        if self._peers is not None and first[0] == _MULTISTREAM:
            await self._peers.serve(stream, first)
        elif self._has_mailbox or self._tls is not None:
            await self._mailbox().serve(stream, first, answer, self._slots)
        else:
            stream.close()

    def _mailbox(self) -> MailboxConnections:
        """Created and imported with its first client: most clients want STUN."""
        if self._mailbox_connections is None:
            from nattools.server.mailboxserver import MailboxConnections

            slots = Slots(per_source=self._config.peers_per_source, total=self._config.peers)
            self._mailbox_connections = MailboxConnections(
                self._config.mailbox_limits,
                slots,
                tls=self._tls,
                rooms=self._has_mailbox,
                offer=(lambda: None) if self._relay is None else self._relay.offer,
                patience_s=self._patience_s,
            )
            self._tasks.spawn(self._mailbox_connections.sweep_forever())
        return self._mailbox_connections

    def _service(self, site: ServerEndpoints, sockets: dict[Role, MachineSocket]) -> StunService:
        dial_back = self._config.dial_back
        flags = _DIAL_BACK if dial_back else 0
        flags |= c.SERVICE_MAILBOX if self._has_mailbox else 0
        flags |= c.SERVICE_RELAY if self._relays else 0
        flags |= c.SERVICE_LIBP2P if self._config.libp2p is not None and self._config.tcp else 0
        dials = self._config.dials or dialled_from(self._network, site)
        trials = error_trials(self._network, site, self._cookies, dials) if dial_back else None
        if trials is not None:
            self._trials = trials
            flags |= c.SERVICE_ERROR_TRIALS
        return StunService(
            self._network,
            site,
            sockets,
            self._tasks,
            BindingServer(site, self._limit, flags),
            DialBackServer(site, self._cookies, self._dial_limits, dials) if dial_back else None,
            self._config.report,
            self._relay if self._relays else None,
            trials,
        )


def _rate(config: ServeConfig, kind: Literal["answer", "arrival", "octet"]) -> RateLimit:
    names = ("rate", "burst", "total_rate", "total_burst")
    return RateLimit(**{name: getattr(config, f"{kind}_{name}") for name in names})


def _tls(files: tuple[str, str]) -> ssl.SSLContext:
    from nattools.net.web.tls import server_context

    return server_context(*files)


async def serve(network: Network, config: ServeConfig) -> Running:
    """Serve until `Running.close`. CannotRun: an address is not this machine's, or a port is taken."""
    choices = _CHOICES if 0 in (config.port, config.alternate_port) else 1
    while True:
        running = Running(network, config)
        try:
            await running.start()
        except CannotRun:
            choices -= 1
            if choices == 0:
                raise
        else:
            return running


def describe(
    sites: Iterable[ServerEndpoints],
    is_public: Callable[[str], bool],
    *,
    tcp: bool,
    dial_back: bool,
    mailbox: bool = False,
    tls: bool = False,
    relay: RelayConfig | None = None,
    trials: ErrorTrialServer | None = None,
    libp2p: Iterable[str] = (),
) -> str:
    """Lines of text, the first one a summary."""
    lines = [_summary(tcp, dial_back)]
    for site in sites:
        lines += _lines(site, is_public)
    secured = ", with and without TLS" if tls else ""
    if mailbox:
        lines.append(f"Mailbox (WebSocket) on the same ports over TCP{secured}")
    if trials is not None:
        does = "crafted on request" if trials.crafts else "seen, not sent: that takes CAP_NET_RAW"
        lines.append(f"ICMP errors for pwnat test: {does}")
    if relay is not None:
        lines += _relay_lines(relay, tcp=tcp, mailbox=mailbox, secured=secured)
    lines += [f"libp2p (identify, AutoNAT v2, relay v2) at {address}" for address in libp2p]
    return "\n".join(lines)


def _relay_lines(relay: RelayConfig, *, tcp: bool, mailbox: bool, secured: str) -> Iterator[str]:
    if relay.relays:
        over = f"UDP and TCP{secured}" if tcp else "UDP"
        low, high = relay.ports
        yield f"Relay (TURN) on the same ports over {over}; it relays on ports {low} to {high}"
    if relay.secret is not None and mailbox:
        whose = ", ".join(relay.uris) if relay.uris else "it"
        yield f"      Two who meet in the mailbox get credentials for {whose}"


def _summary(tcp: bool, dial_back: bool) -> str:
    services = "STUN (RFC 8489)" + (" and dial-back" if dial_back else "")
    return f"{services} over {'UDP and TCP' if tcp else 'UDP'}"


def _lines(site: ServerEndpoints, is_public: Callable[[str], bool]) -> Iterator[str]:
    hosts = [row[0].host for row in site.endpoints]
    ports = [endpoint.port for endpoint in site.endpoints[0]]
    family = f"IPv{family_of(hosts[0])}"
    yield f"{family}  {' and '.join(hosts)}, port{'s' * (len(ports) > 1)} {' and '.join(map(str, ports))}"
    yield "      " + _behaviour(len(hosts), len(ports))
    for host in hosts:
        if not is_public(host):
            yield f"      {host} is not a public address: clients elsewhere cannot reach it"


def _behaviour(hosts: int, ports: int) -> str:
    if hosts == 2 and ports == 2:
        return "RFC 5780: clients can determine mapping and filtering behaviour in full"
    if ports == 1:
        return "No RFC 5780 (answers have no OTHER-ADDRESS): that takes two addresses and two ports"
    return (
        "No RFC 5780 (answers have no OTHER-ADDRESS): that takes a second address. Port changes are answered"
    )
