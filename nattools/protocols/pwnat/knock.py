"""What stands behind the quoted beacon: who knocks, when, and the proof that it knows the secret.

    0   "nPW" and the version, 1
    4   number of the knock within its session, 16 bits
    6   attempt: of how many connections of this session it is; step: which step of the plan begins now
    8   session, 12 random bytes
    20  when it was sent: milliseconds since 1970, UTC
    28  the caller's outside address, as IPv6 or IPv4-mapped (all zeros: take the packet's source); its port
    46  the caller's NAT: mapping, filtering, allocation, flags (two bits, then two of how the listener's
        port moves and four of its step, as the caller was told); step, lowest and highest port
    56  HMAC-SHA256 over all before, by the knock key

88 bytes, and whatever may follow is not looked at: errors may end with extensions (RFC 4884).
"""

from __future__ import annotations

import hmac
from ipaddress import IPv6Address, ip_address
from struct import Struct
from typing import Final, get_args

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.nat import FilteringBehaviour, MappingBehaviour, Nat, PortAllocation
from nattools.model.pwnat import PortMoves
from nattools.protocols.pwnat.outside import LARGEST_STEP, ListenerPorts

MAGIC: Final = b"nPW\x01"
SESSION_SIZE: Final = 12
MAC_SIZE: Final = 32
_FIELDS: Final = Struct("!4sHBB12sQ16sHBBBBhHH")
SIZE: Final = _FIELDS.size + MAC_SIZE
_NOWHERE: Final = bytes(16)
_MAPPINGS: Final[tuple[MappingBehaviour, ...]] = get_args(MappingBehaviour)
_FILTERINGS: Final[tuple[FilteringBehaviour, ...]] = get_args(FilteringBehaviour)
_ALLOCATIONS: Final[tuple[PortAllocation, ...]] = get_args(PortAllocation)
_LOW_PORTS, _BLOCK = 1, 2
_MOVES: Final[tuple[PortMoves, ...]] = get_args(PortMoves)
_MOVES_AT, _MOVES_MASK, _STEP_AT = 2, 3, 4


class CallerNat(msgspec.Struct, frozen=True):
    """What of the caller's NAT both sides plan with. `ports`: the range that new mappings come from, with
    `block` if it is known to be one that belongs to the caller alone; `low_ports`: it may bind ports below
    1024."""

    mapping: MappingBehaviour = "unknown"
    filtering: FilteringBehaviour = "unknown"
    allocation: PortAllocation = "unknown"
    step: int = 0
    ports: tuple[int, int] | None = None
    block: bool = False
    low_ports: bool = False

    @classmethod
    def of(cls, nat: Nat | None, *, low_ports: bool) -> CallerNat:
        """What a knock says of the NAT that was measured, if anything was."""
        if nat is None:
            return cls(low_ports=low_ports)
        step = nat.port_step or 0
        return cls(
            nat.mapping,
            nat.filtering,
            nat.port_allocation,
            step if -0x8000 <= step < 0x8000 else 0,
            nat.port_range,
            bool(nat.port_block),
            low_ports,
        )

    def as_measured(self) -> Nat:
        """The same as a measurement has it. What is not known is taken for an ordinary home router's, which
        gives every peer the inside port and lets in whom was written to."""
        known = self.mapping != "unknown"
        return Nat(
            reachable=True,
            present=self.mapping != "none" if known else None,
            mapping=self.mapping if known else "endpoint-independent",
            filtering=self.filtering,
            port_allocation=self.allocation,
            port_step=self.step or None,
            port_range=self.ports,
            port_block=self.block or None,
        )


class Knock(msgspec.Struct, frozen=True, kw_only=True):
    """`caller` None: it does not know its outside address; its `port` is what it sends from, or is seen at
    from outside. `step` 0: no plan is needed; else the plan's step with that number, counted from 1, begins
    now; the numbers go on when the plan is gone through again. `sent_ms`: milliseconds since 1970, UTC.
    `listener`: how the listener's outside port changes, as the caller was told."""

    session: bytes
    number: int
    sent_ms: int
    caller: str | None
    port: int
    attempt: int = 0
    step: int = 0
    nat: CallerNat = CallerNat()
    listener: ListenerPorts = ListenerPorts()

    def place(self, source: str | None) -> Endpoint | None:
        """Where the caller is: what it says, or else where the error came from. None: neither is known."""
        host = self.caller or source
        return None if host is None or not self.port else Endpoint(host, self.port)


