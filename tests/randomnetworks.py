"""Networks drawn at random, each with what is true of it: an oracle for reports.

A network is put together by parts (`PARTS`): each adds lines to the drawing and says what may be found. A
finding must be in `truth`, or unknown. To add a kind of network, add a part.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

EIM, ADM, APDM = "endpoint-independent", "address-dependent", "address-and-port-dependent"
BEHAVIOURS = (EIM, ADM, APDM)
UNKNOWN: tuple[Any, ...] = (None, "unknown")
HONEST = ("nattools", "rfc5780", "plain", "xor-only", "rfc3489", "drops-change")
ODD = ("silent", "garbage", "fake-other", "ignores-change", "refuses")
"""These say nothing wrong of our address, alone or not."""
IMPOSSIBLE = ("0.0.0.0", "127.0.0.1", "172.17.0.1", "own", "224.0.0.9", "255.255.255.255", "169.254.9.9")


@dataclass
class Drawing:
    """`lines` of a scenario with the host `a`; `truth`: by field of the UDP finding over IPv4, the values
    that are right. `hosts`: addresses that may be seen from outside. `host`: the lines of the host itself,
    where they are more than what it is `behind`. `able`: a server tells all, and nothing is lost. `slow`:
    more is lost than by chance alone."""

    draw: random.Random
    lines: list[str] = field(default_factory=list)
    truth: dict[str, set[Any]] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    behind: str | None = None
    host: str | None = None
    servers: int = 0
    able: bool = False
    slow: bool = False

    @property
    def text(self) -> str:
        """The scenario file."""
        behind = self.host or (f'behind = "{self.behind}"\n' if self.behind else "")
        loss = self.draw.choice((0.0, 0.0, 0.03, 0.1))
        path = f"delay_ms = {self.draw.choice((0, 5, 40, 150))}\nloss = {loss}\n"
        self.able = self.able and not loss and not self.slow
        return 'title = "random"\n' + "".join(self.lines) + f"[host.a]\n{behind}{path}"

    def server(self, kind: str, **keys: Any) -> None:
        """One more of that kind."""
        self.servers += 1
        more = "".join(f"{key} = {toml(value)}\n" for key, value in keys.items())
        self.lines.append(f'[server.s{self.servers}]\nkind = "{kind}"\n{more}')


def toml(value: Any) -> str:
    """A value as a scenario file has it."""
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def way_out(drawing: Drawing) -> None:
    """No NAT, a firewall, one NAT, or one behind a carrier's."""
    draw = drawing.draw
    kind = draw.choice(("open", "firewall", "nat", "nat", "nat", "nat", "two"))
    if kind == "open":
        drawing.hosts = {"11.101.0.2"}
        drawing.truth |= {"present": {False}, "mapping": {"none"}, "filtering": {EIM}}
    elif kind == "firewall":
        filtering = draw.choice(BEHAVIOURS)
        drawing.lines.append(f'[firewall.out]\nfiltering = "{filtering}"\n')
        drawing.behind, drawing.hosts = "out", {"11.151.0.2"}
        drawing.truth |= {"present": {False}, "mapping": {"none"}, "filtering": {filtering}}
    elif kind == "nat":
        _nat(drawing)
    else:
        drawing.lines.append('[nat.isp]\naddress = "100.64.0.0/10"\n[nat.out]\nbehind = "isp"\n')
        drawing.behind, drawing.hosts = "out", {"11.1.0.2"}
        drawing.truth |= {"present": {True}, "mapping": {EIM}, "filtering": {APDM}}
        drawing.truth |= {"double_nat": {True}, "cgnat": {True}}


def _nat(drawing: Drawing) -> None:
    draw = drawing.draw
    mapping, filtering = draw.choice(BEHAVIOURS), draw.choice(BEHAVIOURS)
    allocation = draw.choice(("preserving", "sequential", "random", "block"))
    hairpinning, pool = draw.random() < 0.3, draw.choice((1, 1, 1, 2, 3))
    pooling = draw.choice(("paired", "arbitrary", "per-destination")) if pool > 1 else "paired"
    step = draw.choice((1, 2, 4)) if allocation == "sequential" else 1
    drawing.lines.append(
        f'[nat.out]\nmapping = "{mapping}"\nfiltering = "{filtering}"\nallocation = "{allocation}"\n'
        f'hairpinning = {str(hairpinning).lower()}\npool = {pool}\npooling = "{pooling}"\n'
        + (f"step = {step}\n" if step > 1 else "")
    )
    drawing.behind, drawing.hosts = "out", {f"11.1.0.{2 + number}" for number in range(pool)}
    drawing.truth |= {
        "present": {True}, "mapping": {mapping}, "filtering": {filtering}, "hairpinning": {hairpinning},
        "pooling": {pooling}, "double_nat": {False}, "cgnat": {False},
    }  # fmt: skip
    if pooling == "per-destination":
        # one for each destination: it shows only where the servers' addresses fall on different ones
        drawing.truth["mapping"] = {ADM, EIM} if mapping == EIM else {mapping}
        drawing.truth["pooling"] |= {"paired"}
    if allocation != "preserving":
        named = "random" if allocation == "block" else allocation
        drawing.truth["port_allocation"] = {named}
        drawing.truth["port_step"] = {step if allocation == "sequential" else None}
    elif mapping == EIM:
        drawing.truth["port_allocation"] = {"preserving"}


def who_is_asked(drawing: Drawing) -> None:
    """One to four servers. One that says what may be true, and is not, is held against two honest ones."""
    draw = drawing.draw
    liar = draw.choice((None, None, "wrong", "impossible", "mapped"))
    for _ in range(draw.choice((1, 1, 2, 3)) + (liar == "wrong")):
        kind = draw.choice(HONEST[:2] if draw.random() < 0.6 else HONEST)
        drawing.able = drawing.able or kind in HONEST[:2]
        drawing.server(kind, addresses=2 if kind in HONEST[:2] or kind == "drops-change" else 1)
    if draw.random() < 0.3:
        drawing.server(draw.choice(ODD), addresses=1)
    if liar == "wrong":
        drawing.server("wrong-address", addresses=1)
    elif liar is not None:
        says = "mapped" if liar == "mapped" else draw.choice(IMPOSSIBLE)
        drawing.server(draw.choice(HONEST[:4]), says=says, ipv6=False)


PARTS: tuple[Callable[[Drawing], None], ...] = (way_out, who_is_asked)


def drawn(seed: int) -> Drawing:
    """The network of that number."""
    drawing = Drawing(random.Random(seed))
    for part in PARTS:
        part(drawing)
    return drawing
