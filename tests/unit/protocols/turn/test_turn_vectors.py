"""What a real relay sent."""

import json
from pathlib import Path
from typing import Any

import pytest

from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import long_term_key

FILE = json.loads((Path(__file__).parents[3] / "vectors" / "coturn-turn.json").read_text())
KEY = long_term_key(FILE["username"], FILE["realm"], FILE["password"])


@pytest.mark.parametrize("vector", FILE["vectors"], ids=lambda vector: vector["id"])
def test_it_is_read_as_it_was_meant(vector: dict[str, Any]) -> None:
    message = stun.decode(bytes.fromhex(vector["hex"]))
    assert (message.method, message.kind) == (vector["method"], vector["kind"])
    assert message.unknown_required() == ()
    assert stun.verify_integrity(message, KEY) == vector["signed"]
    for name in ("error", "realm", "relayed", "mapped", "lifetime_s", "peers"):
        if name in vector:
            found = getattr(message, name)
            assert json.loads(json.dumps(found)) == vector[name]
    if message.kind == "indication":
        assert message.get(c.DATA) == b"hi 0"


def test_channel_data() -> None:
    vector = FILE["channel_data"]
    channel, data = turn.decode_channel_data(bytes.fromhex(vector["hex"]))
    assert (channel, data.decode()) == (vector["channel"], vector["text"])
