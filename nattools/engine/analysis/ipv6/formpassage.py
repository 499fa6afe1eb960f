"""Do fragments and extension headers pass? Pure."""

from __future__ import annotations

from nattools.engine.analysis.findings import Findings
from nattools.model.endpoint import Family
from nattools.model.packetform import FormPassage, FormTrial, FragmentsByFamily, PacketForm
from nattools.model.statement import Reason, statement


def fragments(findings: Findings) -> FragmentsByFamily:
    """Whether fragments pass, over both families."""
    return FragmentsByFamily(ipv4=passage(findings, 4, "fragments"), ipv6=passage(findings, 6, "fragments"))


def passage(findings: Findings, family: Family, form: PacketForm) -> FormPassage | None:
    """From what was tried; None: nothing was."""
    trials = _form_trials(findings, family, form)
    if not trials:
        return None
    return FormPassage(outbound=_passes(findings, trials, True), inbound=_passes(findings, trials, False))


def _form_trials(findings: Findings, family: Family, form: PacketForm) -> list[FormTrial]:
    """All that were made."""
    seen = [each for each in findings.measurement.observations if isinstance(each, FormTrial)]
    return [each for each in seen if (each.family, each.form) == (family, form)]


def _passes(findings: Findings, trials: list[FormTrial], outward: bool) -> bool | None:
    """One that arrived proves it. Silence counts where chance cannot explain it, and if the server is known
    to take such packets."""
    tried = [each for each in trials if each.outward == outward]
    if any(each.outcome == "passed" for each in tried):
        return True
    silent = any(each.outcome == "silent" and each.able and _conclusive(findings, each) for each in tried)
    return False if silent else None


def _conclusive(findings: Findings, trial: FormTrial) -> bool:
    """Outwards two fragments have to arrive, and an answer: on a path that loses packets a copy counts half
    as much."""
    path = findings.by_path.get(("udp", trial.family))
    if path is None or not path.path.loss.sent:
        return False
    loss = path.path.loss
    halved = trial.outward and bool(loss.lost)
    return loss.conclusive(trial.sent // 2 if halved else trial.sent)


def form_unknowns(findings: Findings) -> dict[str, Reason]:
    """Why it is not known of IPv6, and what would settle it."""
    found: dict[str, Reason] = {}
    forms: tuple[tuple[PacketForm, str], ...] = (
        ("fragments", "fragments"),
        ("destination-options", "extension_headers"),
    )
    for form, name in forms:
        trials = _form_trials(findings, 6, form)
        for outward, way in ((True, "outbound"), (False, "inbound")):
            of_way = [each for each in trials if each.outward == outward]
            if of_way and _passes(findings, of_way, outward) is None:
                found[f"{name}.{way}"] = _why(of_way[0])
    return found


def _why(trial: FormTrial) -> Reason:
    if trial.outcome == "not tried":
        return (statement("ipv6-form-untried", detail=trial.detail),)
    return (statement("ipv6-maybe-loss" if trial.able else "ipv6-form-server"),)
