"""Networks drawn at random of what stands in few books: several layers, sets and ranges of ports, squatted
addresses, firewalls here and there, interfaces that override each other, servers that are overloaded. What is
true of each follows from its layers: an oracle for reports, as in `randomnetworks`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from randomnetworks import ADM, APDM, BEHAVIOURS, EIM, Drawing, toml, who_is_asked

ORDER = (EIM, ADM, APDM)
CARRIERS = ("100.64.0.0/10", "25.60.0.0/16", "192.168.7.0/24", "10.77.0.0/16")
LANS = (None, None, "192.168.1.0/24", "100.64.9.0/24", "25.9.9.0/24", "172.17.0.0/16")
RARE: tuple[tuple[str, Any, float], ...] = (
    ("parity", True, 0.2),
    ("input", "open", 0.1),
    ("errors_in", "blocked", 0.1),
    ("answers_ttl", False, 0.1),
    ("icmp_ends_mapping", True, 0.05),
    ("quotes", "translated", 0.1),
    ("echo_ids", "rewritten", 0.1),
    ("fragments", "dropped", 0.1),
    ("lifetime_s", 20.0, 0.1),
    ("udp", "blocked", 0.06),
)
Layer = dict[str, Any]


def strange(seed: int) -> Drawing:
    """The network of that number."""
    draw = random.Random(f"strange {seed}")
    drawing = Drawing(draw)
    layers = _layers(draw)
    drawing.host = _host(draw, drawing, layers)
    _write(drawing, layers)
    who_is_asked(drawing)
    drawing.host += _link(random.Random(f"link {seed}"), drawing)
    if draw.random() < 0.15:
        drawing.server("nattools", addresses=2, loss=draw.choice((0.4, 0.7)), delay_ms=10)
    _truth(drawing, layers)
    return drawing


def _link(draw: random.Random, drawing: Drawing) -> str:
    """What else the way out may have: it delays, turns around, cuts or throttles what passes."""
    kind = draw.choice((None, None, None, None, None, "jitter", "reorder", "mtu", "bursts", "rate"))
    drawing.slow = kind in ("bursts", "rate")
    keys = {
        "jitter": "jitter_ms = 40\n",
        "reorder": "reorder = 0.2\n",
        "mtu": "mtu = 576\n",
        "bursts": "bursts = { good_s = 2, bad_s = 0.3 }\n",
        "rate": "rate_mbps = 0.05\nqueue_ms = 200\n",
    }
    return "" if kind is None else keys[kind]


def _layers(draw: random.Random) -> list[Layer]:
    """Outermost first."""
    count = draw.choice((1, 1, 1, 2, 2, 3))
    layers: list[Layer] = [_nat(draw, outermost=number == 0) for number in range(count)]
    for layer in layers[:-1]:
        layer["address"] = draw.choice(CARRIERS)
    layers[-1]["address"] = draw.choice(LANS)
    if len({layer["address"] for layer in layers}) < len(layers) or _overlap(layers):
        return _layers(draw)
    if draw.random() < 0.15:
        wall = {"wall": True, "filtering": draw.choice(BEHAVIOURS)}
        layers.insert(draw.choice((0, len(layers))), wall)
        if "wall" in layers[0]:
            layers[1].pop("pool", None)
            layers[1].pop("pooling", None)
    return layers


def _overlap(layers: Sequence[Layer]) -> bool:
    carriers = [layer["address"] for layer in layers if layer["address"] is not None]
    return sum(address.startswith("100.64.") for address in carriers) > 1


def _nat(draw: random.Random, *, outermost: bool) -> Layer:
    allocation = draw.choice(("preserving", "sequential", "random", "block", None))
    layer: Layer = {
        "mapping": draw.choice((EIM, EIM, *BEHAVIOURS)),
        "filtering": draw.choice(BEHAVIOURS),
        "allocation": allocation,
        "hairpinning": draw.random() < 0.3,
    }
    if allocation == "sequential":
        layer["step"] = draw.choice((1, 1, 2, 4, 10))
        layer["foreign_sessions"] = draw.choice((0, 0, 1, 3))
    if allocation == "block":
        layer["block"] = draw.choice((64, 128, 256, 1000, 2048))
    if allocation in ("random", "preserving"):
        layer["range"] = draw.choice((None, None, [1024, 32767], [40000, 40511], [32768, 60999]))
    if allocation == "random" and layer["range"] is None and draw.random() < 0.2:
        layer["port_set"] = draw.choice(([4032, 832], [1984, 320], [15, 3]))
    for key, value, share in RARE:
        if draw.random() < share and not (key == "parity" and "port_set" in layer):
            layer[key] = value  # whose ports are all odd has none for an even one
    if draw.random() < 0.15:
        layer["ttl"] = draw.choice(("kept", "reset"))
    if outermost and draw.random() < 0.25:
        layer["pool"] = draw.choice((2, 3))
        layer["pooling"] = draw.choice(("paired", "arbitrary", "per-destination"))
    return layer


def _host(draw: random.Random, drawing: Drawing, layers: list[Layer]) -> str:
    """Its lines. A second way out is not the one that is measured."""
    behind, more = [f"l{len(layers) - 1}"], ""
    if draw.random() < 0.2:
        drawing.lines.append('[nat.other]\naddress = "10.99.0.0/16"\n')
        behind.append("other")
        vpn = draw.random() < 0.5
        routing = draw.choice(("by-rule", "by-halves", "by-source") if vpn else ("by-source", "by-metric"))
        more += f'routing = "{routing}"\n' + (f'vpn = ["{behind[0]}"]\n' if vpn else "")
    firewall = draw.choice((None, None, None, None, "drop", "reject"))
    if firewall is not None:
        more += f'firewall = "{firewall}"\n'
        layers.append({"wall": True, "filtering": APDM, "host": True})
    elif draw.random() < 0.3 and len(layers) == 1 and layers[0]["allocation"] == "preserving":
        # what a DMZ's host gets comes to the same port inside: it is its own where the NAT keeps them
        layers[0] |= {"dmz": "a", "range": None}
    return f"behind = {behind}\n".replace("'", '"') + more


def _write(drawing: Drawing, layers: list[Layer]) -> None:
    for number, layer in enumerate(layers):
        if "host" in layer:
            continue
        keys = {key: value for key, value in layer.items() if value is not None and key != "wall"}
        outside = f'behind = "l{number - 1}"\n' if number else ""
        lines = "".join(f"{key} = {toml(value)}\n" for key, value in keys.items())
        drawing.lines.append(f"[{'firewall' if 'wall' in layer else 'nat'}.l{number}]\n{outside}{lines}")


def _truth(drawing: Drawing, layers: list[Layer]) -> None:
    nats = [layer for layer in layers if "wall" not in layer]
    truth = drawing.truth
    if any(layer.get("udp") == "blocked" for layer in nats):
        truth["reachable"] = {False}
        drawing.able = False
        return
    truth["reachable"] = {True}
    pooling = nats[0].get("pooling", "paired")
    drawing.hosts = _hosts(drawing, layers)
    mapping = max((layer["mapping"] for layer in nats), key=ORDER.index)
    truth |= {
        "present": {True},
        "mapping": {ADM, EIM} if mapping == EIM and pooling == "per-destination" else {mapping},
        "filtering": {_filtering(layers)},
        "pooling": {pooling, "paired"} if pooling == "per-destination" else {pooling},
        "double_nat": {len(nats) > 1},
        "hairpinning": {nats[0]["hairpinning"]},
    }
    if any(layer.get("input") == "open" for layer in nats[1:]):
        truth["hairpinning"].add(False)  # what comes back early takes its port on the inner router
    if any(layer.get("ttl") == "kept" for layer in nats[:-1]):
        truth["double_nat"].add(
            False
        )  # a second NAT that is no hop, and lets openers pass, is seen by nobody
    if len(nats) > 1 and nats[0]["address"] == CARRIERS[0]:
        truth["cgnat"] = {True} | (truth["double_nat"] - {True})
    elif len(nats) == 1 and not str(nats[0]["address"]).startswith("100.64."):
        truth["cgnat"] = {False}
    deciding = next((each for each in nats if each["allocation"] != "preserving"), None)
    if all(each["allocation"] not in ("preserving", None) for each in nats):
        assert deciding is not None
        named = "sequential" if deciding["allocation"] == "sequential" else "random"
        truth["port_allocation"] = {named}
        steps = {deciding["step"]} if named == "sequential" and not deciding.get("parity") else {None}
        if not deciding.get("foreign_sessions") and not deciding.get("parity"):
            truth["port_step"] = steps


def _hosts(drawing: Drawing, layers: Sequence[Layer]) -> set[str]:
    """The k-th router on the internet has 11.k.0.2, and behind the k-th router, a firewall, stands
    11.(150+k).0.2. The other way out is the first router of a file, where there is one."""
    others = sum("[nat.other]" in line for line in drawing.lines)
    nats = [layer for layer in layers if "wall" not in layer]
    if "wall" in layers[0]:
        return {f"11.{151 + others + len(nats)}.0.2"}
    return {f"11.{1 + others}.0.{2 + number}" for number in range(nats[0].get("pool", 1))}


def _filtering(layers: Sequence[Layer]) -> str:
    """The strictest of all. What nobody asked for goes to a DMZ's host, whatever its router filters."""
    return max((EIM if "dmz" in layer else str(layer["filtering"]) for layer in layers), key=ORDER.index)
