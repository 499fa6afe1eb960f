"""RFC 5769 2.1 to 2.4 and RFC 8489 B.1."""

import json
from pathlib import Path
from typing import Any

import pytest

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import long_term_key, opaque_string, userhash

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "rfc5769.json").read_text())["vectors"]


@pytest.fixture(params=VECTORS, ids=lambda vector: vector["id"])
def vector(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


def key_of(vector: dict[str, Any]) -> bytes:
    if vector["credential"] == "short-term":
        return opaque_string(vector["password"]).encode()
    algorithm = c.SHA256 if vector["credential"].endswith("sha256") else c.MD5
    key = long_term_key(vector["username"], vector["realm"], vector["password"], algorithm)
    assert key.hex() == vector["key"]
    return key


def test_decoding_gives_the_rfcs_attributes(vector: dict[str, Any]) -> None:
    message = stun.decode(bytes.fromhex(vector["hex"]))
    assert message.method == stun.BINDING
    assert message.kind == vector.get("class", "request")
    assert message.transaction_id.hex() == vector["transaction_id"]
    assert not message.legacy
    assert message.unknown_required() == ()
    expected = [(int(item["type"], 16), bytes.fromhex(item["value"])) for item in vector["attributes"]]
    assert list(message.attributes) == expected


def test_decoded_values(vector: dict[str, Any]) -> None:
    message = stun.decode(bytes.fromhex(vector["hex"]))
    assert message.software == vector.get("software")
    assert message.realm == vector.get("realm")
    assert message.nonce == (vector["nonce"].encode() if "nonce" in vector else None)
    assert message.username == (None if "userhash" in vector else vector.get("username"))
    assert message.priority == (int(vector["priority"], 16) if "priority" in vector else None)
    controlled = int(vector["ice_controlled"], 16) if "ice_controlled" in vector else None
    assert message.ice_controlled == controlled
    mapped = Endpoint(*vector["xor_mapped_address"]) if "xor_mapped_address" in vector else None
    assert message.mapped == mapped
    if "userhash" in vector:
        assert message.userhash == userhash(vector["username"], vector["realm"])
        assert message.password_algorithm == (vector["password_algorithm"], b"")


def test_integrity(vector: dict[str, Any]) -> None:
    message = stun.decode(bytes.fromhex(vector["hex"]))
    key = key_of(vector)
    assert stun.verify_integrity(message, key)
    assert not stun.verify_integrity(message, key + b"x")


def test_fingerprint(vector: dict[str, Any]) -> None:
    message = stun.decode(bytes.fromhex(vector["hex"]))
    assert stun.verify_fingerprint(message) == ("fingerprint" in vector)


def test_any_flipped_bit_is_noticed(vector: dict[str, Any]) -> None:
    good = bytes.fromhex(vector["hex"])
    end = len(good) - (8 if "fingerprint" in vector else 0)
    key = key_of(vector)
    for position in (1, 9, 21, 27, end - 30, end - 1):
        bad = bytearray(good)
        bad[position] ^= 0x04
        try:
            message = stun.decode(bytes(bad))
        except ProtocolError:
            continue
        assert not stun.verify_integrity(message, key)
        assert not stun.verify_fingerprint(message)


def test_encoding_anew_gives_the_same_attributes_padded_with_zeroes(vector: dict[str, Any]) -> None:
    original = stun.decode(bytes.fromhex(vector["hex"]))
    key = key_of(vector)
    algorithm = "sha256" if vector["credential"].endswith("sha256") else "sha1"
    data = stun.encode(original, key=key, algorithm=algorithm, fingerprint="fingerprint" in vector)
    again = stun.decode(data)
    computed = {c.MESSAGE_INTEGRITY, c.MESSAGE_INTEGRITY_SHA256, c.FINGERPRINT}
    assert [a for a in again.attributes if a[0] not in computed] == [
        a for a in original.attributes if a[0] not in computed
    ]
    assert stun.verify_integrity(again, key)
    assert stun.verify_fingerprint(again) == ("fingerprint" in vector)


def test_encoding_gives_the_rfcs_bytes_where_the_rfc_pads_with_zeroes(vector: dict[str, Any]) -> None:
    if any(item["pad"].strip("0") for item in vector["attributes"]):
        pytest.skip("this sample pads with 0x20, which encode() does not")
    algorithm = "sha256" if vector["credential"].endswith("sha256") else "sha1"
    original = stun.decode(bytes.fromhex(vector["hex"]))
    assert stun.encode(original, key=key_of(vector), algorithm=algorithm).hex() == vector["hex"]
