"""Which errors are taken for quotes of what was let expire, and that no other does any harm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nattools.model.endpoint import Endpoint
from nattools.net.base import QuotedError
from nattools.net.system.expiring import ExpiringDatagrams
from nattools.protocols import ip

TO = Endpoint("3.3.3.3", 443)


class Net:
    """A machine at 10.0.1.2; keeps what was sent, and what gets the errors."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.on_quote: Any = None

    def route(self, destination: str) -> tuple[str, str]:
        return "eth0", "10.0.1.2"

    def send_packet(self, packet: bytes) -> None:
        self.sent.append(packet)

    def close(self) -> None:
        self.on_quote = None


def rig() -> tuple[Net, ExpiringDatagrams]:
    net = Net()
    return net, ExpiringDatagrams(net, net)  # type: ignore[arg-type]


def error(quote: bytes, **more: Any) -> QuotedError:
    return QuotedError(**{"kind": "time-exceeded", "offender": "11.1.0.1", "quote": quote} | more)


def test_a_quote_is_known_by_its_flow_and_length() -> None:
    net, datagrams = rig()
    for content in (0, 1):
        datagrams.send(2222, TO, 3, content)
    for packet in net.sent:
        net.on_quote(error(packet[:28]))  # the header is enough
    assert set(datagrams.quotes) == {(TO, 3, 0), (TO, 3, 1)}
    for quote in datagrams.quotes.values():
        assert quote.checksum == ip.udp_checksum(quote.sent)
        assert quote.offender == "11.1.0.1"


def test_the_first_quote_counts_and_what_is_forgotten_does_not() -> None:
    net, datagrams = rig()
    datagrams.send(2222, TO, 3, 0)
    net.on_quote(error(net.sent[0]))
    changed = bytearray(net.sent[0])
    changed[26:28] = b"\x12\x34"
    net.on_quote(error(bytes(changed)))
    assert datagrams.quotes[TO, 3, 0].checksum == ip.udp_checksum(datagrams.quotes[TO, 3, 0].sent)
    datagrams.forget()
    datagrams.send(2222, TO, 3, 0)
    assert net.sent[1] != net.sent[0]
    assert datagrams.quotes == {}


@pytest.mark.parametrize(
    "change",
    [
        {"source": "10.0.1.3"},
        {"source_port": 2223},
        {"destination": "3.3.3.4"},
        {"destination_port": 444},
        {"payload": b"x"},
        {"protocol": "tcp"},
    ],
)
def test_another_packet_is_none_of_ours(change: dict[str, Any]) -> None:
    net, datagrams = rig()
    datagrams.send(2222, TO, 3, 0)
    net.on_quote(error(ip.build(replace(ip.parse(net.sent[0]), **change))))
    net.on_quote(error(net.sent[0], kind="port-unreachable"))
    assert datagrams.quotes == {}


@given(st.data())
def test_any_bytes_are_borne(data: st.DataObject) -> None:
    net, datagrams = rig()
    datagrams.send(2222, TO, 3, 0)
    true = net.sent[0]
    raw = data.draw(
        st.binary(max_size=80)
        | st.integers(0, len(true)).map(lambda size: true[:size])
        | st.tuples(st.integers(0, len(true) - 1), st.integers(0, 255)).map(
            lambda at: true[: at[0]] + bytes([at[1]]) + true[at[0] + 1 :]
        )
    )
    net.on_quote(error(raw))
    assert set(datagrams.quotes) <= {(TO, 3, 0)}
