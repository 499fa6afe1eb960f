"""What there is to say about a group of codes, beyond their sentences."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

Product = Literal[
    "pfSense", "OPNsense", "FRITZ!Box", "OpenWrt", "FortiGate", "Palo Alto", "MikroTik", "the provider"
]


class Topic(NamedTuple):
    """`codes` are patterns (`fnmatch`); where several topics fit, the first one does. `meaning`, how it was
    `found` and what to `do`, in sentences; `products`: where that is done, or why it cannot be."""

    name: str
    title: str
    codes: tuple[str, ...]
    meaning: str
    found: str
    do: str
    products: Mapping[Product, str] = MappingProxyType({})
