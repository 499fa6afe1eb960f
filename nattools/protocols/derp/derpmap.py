"""DERP maps: which servers there are, by region, as Tailscale and its users write them.

Taken are the JSON that `controlplane.tailscale.com/derpmap/default` gives, what a tailnet's policy file has
under `derpMap` (with comments, and commas too many), headscale's YAML, and whatever else has `Regions`. Go
reads names of fields in any case, and so does this.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from nattools.errors import ProtocolError, UsageError
from nattools.model.endpoint import authority, parse_address, url_host
from nattools.model.serveruri import DEFAULT_PORTS, checked_host
from nattools.protocols.derp.yamlmap import read_yaml

MAX_SIZE: Final = 1 << 20
"""Bytes of a map."""
MAX_REGIONS: Final = 500
MAX_NODES: Final = 32
"""Of one region."""
STUN_PORT: Final = DEFAULT_PORTS["stun"]
_PLAIN_PORTS: Final = (80, 3340)
_MAX_TEXT: Final = 253
_HIGHEST_ID: Final = 999_999_999
_NOT_JSON: Final = re.compile(r'("(?:\\.|[^"\\])*"?)|//[^\n]*|/\*.*?(?:\*/|\Z)|,(?=\s*[}\]])', re.DOTALL)
"""Strings, which stay, and what a policy file may have besides. Each alternative matches once it has begun,
so that it takes no longer than a text is long."""
_NUMBER: Final = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
_CERTIFICATE_HASH: Final = re.compile(r"sha256-raw:[0-9a-f]{64}\Z")


class DerpNode(msgspec.Struct, frozen=True, kw_only=True):
    """One server. `host`: its name, by which its addresses are looked up where `ipv4` or `ipv6` is "" (None:
    it has no such address). Its certificate is for that name, unless `certificate` says something else:
    another name, or "sha256-raw:" and the hash of the one certificate that it may have. `stun_port` None: it
    does not speak STUN. `relays` False: it speaks nothing else. `tls` False: it speaks plain HTTP.
    `unchecked`: its certificate proves nothing, which is for tests.
    """

    host: str
    port: int = 443
    name: str = ""
    ipv4: str | None = ""
    ipv6: str | None = ""
    certificate: str = ""
    stun_port: int | None = STUN_PORT
    relays: bool = True
    tls: bool = True
    unchecked: bool = False
    answers_port_80: bool = False

    @property
    def host_header(self) -> str:
        """As a Host header has it where the port is the scheme's."""
        return url_host(self.host)

    @property
    def authority(self) -> str:
        """As a Host header has it (RFC 9110 7.2)."""
        return authority(self.host, self.port, 443 if self.tls else 80)

    @property
    def uri(self) -> str:
        """As `nattools relay` takes it."""
        return f"derp://{authority(self.host, self.port, 443)}"


class DerpRegion(msgspec.Struct, frozen=True, kw_only=True):
    """Servers that stand side by side and pass packets on to each other. `avoid`: clients leave it alone
    unless there is nothing else. `measured` False: no client's home, and none measures it."""

    id: int
    code: str = ""
    name: str = ""
    nodes: tuple[DerpNode, ...] = ()
    avoid: bool = False
    measured: bool = True


class DerpMap(msgspec.Struct, frozen=True):
    """Regions in the order of their numbers."""

    regions: tuple[DerpRegion, ...] = ()

    def named(self, wanted: str) -> DerpRegion | None:
        """The region with that number or code, in any case."""
        wanted = wanted.lower()
        return next((one for one in self.regions if wanted in (str(one.id), one.code.lower())), None)


def node_at(host: str, port: int | None) -> DerpNode:
    """A server that is named by itself. On ports 80 and 3340, derper's for that, it speaks plain HTTP."""
    port = 443 if port is None else port
    return DerpNode(host=host, port=port, name=host, tls=port not in _PLAIN_PORTS)


