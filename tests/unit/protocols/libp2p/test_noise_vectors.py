"""Noise_XX_25519_ChaChaPoly_SHA256 gives the bytes that other implementations give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nattools.protocols.libp2p.noise import NoiseXX

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "noise-xx.json").read_text())["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_every_message_is_that_of_the_vector(vector: dict[str, Any]) -> None:
    one, other = (
        NoiseXX(
            initiates=end == "init",
            static=bytes.fromhex(vector[f"{end}_static"]),
            ephemeral=bytes.fromhex(vector[f"{end}_ephemeral"]),
            prologue=bytes.fromhex(vector["prologue"]),
        )
        for end in ("init", "resp")
    )
    messages = [
        (bytes.fromhex(each["payload"]), bytes.fromhex(each["ciphertext"])) for each in vector["messages"]
    ]
    turns = ((one, other), (other, one), (one, other))
    for (writer, reader), (payload, wire) in zip(turns, messages, strict=False):
        assert writer.write(payload) == wire
        assert reader.read(wire) == payload
    assert one.ciphers is not None
    assert other.ciphers is not None
    for (sender, receiver), (payload, wire) in zip(turns, messages[3:], strict=False):
        assert sender.ciphers is not None
        assert receiver.ciphers is not None
        assert sender.ciphers[0].encrypt(payload) == wire
        assert receiver.ciphers[1].decrypt(wire) == payload


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 3
