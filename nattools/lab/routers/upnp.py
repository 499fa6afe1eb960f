"""The gateway's side of UPnP: what a fake router answers over HTTP. Pure."""

from __future__ import annotations

import contextlib
import dataclasses
from functools import partial
from xml.sax.saxutils import escape

from nattools.errors import ProtocolError
from nattools.lab.routers.igddevice import HttpReply, IgdDevice
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.lab.routers.table import MappingTable, TableMapping
from nattools.model.endpoint import Endpoint, Transport
from nattools.protocols.headers import parse_head
from nattools.protocols.igd import xml
from nattools.wording.refusals import UPNP_MAPPING

_TRANSPORTS: dict[str, Transport] = {"UDP": "udp", "TCP": "tcp", "17": "udp", "6": "tcp"}


_BLANK = {
    "NewInternalPort": "0",
    "NewInternalClient": "0.0.0.0",
    "NewEnabled": "0",
    "NewPortMappingDescription": "",
    "NewLeaseDuration": "0",
}


_FOREIGN = {**_BLANK, "NewInternalClient": "10.0.1.9", "NewExternalPort": "all", "NewProtocol": "BOTH"}


class _Fault(Exception):  # noqa: N818 -- a UPnP fault is the answer, not an error of this program
    def __init__(self, code: int) -> None:
        self.code = code


