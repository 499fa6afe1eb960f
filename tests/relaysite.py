"""A relay without sockets, and clients of it that say whatever a test has them say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Final

from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.net.addresses import is_public
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import LongTermAuthentication
from nattools.protocols.stun.message import Attribute
from nattools.protocols.turn import turnconstants as t
from nattools.server.relay.relayallocation import ForwardedData, RelayAllocation
from nattools.server.relay.turn import AllocateOrder, Decision, TurnServer
from nattools.server.relay.turnconnections import ConnectOrder, JoinOrder
from nattools.server.relay.turncredentials import Challenges, Client, TurnUsers
from nattools.server.relay.turnlimits import Quotas, TurnLimits
from nattools.server.relay.turnpeers import PeerRules

SERVER: Final = Endpoint("11.201.0.2", 3478)
SERVER6: Final = Endpoint("2a10:201::2", 3478)
HOSTS: Final[dict[Family, str]] = {4: SERVER.host, 6: SERVER6.host}
ALICE: Final = Endpoint("11.1.0.2", 40001)
BOB: Final = Endpoint("11.2.0.2", 40002)
PEER: Final = Endpoint("11.3.0.2", 5000)
PEER6: Final = Endpoint("2a10:3::2", 5000)
SECRET: Final = "the relay's secret"
NOW_S: Final = 1_900_000_000
UDP: Final[Attribute] = (c.REQUESTED_TRANSPORT, turn.pack_transport(t.UDP))
TCP: Final[Attribute] = (c.REQUESTED_TRANSPORT, turn.pack_transport(t.TCP))
GENEROUS: Final = TurnLimits(challenge_rate=1e6, challenge_burst=1e6)


Item = Attribute | Endpoint
"""An endpoint is a peer's: XOR-PEER-ADDRESS."""


class Port:
    """A relayed address that is open, or a connection."""

    def __init__(self, local: Endpoint = PEER) -> None:
        self.local = local
        self.closed = False

    def send_many(self, datagrams: list[bytes], to: Endpoint) -> None:
        raise AssertionError("what is sent is in a ForwardedData")

    def close(self) -> None:
        self.closed = True


class RelaySite:
    """A relay, its clock, and the ports that it has opened."""

    def __init__(
        self,
        limits: TurnLimits = GENEROUS,
        *,
        hosts: dict[Family, str] | None = None,
        own: Iterable[str] = (),
        low_ports: bool = False,
        can_forbid_fragments: bool = True,
        public: Callable[[str], bool] = is_public,
    ) -> None:
        hosts = HOSTS if hosts is None else hosts
        self.now = 1000.0
        self.wall_s = float(NOW_S)
        self.free = True
        self.ports: list[Port] = []
        self.quotas = Quotas(limits)
        self.users = TurnUsers({"user": "pass", "other": "word"}, SECRET, lambda: self.wall_s)
        mine = {*hosts.values(), *own}
        self.rules = PeerRules(public, lambda host: host in mine, {*hosts.values()}, low_ports=low_ports)
        self.server = TurnServer(
            Challenges(self.users, b"nonces"),
            self.rules,
            self.quotas,
            hosts,
            can_forbid_fragments=can_forbid_fragments,
        )
        self._numbers = count(50_000, 2)

    def pass_time(self, seconds: float) -> None:
        """On both clocks, with a sweep at the end."""
        self.now += seconds
        self.wall_s += seconds
        self.server.sweep(self.now)
        self.close_over()

    def close_over(self) -> None:
        for each in self.server.take_over():
            each.close()

    def open_ports(self, order: AllocateOrder) -> bytes:
        """Carry out an order."""
        ports: dict[Family, Port] = {}
        following: Port | None = None
        if isinstance(order.reserved, Port):
            ports[order.reserved.local.family] = order.reserved
        elif self.free:
            for family in order.spec.families:
                number = next(self._numbers)
                ports[family] = self._open(Endpoint(HOSTS[family], number))
                following = self._open(Endpoint(HOSTS[family], number + 1)) if order.spec.reserve else None
        answer = self.server.allocated(order, ports, following, self.now)
        self.close_over()
        return answer

    def _open(self, local: Endpoint) -> Port:
        self.ports.append(Port(local))
        return self.ports[-1]


