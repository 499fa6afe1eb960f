"""What is wrong with IPv6 here. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from nattools.model.ipv6 import PROBLEMS, Ipv6, Ipv6Problem, ProblemCode, explained

_GLOBAL = ("stable", "temporary", "eui-64", "other")
_BROKEN: tuple[Literal["teredo", "6to4"], ...] = ("teredo", "6to4")


class LocalCauses(NamedTuple):
    """What this machine does to itself: its kernel has IPv6 off, a route forbids it, its firewall does, or a
    VPN takes it all."""

    switched_off: bool
    blocked: bool
    forbidden: bool
    in_vpn: bool


def problems(found: Ipv6, own: LocalCauses, *, slow: bool) -> tuple[Ipv6Problem, ...]:
    """All that there are, by what was found."""
    codes = {*_without_ipv6(found, own), *_with_ipv6(found, slow=slow)}
    return tuple(explained(code, found) for code in PROBLEMS if code in codes)


def _without_ipv6(found: Ipv6, own: LocalCauses) -> list[ProblemCode]:
    settled = [each for each in found.addresses if not each.tentative and each.kind != "clat"]
    kinds = {each.kind for each in settled}
    codes: list[ProblemCode] = []
    if found.capable is None:
        return []
    if not kinds - {"link-local"}:
        waiting = any(each.tentative and each.kind != "link-local" for each in found.addresses)
        taken = any(each.duplicate and each.kind != "link-local" for each in found.addresses)
        missing: ProblemCode = "tentative" if waiting else "no-address"
        codes += [] if taken else ["switched-off" if own.switched_off else missing]
    elif not found.capable:
        codes.append("route-blocked" if own.blocked else "no-route")
    if "ula" in kinds and not kinds - {"link-local", "ula"} and found.works is not True:
        codes.append("ula-only")
    if found.capable and found.works is False and not _has_dead_prefix(found):
        codes.append("forbidden-here" if own.forbidden else _unanswered(found, own))
    return codes


def _unanswered(found: Ipv6, own: LocalCauses) -> ProblemCode:
    """By the VPN that it goes through; by the router, where it is known that it is not there."""
    if own.in_vpn:
        return "vpn-silent"
    known = [each for each in found.routers if each.address is not None]
    return "router-silent" if known and all(each.silent for each in known) else "no-answer"


def _has_dead_prefix(found: Ipv6) -> bool:
    """Another one works, else it says nothing."""
    return any(each.answered is False for each in found.addresses)


def _with_ipv6(found: Ipv6, *, slow: bool) -> list[ProblemCode]:
    kinds = {each.kind for each in found.addresses}
    codes: list[ProblemCode] = []
    if found.path_mtu.ipv6 is not None and found.path_mtu.ipv6.black_hole:
        codes.append("black-hole")
    codes += ["slow"] if slow else []
    through = found.fragments.ipv6
    codes += ["fragments-dropped"] if through and False in (through.outbound, through.inbound) else []
    codes += ["dead-prefix"] if _has_dead_prefix(found) else []
    codes += ["duplicate-address"] if any(each.duplicate for each in found.addresses) else []
    announced = [each for each in found.routers if each.address is not None]  # a tunnel names none
    codes += ["two-routers"] if len(announced) > 1 else []
    codes += [code for code in _BROKEN if code in kinds and not kinds & set(_GLOBAL)]
    if found.translation == "nat66":
        codes.append("nat66")
    elif any(
        each in ("filtered", "rejected", "prohibited") for each in (found.inbound.udp, found.inbound.tcp)
    ):
        codes.append("filtered")
    lasting = [each for each in found.addresses if each.kind in _GLOBAL and not each.deprecated]
    if lasting and all(each.kind == "temporary" for each in lasting):
        codes.append("temporary-only")
    if any(each.shows_mac and each.kind not in ("link-local", "ula") for each in found.addresses):
        codes.append("mac-shown")
    return codes