def parse_map(data: bytes) -> DerpMap:
    """Read a map. ProtocolError: it is none, or a server in it cannot be one; the text says where."""
    if len(data) > MAX_SIZE:
        raise ProtocolError(f"a map of more than {MAX_SIZE} bytes")
    fields = _fields(_decoded(data), "a DERP map")
    fields = _fields(fields.get("derpmap", fields), "derpMap")
    regions = fields.get("regions")
    if not isinstance(regions, dict) or len(regions) > MAX_REGIONS:
        raise ProtocolError(f"it has no Regions, of which there are at most {MAX_REGIONS}")
    # a policy's null takes a region of the default map away
    found = [_region(key, value) for key, value in regions.items() if value is not None]
    return DerpMap(tuple(sorted(found, key=lambda one: one.id)))


def _decoded(data: bytes) -> Any:
    """JSON, as it begins with a brace or a bracket; else YAML."""
    try:
        text = _NOT_JSON.sub(r"\1", data.decode("utf-8-sig"))
        if text.lstrip()[:1] in ("{", "["):
            return msgspec.json.decode(text)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(f"it is not JSON: {error}") from None
    return read_yaml(data.decode("utf-8-sig"))


def _region(key: str, value: Any) -> DerpRegion:
    fields = _fields(value, f"region {_shown(key)}")
    number = _number(fields, "regionid", 0, _HIGHEST_ID)
    number = number or (int(key) if _NUMBER.match(key) else 0)
    where = f"region {number or _shown(key)}"
    if number <= 0:
        raise ProtocolError(f"{where} has no number")
    nodes = fields.get("nodes")
    nodes = [] if nodes is None else nodes  # an empty list of Go's
    if not isinstance(nodes, list) or len(nodes) > MAX_NODES:
        raise ProtocolError(f"{where}: Nodes are not a list of at most {MAX_NODES}")
    return DerpRegion(
        id=number,
        code=_text(fields, "regioncode"),
        name=_text(fields, "regionname"),
        nodes=tuple(_node(each, where) for each in nodes),
        avoid=_flag(fields, "avoid"),
        measured=not _flag(fields, "nomeasurenohome"),
    )


def _node(value: Any, region: str) -> DerpNode:
    fields = _fields(value, f"a node of {region}")
    name = _text(fields, "name")
    where = f"node {name or '?'} of {region}"
    port = _number(fields, "derpport", 0, 65535) or 443
    stun_port = _number(fields, "stunport", -1, 65535)
    certificate = _text(fields, "certname")
    if certificate and not _CERTIFICATE_HASH.match(certificate):
        certificate = _host(certificate, where)
    return DerpNode(
        host=_host(_text(fields, "hostname"), where),
        port=port,
        name=name,
        ipv4=_address(fields, "ipv4", where),
        ipv6=_address(fields, "ipv6", where),
        certificate=certificate,
        stun_port=None if stun_port == -1 else stun_port or STUN_PORT,
        relays=not _flag(fields, "stunonly"),
        tls=port not in _PLAIN_PORTS,
        unchecked=_flag(fields, "insecurefortests"),
        answers_port_80=_flag(fields, "canport80"),
    )


def _address(fields: dict[str, Any], name: str, where: str) -> str | None:
    """None where the map says "none"; "" where it says nothing."""
    text = _text(fields, name)
    if not text:
        return ""
    try:
        return None if text.lower() == "none" else str(parse_address(text))
    except ValueError:
        raise ProtocolError(f"{where}: {_shown(text)} is not an IP address") from None


def _host(text: str, where: str) -> str:
    """A name or an address, as it may stand in a request."""
    try:
        return checked_host(text, where)
    except UsageError:
        raise ProtocolError(f"{where}: {_shown(text)} is not a host name") from None


def _fields(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ProtocolError(f"{what} is not an object")
    return {str(name).lower(): each for name, each in value.items()}


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise ProtocolError(f"{name} is not a text")
    return (value or "")[:_MAX_TEXT]


def _flag(fields: dict[str, Any], name: str) -> bool:
    return fields.get(name) is True


def _number(fields: dict[str, Any], name: str, lowest: int, highest: int) -> int:
    """0 where it is missing, as Go has it."""
    value = fields.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ProtocolError(f"{name} is not a number from {lowest} to {highest}")
    return value


def _shown(text: str) -> str:
    return repr(text[:_MAX_TEXT])
