"""Whatever a peer may say of its network, for hypothesis."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from nattools.model.nat import (
    Classic,
    FilteringBehaviour,
    MappingBehaviour,
    Nat,
    NatByTransport,
    PortAllocation,
)

ANY_INT = st.integers(-3, 70_000) | st.integers()
ANY_FLOAT = st.floats(allow_nan=False, allow_infinity=False)
NATS = st.builds(
    Nat,
    reachable=st.sampled_from([True, True, False, None]),
    present=st.sampled_from([True, False, None]),
    mapping=st.sampled_from(get_args(MappingBehaviour)),
    filtering=st.sampled_from(get_args(FilteringBehaviour)),
    port_allocation=st.sampled_from(get_args(PortAllocation)),
    port_step=st.none() | ANY_INT,
    port_range=st.none() | st.tuples(ANY_INT, ANY_INT),
    port_block=st.sampled_from([True, False, None]),
    port_mask=st.none() | st.tuples(ANY_INT, ANY_INT) | st.just((0x0FC0, 0x0340)),
    distance_hops=st.none() | ANY_INT,
    classic=st.sampled_from(get_args(Classic)),
    blocked_ports=st.lists(ANY_INT, max_size=3).map(tuple),
    open_ports=st.lists(ANY_INT, max_size=3).map(tuple),
    rtt_ms=st.none() | ANY_FLOAT,
)
NETWORKS = st.builds(
    NatByTransport,
    udp4=st.none() | NATS,
    tcp4=st.none() | NATS,
    udp6=st.none() | NATS,
    tcp6=st.none() | NATS,
)
