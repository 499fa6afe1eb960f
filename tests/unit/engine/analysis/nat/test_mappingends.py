"""Answers between which an ICMP error may have ended the NAT's mapping are not compared; and ports that
are the same, or in order, by chance alone prove nothing."""

from __future__ import annotations

from typing import Any

from nattools.engine.analysis.evidence import PathEvidence, gather
from nattools.engine.analysis.nat.allocation import allocation
from nattools.engine.analysis.nat.externals import ExternalAddresses, external
from nattools.engine.analysis.nat.mapping import MappingFinding, mapping
from nattools.model.nat import MappingBehaviour
from nattools.model.observation import Binding
from nattools.net.addresses import is_public

OWN = "10.0.1.2:40000"


def asked(number: int, of: str, port: int | None, *, copy_s: float = 0.0, **more: Any) -> Binding:
    """A question from one own port at 1 s; `port` is what the server saw."""
    given: dict[str, Any] = {
        "purpose": "mapping", "local": OWN, "outcome": "answered" if port else "refused",
        "mapped": f"11.1.0.2:{port}" if port else None, "received": 1 if port else 0,
        "waited_s": 0.25, "rtt_s": 0.08 if port else None,
    }  # fmt: skip
    return Binding(
        id=number, probe="mapping", at_s=1.0, transport="udp", family=4, asked=of, copy_s=copy_s,
        **(given | more),
    )  # fmt: skip


def path_of(*bindings: Binding) -> PathEvidence:
    return gather((), bindings, is_public)["udp", 4]


def outside_of(path: PathEvidence) -> ExternalAddresses:
    return external(path, gather((), (), is_public)["tcp", 4])


def found(*bindings: Binding) -> MappingFinding:
    path = path_of(*bindings)
    return mapping(path, outside_of(path), nat=True)


def moved(*, refused: bool) -> MappingBehaviour:
    """Two were asked at once; the first copies to two others were lost, and these saw another port."""
    claimed = (asked(9, "11.202.0.2:3479", None),) if refused else ()
    return found(
        asked(1, "11.201.0.2:3478", 7428),
        asked(2, "11.201.0.3:3478", 7428),
        asked(3, "11.201.0.2:3479", 7508, copy_s=0.14),
        asked(4, "11.201.0.3:3479", 7508, copy_s=0.14),
        *claimed,
    ).value


def test_a_refusal_between_two_answers_may_have_ended_the_mapping() -> None:
    assert moved(refused=True) == "unknown"
    assert moved(refused=False) == "address-and-port-dependent"


def test_what_was_asked_at_once_is_compared_whatever_is_refused() -> None:
    seen = [asked(number, f"11.20{number}.0.2:3478", 7000 + 40 * number) for number in (1, 2)]
    refused = asked(9, "11.202.0.2:3479", None)
    assert found(*seen, asked(3, "11.201.0.2:3479", 7300), refused).value == "address-and-port-dependent"


def test_an_error_to_another_port_of_ours_ends_nothing() -> None:
    elsewhere = asked(9, "11.202.0.2:3479", None, local="10.0.1.2:40001")
    one, other = asked(1, "11.201.0.2:3478", 7428), asked(2, "11.201.0.2:3479", 7508, copy_s=0.14)
    assert found(one, other, elsewhere).by_port is True
    assert found(one, other, asked(9, "11.202.0.2:3479", None)).by_port is None


def of_three(*ports: int) -> MappingFinding:
    """Two of three servers saw the same port, and fresh own ports were given these."""
    fresh = [
        asked(10 + number, "11.201.0.2:3478", port, purpose="allocation", local=f"10.0.1.2:{41000 + number}")
        for number, port in enumerate(ports)
    ]
    seen = {"11.201.0.2:3478": 40329, "11.202.0.2:3478": 40397, "11.203.0.2:3478": 40329}
    return found(*(asked(number, of, port) for number, (of, port) in enumerate(seen.items(), 1)), *fresh)


def test_two_of_three_agree_by_chance_where_ports_are_few() -> None:
    few = of_three(40414, 40250, 40205, 40024, 40276, 40164, 40286, 40417)
    assert (few.value, few.reason[0].code) == ("unknown", "mapping-few-ports")
    many = of_three(1414, 60250, 20205, 40024, 30276, 50164, 11286, 5417)
    assert many.value == "endpoint-independent"
    counter = of_three(40401, 40402, 40403, 40404, 40405, 40406, 40407, 40408)
    assert counter.value == "endpoint-independent"


def given(ports: list[int], lost: tuple[int, ...]) -> tuple[str, int | None]:
    """What is said of fresh own ports that were given these; of some a copy was lost."""
    path = path_of(
        *(
            asked(
                number, "11.201.0.2:3478", port, purpose="allocation", local=f"10.0.1.2:{41001 + 2 * number}",
                sent=2 if number in lost else 1,
            )
            for number, port in enumerate(ports)
        )
    )  # fmt: skip
    told = allocation(path, outside_of(path), nat=True, varies=False)
    return told.value, told.step


def test_a_few_of_a_port_set_that_fall_are_no_counter() -> None:
    ports = [64163, 42387, 30195, 37859, 48387, 36787, 20403, 35203, 27267, 25635, 1107, 60851, 32643]
    assert given(ports, lost=(0, 1, 2, 4, 6, 10, 11, 12)) == ("random", None)


def test_a_counter_by_sixteen_is_one_though_some_are_lost() -> None:
    ports = [40000 + 16 * number for number in range(12)]
    ports[3], ports[9] = 40000 + 16 * 12, 40000 + 16 * 13
    assert given(ports, lost=(3, 9)) == ("sequential", 16)
