"""Do ICMP errors give away the port that a NAT has given? Some NATs put the inside address and port back into
the datagram that an error quotes, and leave the checksum as it was outside (against RFC 5508 REQ-4 a)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from nattools.model.endpoint import Endpoint, Family
from nattools.model.observation import Gap
from nattools.model.quotedchecksumseen import QuotedAs, QuotedChecksum
from nattools.net.system.expiring import CONTENTS, ExpiringDatagrams, ExpiryQuote
from nattools.probes.probe import LaneProbe, ProbeContext, ProbeOptions
from nattools.probes.question import open_stun_client
from nattools.probes.target import Target
from nattools.protocols import ip

TTLS = range(1, 6)
MOST_ROUNDS = 3
"""A datagram that nobody reports is sent so often: routers limit how many errors they send."""


class QuotedChecksums(LaneProbe):
    """From a port whose outside port a server has told, datagrams to that server that expire on the way. It
    is what `pwnat listen` reads such ports from, where no server tells them."""

    name = "quoted-checksum"
    text = "do ICMP errors give the NAT's port away?"
    commands = frozenset({"diagnose", "pwnat"})
    transport = "udp"
    last = True
    capability = "raw-packets"
    question = "Does the NAT leave its own port in the checksums that ICMP errors quote?"
    settle = "the same as root, or with CAP_NET_RAW"

    def over(self, options: ProbeOptions, family: Family) -> bool:
        return family == 4 and super().over(options, family)

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """The best one, if it sees another address than ours: else there is no NAT."""
        return [each for each in ranked[:1] if each.mapped and each.mapped.host != each.local_host]

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Learn the outside port, then let datagrams of the same flow expire."""
        if context.interface is not None:
            reason = "packets that are sent whole leave by the system's route, not by a named interface"
            settle = "the same without --interface"
            context.recorder.add(Gap(probe=self.name, question=self.question, reason=reason, settle=settle))
            return
        to = targets[0].endpoint
        with (
            await open_stun_client(context) as client,
            await ExpiringDatagrams.open(context.network) as sender,
        ):
            control = await client.expect(client.prepare(to, "control"))
            client.record(control)
            mapped = control.mapped
            if mapped is None or mapped.host == client.local.host:
                return
            began = asyncio.get_running_loop().time()
            sent = await _expire(context, sender, client.local.port, to)
            for ttl in TTLS:
                quotes = [sender.quotes.get((to, ttl, content)) for content in range(CONTENTS)]
                found = [each for each in quotes if each is not None]
                context.recorder.add(
                    QuotedChecksum(
                        probe=self.name,
                        family=4,
                        asked=str(to),
                        local=str(client.local),
                        mapped=str(mapped),
                        ttl=ttl,
                        contents=CONTENTS,
                        sent=sent,
                        source=found[0].offender if found else None,
                        quoted=tuple(_quoted_as(each, mapped) for each in found),
                    ),
                    at=began,
                )


async def _expire(context: ProbeContext, sender: ExpiringDatagrams, port: int, to: Endpoint) -> int:
    """In rounds, until all are reported or no more are to be expected; how many there were."""
    for number in range(MOST_ROUNDS):
        for ttl in TTLS:
            for content in range(CONTENTS):
                if (to, ttl, content) not in sender.quotes:
                    sender.send(port, to, ttl, content)
        await asyncio.sleep(context.estimate.last_wait_s)
        reported = {ttl for _, ttl, _ in sender.quotes}
        if all((to, ttl, content) in sender.quotes for ttl in reported for content in range(CONTENTS)):
            return number + 1
    return MOST_ROUNDS


def _quoted_as(quote: ExpiryQuote, mapped: Endpoint) -> QuotedAs:
    outside = replace(quote.sent, source=mapped.host, source_port=mapped.port)
    checksums: dict[int, QuotedAs] = {
        0: "none",
        ip.udp_checksum(outside): "as-mapped",
        ip.udp_checksum(quote.sent): "as-sent",
    }
    return checksums.get(quote.checksum, "other")