class RelayClient:
    """One client. `said` has what it gets without having asked."""

    _transactions = count(1)

    def __init__(
        self,
        site: RelaySite,
        remote: Endpoint = ALICE,
        transport: Transport = "udp",
        *,
        user: str = "user",
        password: str = "pass",
    ) -> None:
        self.site = site
        self.client = Client(transport, SERVER6 if ":" in remote.host else SERVER, remote)
        self.said: list[bytes] = []
        self.user, self.password = user, password
        self.login = LongTermAuthentication(user, password)

    @property
    def allocation(self) -> RelayAllocation | None:
        return self.site.server.clients(self.client.transport, self.client.local).get(self.client.remote)

    def message(self, method: int, *items: Item, kind: stun.Kind = "request") -> stun.Message:
        number = next(self._transactions).to_bytes(12, "big")
        attributes = (
            (c.XOR_PEER_ADDRESS, stun.pack_xor_address(item, number)) if isinstance(item, Endpoint) else item
            for item in items
        )
        return stun.Message(method, kind, number, tuple(attributes))

    def put(self, data: bytes) -> Decision:
        """Say it."""
        decision = self.site.server.receive(stun.decode(data), self.client, self.site.now)
        self.site.close_over()
        return decision

    def say(self, request: stun.Message) -> stun.Message | Decision:
        """Sign it with what is known, say it, and carry out what it brings about."""
        decision = self.put(self.login.sign(request))
        if isinstance(decision, AllocateOrder):
            decision.allocation.say = self.said.extend
            decision = self.site.open_ports(decision)
        return stun.decode(decision) if isinstance(decision, bytes) else decision

    def say_bare(self) -> Decision:
        """The shortest Allocate request, without credentials."""
        return self.put(stun.encode(self.message(c.ALLOCATE, UDP)))

    def ask(self, method: int, *items: Item) -> stun.Message | Decision:
        """The same with the challenges answered."""
        for _ in range(3):
            answer = self.say(self.message(method, *items))
            if not isinstance(answer, stun.Message) or error_of(answer) not in (401, 438):
                return answer
            if self.login.renew(answer) is not None:
                return answer
        raise AssertionError("challenged without end")

    def allocate(self, *attributes: Attribute) -> Endpoint:
        """The relayed address."""
        answer = self.ask(c.ALLOCATE, *(attributes or (UDP,)))
        assert isinstance(answer, stun.Message)
        assert error_of(answer) is None, answer
        return answer.relayed[0]

    def permit(self, *peers: Endpoint) -> int | None:
        """The error, if any."""
        return error_of(self.ask(c.CREATE_PERMISSION, *peers))

    def bind(self, number: int, peer: Endpoint) -> int | None:
        """The error, if any."""
        channel = (c.CHANNEL_NUMBER, turn.pack_channel(number))
        return error_of(self.ask(c.CHANNEL_BIND, channel, peer))

    def send(self, peer: Endpoint, data: bytes, *more: Attribute) -> ForwardedData | None:
        """What is sent on because of a Send indication."""
        message = self.message(c.SEND, peer, (c.DATA, data), *more, kind="indication")
        decision = self.put(stun.encode(message))
        assert decision is None or isinstance(decision, ForwardedData)
        return decision

    def channel(self, number: int, data: bytes) -> ForwardedData | None:
        """What is sent on because of ChannelData."""
        if self.allocation is None:
            return None
        message = turn.encode_channel_data(number, data)
        found = self.site.server.peerings.from_channels(message, len(message), self.allocation, self.site.now)
        return found[0] if found else None

    def connect(self, peer: Endpoint) -> ConnectOrder | int | None:
        """An order, or the error."""
        answer = self.ask(c.CONNECT, peer)
        return answer if isinstance(answer, ConnectOrder) else error_of(answer)

    def bind_connection(self, number: int) -> JoinOrder | int | None:
        """An order, or the error."""
        answer = self.ask(c.CONNECTION_BIND, (c.CONNECTION_ID, number.to_bytes(4, "big")))
        return answer if isinstance(answer, JoinOrder) else error_of(answer)


def error_of(answer: object) -> int | None:
    """The code of an error response."""
    if isinstance(answer, stun.Message) and answer.error is not None:
        return answer.error[0]
    return None
