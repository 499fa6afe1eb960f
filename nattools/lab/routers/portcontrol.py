"""The server's side of PCP and NAT-PMP: what a fake router answers to a datagram. Pure."""

from __future__ import annotations

from nattools.errors import ProtocolError
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.lab.routers.table import MappingTable, TableMapping
from nattools.model.endpoint import Endpoint, Transport
from nattools.protocols import natpmp, pcp
from nattools.protocols.pcp import ResultCode

_TRANSPORTS: dict[int, Transport] = {number: name for name, number in pcp.NUMBERS.items()}
_START_S = 1000  # so that an epoch has room to go back
ANNOUNCE_GROUPS = {4: "224.0.0.1", 6: "ff02::1"}
_NATPMP = b"nat-pmp"
"""Whose a mapping is that NAT-PMP made: it knows of no other client and of no other protocol's mappings."""

_NOBODYS = b"nobody"


class EpochCounter:
    """Seconds since the table was last empty."""

    def __init__(self, behaviour: RouterBehaviour, now: float) -> None:
        self._kind = behaviour.epoch
        self._began = now - _START_S
        self._asked = 0

    def restart(self, now: float) -> None:
        """The router loses its state."""
        self._began = now

    def epoch_s(self, now: float) -> int:
        """What the next response says."""
        self._asked += 1
        true_s = int(now - self._began)
        return {
            "true": true_s,
            "back": max(0, true_s - 100 * self._asked),
            "stuck": 7,
            "ahead": 2 * true_s,
            "jumps": 7919 * self._asked % 100_003,
        }[self._kind]


