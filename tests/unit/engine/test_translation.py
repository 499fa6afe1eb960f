"""How a measurement comes to IPv4 where there is none."""

from __future__ import annotations

from nattools.engine.measurement import learn_translation
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import new_run
from nattools.lab.scenariofiles import load
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Family
from nattools.model.serveruri import parse_server
from nattools.net.translated import TranslatedNetwork

SERVER = (parse_server("stun:stun:3478"),)


def learnt(network: TranslatedNetwork, lab: SimLab, families: tuple[Family, ...] = (4, 6)) -> str | None:
    async def work() -> None:
        run = new_run(network, MeasureOptions("nat", SERVER, families=families), lambda event: None)
        assert run.network is network
        await learn_translation(run)
        await learn_translation(run)
        assert [each.probe for each in run.recorder.observations] in ([], ["nat64"])

    lab.run(work)
    return None if network.prefix is None else str(network.prefix)


def test_a_network_that_has_another_prefix_now() -> None:
    """A machine that has moved, or a provider that renumbers: each run learns anew, for the same network
    object, which mailboxes and tunnels hold."""
    network: TranslatedNetwork | None = None
    for name, prefix in (
        ("nat64", "64:ff9b::/96"),
        ("nat64-own-prefix", "2a10:64:0:100::/56"),
        ("open", None),
    ):
        with SimLab(load(name)) as lab:
            network = network or TranslatedNetwork(lab.network("alice"))
            network.inner = lab.network("alice")
            assert learnt(network, lab) == prefix
            assert len(network.named) == (prefix is not None)


def test_who_asks_for_ipv6_alone_is_not_translated_for() -> None:
    with SimLab(load("nat64")) as lab:
        assert learnt(TranslatedNetwork(lab.network("alice")), lab, (6,)) is None
