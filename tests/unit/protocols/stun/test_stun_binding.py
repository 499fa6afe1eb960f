import pytest

from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c

TRANSACTION = bytes(range(12))


@pytest.mark.parametrize(("host", "size"), [("192.0.2.1", 32), ("2001:db8::1", 44)])
def test_success_is_what_encode_would_write(host: str, size: int) -> None:
    mapped = Endpoint(host, 40000)
    data = stun.binding_success(TRANSACTION, mapped)
    value = stun.pack_xor_address(mapped, TRANSACTION)
    message = stun.Message(stun.BINDING, "success", TRANSACTION, ((c.XOR_MAPPED_ADDRESS, value),))
    assert data == stun.encode(message)
    assert len(data) == size
    assert stun.decode(data).mapped == mapped


def test_a_plain_request_is_the_header() -> None:
    assert stun.binding_request(TRANSACTION, hello=False).hex() == "000100002112a442" + TRANSACTION.hex()


@pytest.mark.parametrize("hello", [True, False])
@pytest.mark.parametrize("padded_to", [0, 21, 28, 100, 101, 102, 103, 1200])
def test_padding_reaches_the_size_and_little_more(hello: bool, padded_to: int) -> None:
    data = stun.binding_request(TRANSACTION, change_address=True, padded_to=padded_to, hello=hello)
    assert padded_to <= len(data) <= max(padded_to + 3, 32)
    message = stun.decode(data)
    assert message.change_request == (True, False)
    filler = message.hello if hello else message.get(c.PADDING)
    assert filler is None or set(filler) <= {0}
    assert (message.hello is not None) == hello


def test_response_port() -> None:
    message = stun.decode(stun.binding_request(TRANSACTION, response_port=8080))
    assert message.response_port == 8080
    assert message.get(c.RESPONSE_PORT) == b"\x1f\x90"
    assert message.change_request is None


def test_transaction_ids_differ() -> None:
    assert len({stun.new_transaction_id() for _ in range(100)}) == 100
    assert len(stun.new_transaction_id()) == 12


@pytest.mark.parametrize("size", [0, 11, 13, 15, 17])
def test_transaction_ids_of_other_sizes(size: int) -> None:
    with pytest.raises(ValueError, match="transaction id"):
        stun.binding_request(bytes(size))
    with pytest.raises(ValueError, match="transaction id"):
        stun.encode(stun.Message(1, "request", bytes(size)))
    with pytest.raises(ValueError, match="transaction id"):
        stun.binding_success(bytes(size), Endpoint("192.0.2.1", 1))