class PortControlServer:
    """One router's answers on port 5351."""

    def __init__(self, behaviour: RouterBehaviour, table: MappingTable, clock: EpochCounter) -> None:
        self._behaviour = behaviour
        self._table = table
        self._clock = clock
        self._to_lose = behaviour.lost

    def answer(self, data: bytes, source: Endpoint, now: float) -> list[bytes]:
        """The datagrams to send back."""
        answers = self._answer(data, source, now)
        if answers and self._to_lose:
            self._to_lose -= 1
            return []
        return [*(_noise(answers[0]) if answers and self._behaviour.noise else ()), *answers]

    def _answer(self, data: bytes, source: Endpoint, now: float) -> list[bytes]:
        speaks = self._behaviour.protocols
        try:
            if data[:1] == b"\x00" and "nat-pmp" in speaks:
                return [self._natpmp(natpmp.decode_request(data), source, now)]
            if data[:1] == b"\x00" and "pcp" in speaks and self._behaviour.pcp_alone:
                return [self._unsupported(now)]
            if data[:1] != b"\x00" and self._behaviour.pcp_downgrade:
                answer = natpmp.NatPmpResponse(0, natpmp.UNSUPPORTED_VERSION, self._clock.epoch_s(now))
                return [natpmp.encode_response(answer)]
            if data[:1] == b"\x02" and "pcp" in speaks:
                return self._pcp(pcp.decode_request(data), source, now)
        except ProtocolError:
            pass
        return []

    def announcements(self, now: float) -> list[bytes]:
        """What it tells everybody when it has restarted (RFC 6886 3.2.1, RFC 6887 14.1.2)."""
        told = []
        epoch_s = self._clock.epoch_s(now)
        if "nat-pmp" in self._behaviour.protocols and ":" not in self._table.external:
            address = natpmp.NatPmpResponse(natpmp.EXTERNAL_ADDRESS, 0, epoch_s, self._table.external)
            told.append(natpmp.encode_response(address))
        if "pcp" in self._behaviour.protocols:
            told.append(pcp.encode_response(pcp.ResponseMessage(2, pcp.ANNOUNCE, 0, 0, epoch_s)))
        return told

    # --- NAT-PMP

    def _natpmp(self, request: natpmp.Request, source: Endpoint, now: float) -> bytes:
        epoch_s = self._clock.epoch_s(now)
        claimed = self._behaviour.external
        address = self._table.external if claimed is None else claimed or "0.0.0.0"
        result = self._behaviour.natpmp_result
        if isinstance(request, natpmp.AddressRequest):
            response = natpmp.NatPmpResponse(natpmp.EXTERNAL_ADDRESS, result, epoch_s, address)
        else:
            if request.lifetime_s and not self._behaviour.maps(request.internal_port):
                result = natpmp.NOT_AUTHORIZED
            inside = Endpoint(source.host, request.internal_port)
            if request.lifetime_s and self._renews(request.transport, inside, _NATPMP, now):
                result = natpmp.OUT_OF_RESOURCES
            if request.lifetime_s and self._is_full(request.transport, inside, _NATPMP, now):
                result = natpmp.OUT_OF_RESOURCES
            port, lifetime_s = (0, 0) if result else self._map(request, source, now)
            if not request.lifetime_s and self._table.of(request.transport, inside, _NATPMP, now) is not None:
                lifetime_s = self._behaviour.ends_last_s
            opcode = natpmp.MAP_UDP if request.transport == "udp" else natpmp.MAP_TCP
            response = natpmp.NatPmpResponse(
                opcode, result, epoch_s, None, request.internal_port, port, lifetime_s
            )
        return natpmp.encode_response(response)

    def _map(self, request: natpmp.MapRequest, source: Endpoint, now: float) -> tuple[int, int]:
        inside = Endpoint(source.host, request.internal_port)
        known = self._table.of(request.transport, inside, _NATPMP, now)
        if request.lifetime_s == 0:
            if known is not None:
                self._end(known, now)
            return 0, 0
        suggested = request.external_port or request.internal_port
        port = known.outside.port if known else self._choose(request.transport, suggested, now)
        if known is not None and self._behaviour.renewal_moves:
            port = self._moved(known, now)
        lifetime_s = self._behaviour.lifetime_s(request.lifetime_s)
        self._table.add(request.transport, port, inside, lifetime_s, now, nonce=_NATPMP)
        return self._told(port, lifetime_s)

    def _end(self, known: TableMapping, now: float) -> int:
        """End a mapping, or let it live on for so long."""
        left_s, inside = self._behaviour.ends_last_s, known.inside
        if left_s:
            self._table.add(known.transport, known.outside.port, inside, left_s, now, nonce=known.nonce)
        else:
            self._table.remove(known)
        return left_s

    def _renews(self, transport: Transport, inside: Endpoint, nonce: bytes, now: float) -> bool:
        """Is it a renewal of what it refuses to renew?"""
        refuses = self._behaviour.renewal_result
        return bool(refuses) and self._table.of(transport, inside, nonce, now) is not None

    def _is_full(self, transport: Transport, inside: Endpoint, nonce: bytes, now: float) -> bool:
        """Is there no room for one more?"""
        return self._table.is_full(now) and self._table.of(transport, inside, nonce, now) is None

    def _moved(self, known: TableMapping, now: float) -> int:
        """Another port than the one that it has, which is free again."""
        port = self._table.free_port(known.transport, known.outside.port + 1, now)
        self._table.remove(known)
        return port

    def _told(self, port: int, lifetime_s: int) -> tuple[int, int]:
        """What it says of a mapping that it has made."""
        told_port, told_s = self._behaviour.told_port, self._behaviour.told_lifetime_s
        return port if told_port is None else told_port, lifetime_s if told_s is None else told_s

    def _choose(self, transport: Transport, suggested: int, now: float) -> int:
        wanted = suggested + 1 if self._behaviour.other_port else suggested
        if self._behaviour.to_own_number:
            wanted = 40000 + (suggested + 1) % 10000  # never the same
        return self._table.free_port(transport, wanted, now)

    # --- PCP

    def _pcp(self, request: pcp.RequestMessage, source: Endpoint, now: float) -> list[bytes]:
        epoch_s = self._clock.epoch_s(now)
        if source.host != request.client:
            return [self._failure(request, ResultCode.ADDRESS_MISMATCH, epoch_s)]
        if request.opcode == pcp.ANNOUNCE:
            if not self._behaviour.announce:
                return []
            return [pcp.encode_response(pcp.ResponseMessage(2, pcp.ANNOUNCE, 0, 0, epoch_s))]
        if self._behaviour.pcp_result:
            return [self._failure(request, self._behaviour.pcp_result, epoch_s)]
        body = request.body
        transport = _TRANSPORTS.get(body.protocol) if isinstance(body, pcp.MapBody) else None
        if not isinstance(body, pcp.MapBody) or transport is None:
            code = ResultCode.UNSUPP_OPCODE if transport is None else ResultCode.UNSUPP_PROTOCOL
            return [self._failure(request, code, epoch_s)]
        return self._pcp_map(request, body, transport, epoch_s, now)

    def _pcp_map(
        self, request: pcp.RequestMessage, body: pcp.MapBody, transport: Transport, epoch_s: int, now: float
    ) -> list[bytes]:
        inside = Endpoint(request.client, body.internal_port)
        known = self._table.of(transport, inside, body.nonce, now)
        nonce = body.nonce
        if self._behaviour.forgets_owner and ":" in inside.host:
            nobodys = self._table.of(transport, inside, _NOBODYS, now)
            if nobodys is not None and request.lifetime_s == 0:
                return [self._failure(request, ResultCode.NOT_AUTHORIZED, epoch_s)]
            nonce = _NOBODYS if known or nobodys else nonce
        if request.lifetime_s == 0:
            left_s = 0 if known is None else self._end(known, now)
            return self._success(request, body, body.external, left_s, epoch_s)
        if self._renews(transport, inside, body.nonce, now):
            return [self._failure(request, self._behaviour.renewal_result, epoch_s)]
        suggested = body.external.port or body.internal_port
        if not self._behaviour.maps(body.internal_port, suggested):
            return [self._failure(request, ResultCode.NOT_AUTHORIZED, epoch_s)]
        exact = any(option.code == pcp.PREFER_FAILURE for option in request.options)
        taken = self._table.find(transport, suggested, now) is not None and known is None
        if exact and taken and not self._behaviour.ignores_prefer_failure:
            return [self._failure(request, ResultCode.CANNOT_PROVIDE_EXTERNAL, epoch_s)]
        if self._is_full(transport, inside, body.nonce, now):
            return [self._failure(request, ResultCode.NO_RESOURCES, epoch_s)]
        port = known.outside.port if known else self._choose(transport, suggested, now)
        if known is not None and self._behaviour.renewal_moves and ":" not in inside.host:
            port = self._moved(known, now)
        lifetime_s = self._behaviour.lifetime_s(request.lifetime_s)
        row = self._table.add(transport, port, inside, lifetime_s, now, nonce=nonce)
        claimed = self._behaviour.external
        host = row.outside.host if claimed is None else claimed or "0.0.0.0"
        told_port, told_s = self._told(row.outside.port, lifetime_s)
        return self._success(request, body, Endpoint(host, told_port), told_s, epoch_s)

    def _success(
        self,
        request: pcp.RequestMessage,
        body: pcp.MapBody,
        external: Endpoint,
        lifetime_s: int,
        epoch_s: int,
    ) -> list[bytes]:
        right = pcp.MapBody(body.nonce, body.protocol, body.internal_port, external)
        wrong = pcp.MapBody(bytes(12), body.protocol, body.internal_port, external)
        bodies = [right]
        if self._behaviour.wrong_nonce:
            bodies = [wrong, right] if self._behaviour.then_right else [wrong]
        return [
            pcp.encode_response(pcp.ResponseMessage(2, request.opcode, 0, lifetime_s, epoch_s, each))
            for each in bodies
        ]

    def _failure(self, request: pcp.RequestMessage, code: int, epoch_s: int) -> bytes:
        lasts_s = self._behaviour.failure_s
        response = pcp.ResponseMessage(2, request.opcode, code, lasts_s, epoch_s, request.body)
        return pcp.encode_response(response)

    def _unsupported(self, now: float) -> bytes:
        return pcp.encode_response(
            pcp.ResponseMessage(2, 0, ResultCode.UNSUPP_VERSION, 0, self._clock.epoch_s(now))
        )


def _noise(answer: bytes) -> list[bytes]:
    """What is no answer to the same question: cut short, of another opcode, version or inside port, a request
    instead, and nonsense."""
    changed = []
    port_at = _PORT_AT.get(len(answer))
    wrong = [(1, 0x05), (0, 0x40), (1, 0x80)] + ([] if port_at is None else [(port_at, 0x33)])
    for position, mask in wrong:
        data = bytearray(answer)
        if position < len(data):
            data[position] ^= mask
        changed.append(bytes(data))
    return [answer[:7], answer[:-5], *changed, b"", b"nonsense" * 3]


_PORT_AT = {16: 9, 60: 41}
"""Where the inside port stands in a mapping response of NAT-PMP and of PCP, by its length."""