def looks_like_knock(quoted: bytes) -> bool:
    """Is this meant to be a knock, forged or not? What routers quote is the beacon's own payload."""
    return quoted.startswith(MAGIC[:3])


def encode_knock(knock: Knock, key: bytes) -> bytes:
    """88 bytes. ValueError: a field is out of range."""
    nat, ports = knock.nat, knock.nat.ports or (0, 0)
    if len(knock.session) != SESSION_SIZE:
        raise ValueError("a session has 12 bytes")
    numbers = (knock.number, knock.port, *ports)
    if not all(0 <= each <= 0xFFFF for each in numbers) or not 0 <= knock.sent_ms < 2**64:
        raise ValueError(f"not 16 bits: {numbers}")
    if not (0 <= knock.attempt <= 0xFF and 0 <= knock.step <= 0xFF and -0x8000 <= nat.step < 0x8000):
        raise ValueError("attempt and step have 8 bits, the NAT's step 16")
    fields = _FIELDS.pack(
        MAGIC,
        knock.number,
        knock.attempt,
        knock.step,
        knock.session,
        knock.sent_ms,
        _packed(knock.caller),
        knock.port,
        _MAPPINGS.index(nat.mapping),
        _FILTERINGS.index(nat.filtering),
        _ALLOCATIONS.index(nat.allocation),
        _LOW_PORTS * nat.low_ports | _BLOCK * nat.block | _moves_flags(knock.listener),
        nat.step,
        *ports,
    )
    return fields + hmac.digest(key, fields, "sha256")


def decode_knock(quoted: bytes, key: bytes) -> Knock:
    """What stands behind the quoted header. ProtocolError: it is no knock, cut short, or by somebody who does
    not know the key."""
    if not quoted.startswith(MAGIC):
        raise ProtocolError("no knock, or one of another version")
    fields, mac = quoted[: _FIELDS.size], quoted[_FIELDS.size : SIZE]
    if len(mac) < MAC_SIZE:
        raise ProtocolError("a knock cut short")
    if not hmac.compare_digest(mac, hmac.digest(key, fields, "sha256")):
        raise ProtocolError("a knock by somebody who does not know the secret")
    (
        _,
        number,
        attempt,
        step,
        session,
        sent_ms,
        address,
        port,
        mapping,
        filtering,
        allocation,
        flags,
        port_step,
        low,
        high,
    ) = _FIELDS.unpack(fields)
    try:
        nat = CallerNat(
            _MAPPINGS[mapping],
            _FILTERINGS[filtering],
            _ALLOCATIONS[allocation],
            port_step,
            (low, high) if 0 < low <= high else None,
            bool(flags & _BLOCK),
            bool(flags & _LOW_PORTS),
        )
    except IndexError:
        raise ProtocolError("a knock that tells of an unknown kind of NAT") from None
    return Knock(
        session=session,
        number=number,
        sent_ms=sent_ms,
        caller=_unpacked(address),
        port=port,
        attempt=attempt,
        step=step,
        nat=nat,
        listener=_moves_of(flags),
    )


def _moves_flags(listener: ListenerPorts) -> int:
    """ValueError: a step that has no room."""
    if listener.moves == "not":
        return 0
    if not 0 <= listener.step <= LARGEST_STEP:
        raise ValueError("the listener's step has 4 bits")
    return _MOVES.index(listener.moves) << _MOVES_AT | listener.step << _STEP_AT


def _moves_of(flags: int) -> ListenerPorts:
    """ProtocolError: there is no such way to move."""
    index = flags >> _MOVES_AT & _MOVES_MASK
    if index >= len(_MOVES):
        raise ProtocolError("a knock that tells of an unknown way to draw ports")
    moves = _MOVES[index]
    return ListenerPorts() if moves == "not" else ListenerPorts(moves, flags >> _STEP_AT)


def _packed(host: str | None) -> bytes:
    if host is None:
        return _NOWHERE
    address = ip_address(host)
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def _unpacked(raw: bytes) -> str | None:
    address = IPv6Address(raw)
    return None if raw == _NOWHERE else str(address.ipv4_mapped or address)