class UpnpServer:
    """One router's answers. `up_since` is when its connection came up, on the clock of `now`."""

    def __init__(self, behaviour: RouterBehaviour, table: MappingTable, up_since: float) -> None:
        self.device = IgdDevice(behaviour)
        self._behaviour = behaviour
        self._table = table
        self._busy = behaviour.busy
        self._to_fail = behaviour.fails_first
        self._turns = 0
        self._service = 0
        self._told_status = 0
        self._crashes_at = behaviour.crashes_at
        self.up_since = up_since

    def respond(self, head: bytes, body: bytes, source: Endpoint, now: float) -> HttpReply:
        """What it says to a request."""
        first, headers = parse_head(head)
        method, target = [*first.split(" "), "", ""][:2]
        if method == "GET":
            return self.device.get(target)
        service, _, action = headers.get("soapaction").strip('"').rpartition("#")
        how = self._behaviour
        if how.control_at is not None and not target.startswith(how.control_at):
            return HttpReply(404, b"", reason="Not Found")
        if self._busy:
            self._busy -= 1
            return HttpReply(503, b"busy", reason="Service Unavailable")
        if how.call_status:
            return HttpReply(how.call_status, b"<html><body>sorry</body></html>", reason="Refused")
        if how.known_type not in (None, service.rpartition(":service:")[2]):
            return _fault(401)
        number = int(target.rpartition("/")[2]) if target.rpartition("/")[2].isdigit() else 0
        if number < how.dead_services:
            return HttpReply(0, b"")
        if action == self._crashes_at:
            self._crashes_at = None
            return HttpReply(0, b"", dies=True)
        self._service = number
        self._told_status += action == "GetStatusInfo"
        down = target.startswith("/old") or number < how.down_services or self._is_down_now(number)
        reply = self._call(action, body, source, down=down, now=now)
        if how.done_status and reply.status == 200 and action.startswith(("Add", "Delete")):
            reply = HttpReply(how.done_status, b"", reason="Done")
        status = how.fault_status if reply.status == 500 else reply.status
        return dataclasses.replace(reply, status=status, late_s=self._late_s(action))

    def _is_down_now(self, number: int) -> bool:
        flips = self._behaviour.flips
        return flips is not None and number == (0 if self._told_status > flips else 1)

    def _find(self, transport: Transport, port: int, now: float) -> TableMapping | None:
        """The mapping of a port that the service in question has."""
        row = self._table.find(transport, port, now)
        return row if row is not None and self._has(row) else None

    def _rows(self, now: float) -> list[TableMapping]:
        """The port mappings that the service in question has."""
        rows = self._table.rows(now)
        return [row for row in rows if ":" not in row.inside.host and self._has(row)]

    def _has(self, row: TableMapping) -> bool:
        return not self._behaviour.own_tables or row.service == self._service

    def _call(self, action: str, body: bytes, source: Endpoint, *, down: bool, now: float) -> HttpReply:
        if self._behaviour.upnp_status and action.startswith("Add"):
            return HttpReply(self._behaviour.upnp_status, b"<html>no</html>", reason="Refused")
        if action == "AddAnyPortMapping" and self._behaviour.any_port_error is not None:
            code = self._behaviour.any_port_error
            if self._behaviour.any_makes:
                self._make_elsewhere(_arguments(body, action), source, now)
            return _fault(code) if code else HttpReply(0, b"")
        try:
            values = self._do(action, _arguments(body, action), source, down=down, now=now)
        except (ProtocolError, ValueError, KeyError):
            return _fault(402)
        except _Fault as fault:
            words = self._behaviour.code_words
            if fault.code == 713 and self._crashes_at == "end":
                return HttpReply(0, b"", dies=True)
            return _fault(fault.code, in_words=words) if fault.code else HttpReply(0, b"")
        if action in self._behaviour.garbled:
            return HttpReply(200, b"<done>")
        blank = " \n" if self._behaviour.padded else ""
        padded = {
            name: f"{blank}{value}{blank}" if value.isdigit() else value for name, value in values.items()
        }
        inside = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in padded.items())
        name = action if self._behaviour.repeats_call else f"{action}Response"
        return _envelope(200, f'<u:{name} xmlns:u="x">{inside}</u:{name}>')

    def _make_elsewhere(self, values: dict[str, str], source: Endpoint, now: float) -> None:
        elsewhere = str(int(values["NewExternalPort"]) + 100)
        with contextlib.suppress(_Fault):
            self._add({**values, "NewExternalPort": elsewhere}, source, now)

    def _late_s(self, action: str) -> float:
        if action == "GetGenericPortMappingEntry":
            return self._behaviour.row_s
        return self._behaviour.change_s if action.startswith(("Add", "Delete")) else 0.0

    def _do(
        self, action: str, values: dict[str, str], source: Endpoint, *, down: bool, now: float
    ) -> dict[str, str]:
        match action:
            case "GetStatusInfo":
                return self._status(down, now)
            case "GetExternalIPAddress":
                claimed = self._behaviour.external
                address = self._table.external if claimed is None else claimed
                return {"NewExternalIPAddress": "0.0.0.0" if down else address}
            case "AddPortMapping":
                return self._add(values, source, now)
            case "AddAnyPortMapping" if "WANIPConnection:2" in self._behaviour.services:
                return self._add_any(values, source, now)
            case "DeletePortMapping":
                return self._delete(values, now)
            case "GetSpecificPortMappingEntry":
                return self._shown(values, now)
            case "GetGenericPortMappingEntry":
                return self._generic(int(values["NewPortMappingIndex"]), now)
            case _:
                return self._firewall(action, values, source, now)

    def _status(self, down: bool, now: float) -> dict[str, str]:
        behaviour = self._behaviour
        up = behaviour.connected and not down
        told, uptime = behaviour.status, behaviour.uptime
        return {
            "NewConnectionStatus": ("Connected" if up else "Disconnected") if told is None else told,
            "NewLastConnectionError": "ERROR_NONE",
            "NewUptime": (str(int(now - self.up_since)) if up else "0") if uptime is None else uptime,
        }

    def _add(self, values: dict[str, str], source: Endpoint, now: float) -> dict[str, str]:
        transport, port = _TRANSPORTS[values["NewProtocol"]], int(values["NewExternalPort"])
        if self._behaviour.first_refuses is not None and self._service == 0:
            raise _Fault(self._behaviour.first_refuses)
        lease_s = self._lease(values)
        if port == 0:
            raise _Fault(716)
        if len(values.get("NewPortMappingDescription", "")) > self._behaviour.longest_name:
            raise _Fault(self._behaviour.name_error)
        if values["NewInternalClient"] != source.host:
            raise _Fault(718)
        if self._behaviour.same_ports and values["NewInternalPort"] != values["NewExternalPort"]:
            raise _Fault(724)
        if not self._behaviour.maps(port, int(values["NewInternalPort"])):
            raise _Fault(606)
        known = self._find(transport, port, now)
        if known is not None and known.inside.host != source.host:
            raise _Fault(718)
        if self._to_fail:
            self._to_fail -= 1
            raise _Fault(501)
        if self._behaviour.most is not None and len(self._table.rows(now)) >= self._behaviour.most:
            raise _Fault(728)
        if known is not None and self._behaviour.again_fails:
            raise _Fault(501)
        if known is None and self._table.is_full(now):
            raise _Fault(728)
        inside = Endpoint(source.host, int(values["NewInternalPort"]))
        description = self._named(values.get("NewPortMappingDescription", ""))
        self._store(transport, port + self._behaviour.moves, inside, lease_s, now, description)
        return {}

    def _named(self, description: str) -> str:
        return {
            "kept": description,
            "prefixed": f"UPnP {description}",
            "upper": description.upper(),
            "replaced": "IGD mapping",
            "cut": description[:5],
        }[self._behaviour.names]

    def _store(
        self, transport: Transport, port: int, inside: Endpoint, lease_s: int, now: float, description: str
    ) -> None:
        behaviour = self._behaviour
        runs_on = behaviour.leases == "run on" and self._find(transport, port, now) is not None
        if lease_s and behaviour.lease_becomes is not None:
            lease_s = behaviour.lease_becomes
        if behaviour.one_per_inside:
            for row in self._table.rows(now):
                if (row.transport, row.inside) == (transport, inside) and row.outside.port != port:
                    self._table.remove(row)
        if not runs_on and not (lease_s and behaviour.leases == "end"):
            add = partial(self._table.add, transport, port, inside, lease_s, now)
            self._table.apply(partial(add, description=description, service=self._service), now)
        if behaviour.then_fails is not None:
            raise _Fault(behaviour.then_fails)

    def _add_any(self, values: dict[str, str], source: Endpoint, now: float) -> dict[str, str]:
        transport = _TRANSPORTS[values["NewProtocol"]]
        known = self._table.find(transport, int(values["NewExternalPort"]), now)
        if known is not None and known.inside.host != source.host:
            port = self._table.free_port(transport, known.outside.port, now)
            values = {**values, "NewExternalPort": str(port)}
        asked = values["NewExternalPort"]
        self._add(values, source, now)
        moved = str(int(asked) + self._behaviour.moves)
        told = {"true": moved, "asked": asked, "none": None, "zero": "0"}[self._behaviour.reserved]
        return {} if told is None else {"NewReservedPort": told}

    def _lease(self, values: dict[str, str]) -> int:
        behaviour, lease_s = self._behaviour, int(values["NewLeaseDuration"])
        if behaviour.upnp_error is not None:
            raise _Fault(behaviour.upnp_error)
        if lease_s and behaviour.permanent_only:
            raise _Fault(725)
        if lease_s and behaviour.lease_error is not None:
            raise _Fault(behaviour.lease_error)
        if (behaviour.lease_fault and lease_s) or (behaviour.permanent_fault and not lease_s):
            raise _Fault(402)
        return lease_s

    def _specific(self, values: dict[str, str], now: float) -> TableMapping:
        transport = _TRANSPORTS[values["NewProtocol"]]
        row = self._find(transport, int(values["NewExternalPort"]), now)
        if row is None and self._behaviour.rows == "either":
            other: Transport = "tcp" if transport == "udp" else "udp"
            row = self._find(other, int(values["NewExternalPort"]), now)
        if row is None:
            raise _Fault(714)
        return row

    def _delete(self, values: dict[str, str], now: float) -> dict[str, str]:
        row = self._find(_TRANSPORTS[values["NewProtocol"]], int(values["NewExternalPort"]), now)
        if row is None and not self._behaviour.delete_error:
            return {}
        if row is None:
            raise _Fault(self._behaviour.delete_error)
        if not self._behaviour.keeps:
            self._table.apply(partial(self._table.remove, row), now)
        other = self._table.find("tcp" if row.transport == "udp" else "udp", row.outside.port, now)
        if other is not None and self._behaviour.deletes_both:
            self._table.remove(other)
        return {}

    def _shown(self, values: dict[str, str], now: float) -> dict[str, str]:
        """What GetSpecificPortMappingEntry says."""
        if self._behaviour.rows == "hidden":
            raise _Fault(714)
        rows = self._rows(now)
        if self._behaviour.rows == "first" and rows:
            return self._row(rows[0], now)
        try:
            return self._row(self._specific(values, now), now)
        except _Fault:
            if self._behaviour.rows == "blank":
                return _BLANK
            raise

    def _generic(self, index: int, now: float) -> dict[str, str]:
        if self._behaviour.list_error is not None:
            raise _Fault(self._behaviour.list_error)
        rows = self._rows(now)
        match self._behaviour.rows:
            case "foreign" | "unreadable" as style:
                if index == 0:
                    return _FOREIGN if style == "foreign" else {**_FOREIGN, "NewProtocol": "TCP"}
                index -= 1
            case "gaps":
                if index % 2 and index // 2 < len(rows):
                    raise _Fault(714)
                index //= 2
            case "unlisted":
                rows = []
            case "repeated":
                index = 0
            case "doubled":
                index //= 2
            case "from one":
                index -= 1
            case "turned" if rows:
                self._turns += 1
                turn = self._turns % len(rows)
                rows = rows[turn:] + rows[:turn]
        if not 0 <= index < len(rows):
            if self._behaviour.rows == "blank":
                return {**_BLANK, "NewExternalPort": "0", "NewProtocol": "TCP"}
            raise _Fault(713)
        row = rows[index]
        transport = "TCP/UDP" if self._behaviour.rows == "both" else row.transport.upper()
        which = {"NewExternalPort": str(row.outside.port), "NewProtocol": transport}
        return {"NewRemoteHost": "", **which, **self._row(row, now)}

    def _row(self, row: TableMapping, now: float) -> dict[str, str]:
        left_s = 0 if row.expires == float("inf") else max(1, int(row.expires - now))
        told = {
            "minutes": str(-(-left_s // 60)),
            "none": "0",
            "words": f"{left_s // 3600}:{left_s // 60 % 60:02}:{left_s % 60:02}",
        }.get(self._behaviour.told_leases, str(left_s))
        lease = {} if self._behaviour.told_leases == "left out" else {"NewLeaseDuration": told}
        return {
            "NewInternalPort": str(row.inside.port),
            "NewInternalClient": row.inside.host,
            "NewEnabled": "1",
            "NewPortMappingDescription": row.description,
            **lease,
        }

    def _firewall(self, action: str, values: dict[str, str], source: Endpoint, now: float) -> dict[str, str]:
        allowed = self._behaviour.pinholes_allowed
        if action == "GetFirewallStatus":
            return {"FirewallEnabled": "1", "InboundPinholeAllowed": str(int(allowed))}
        if action == "AddPinhole":
            return self._add_pinhole(values, source, now)
        if action not in ("DeletePinhole", "UpdatePinhole", "CheckPinholeWorking"):
            raise _Fault(401)
        row = self._table.numbered(int(values["UniqueID"]), now)
        if row is None:
            raise _Fault(704)
        if action == "CheckPinholeWorking":
            raise _Fault(709)
        if action == "DeletePinhole":
            self._table.remove(row)
        else:
            self._table.add(row.transport, 0, row.inside, int(values["NewLeaseTime"]), now)
        return {}

    def _add_pinhole(self, values: dict[str, str], source: Endpoint, now: float) -> dict[str, str]:
        if not self._behaviour.pinholes_allowed:
            raise _Fault(703)
        if values["InternalClient"] != source.host:
            raise _Fault(606)
        inside = Endpoint(source.host, int(values["InternalPort"]))
        if not self._behaviour.maps(inside.port):
            raise _Fault(606)
        row = self._table.add(_TRANSPORTS[values["Protocol"]], 0, inside, int(values["LeaseTime"]), now)
        return {"UniqueID": str(row.number)}


def _arguments(body: bytes, action: str) -> dict[str, str]:
    envelope = xml.parse(body)
    content = xml.child(envelope, "Body")
    called = None if content is None else xml.child(content, action)
    if called is None:
        raise ProtocolError("not a SOAP call")
    return {xml.local_name(each): xml.text_of(each) for each in called}


def _fault(code: int, *, in_words: bool = False) -> HttpReply:
    told = UPNP_MAPPING.get(code)
    number = f"{code} ({told[0] if told else 'error'})" if in_words else str(code)
    return _envelope(
        500,
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>"
        f'<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{number}</errorCode>'
        f"<errorDescription>{told[0] if told else ''}</errorDescription></UPnPError></detail></s:Fault>",
    )


def _envelope(status: int, content: str) -> HttpReply:
    head = '<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    reason = "OK" if status == 200 else "Internal Server Error"
    return HttpReply(status, f"{head}{content}</s:Body></s:Envelope>\r\n".encode(), reason=reason)
