"""Transactions are driven by one loop: repeated, answered, refused and given up on the simulator's clock."""

from __future__ import annotations

import asyncio

from simulated import STUN, behind_nat, open_internet, run, udp

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net import exchange
from nattools.net.base import UdpSocket
from nattools.protocols import stun


def question(server: Endpoint = STUN, **options: float) -> stun.Transaction:
    """A Binding transaction with short times."""
    return stun.Transaction(stun.binding_request(stun.new_transaction_id()), server, rto_s=0.1, **options)


async def opened(lab: SimLab) -> UdpSocket:
    """A socket of alice's."""
    return await lab.network("alice").open_udp(family=4)


def test_a_transaction_is_driven_to_its_answer_and_the_handlers_are_free_again() -> None:
    async def main(lab: SimLab) -> None:
        socket, transaction = await opened(lab), question()
        await exchange.run(transaction, socket)
        assert transaction.state == "succeeded"
        assert transaction.response is not None
        assert socket.on_datagram is socket.on_icmp is None

    with SimLab(behind_nat()) as lab:
        lab.run(lambda: main(lab))


def test_silence_is_waited_for_no_longer_than_the_transaction_says() -> None:
    async def main(lab: SimLab) -> None:
        silent = await udp(lab.network("bob"))
        socket, loop = await opened(lab), asyncio.get_running_loop()
        began, transaction = loop.time(), question(silent.local, rc=3, rm=2)
        await exchange.run(transaction, socket)
        assert transaction.state == "timed out"
        assert transaction.sent == 3
        assert abs(loop.time() - began - (0.1 + 0.2 + 0.2)) < 0.01

    run(open_internet(), main)


def test_a_refusal_ends_the_transaction_that_it_is_about_and_no_other() -> None:
    async def main(lab: SimLab) -> None:
        peer = await udp(lab.network("bob"))
        socket, exchanges = await opened(lab), exchange.Exchanges()
        exchange.attach(exchanges, socket)
        refused, silent = question(Endpoint(peer.local.host, 9)), question(peer.local, rc=1, rm=5)
        over: list[str] = []
        exchanges.start(refused, socket, lambda: over.append(refused.problem))
        exchanges.start(silent, socket, lambda: over.append(silent.state))
        await exchanges.run()
        assert over == [f"ICMP port-unreachable from {peer.local.host}", "timed out"]
        assert exchanges.idle

    run(open_internet(), main)


def test_what_arrives_on_another_socket_is_not_its_answer() -> None:
    async def main(lab: SimLab) -> None:
        one, other = await opened(lab), await opened(lab)
        identity = stun.new_transaction_id()
        exchanges, transaction = exchange.Exchanges(), stun.Transaction(stun.binding_request(identity), STUN)
        exchanges.start(transaction, one)
        now = asyncio.get_running_loop().time()
        exchanges.send_due(now)
        answer = stun.binding_success(identity, Endpoint("11.1.0.2", 40000))
        assert not exchanges.receive_datagram(answer, STUN, now, other)
        assert exchanges.receive_datagram(answer, STUN, now, one)
        assert transaction.done

    run(open_internet(), main)


def test_a_datagram_that_cannot_be_sent_ends_the_transaction() -> None:
    async def main(lab: SimLab) -> None:
        socket, transaction = await opened(lab), question()
        socket.close()
        await exchange.run(transaction, socket)
        assert transaction.state == "abandoned"
        assert transaction.problem.startswith("sending failed")

    run(open_internet(), main)
