"""What is tried again of a scenario on a real clock."""

from __future__ import annotations

from scenariotrials import with_longer_times


def test_only_the_greatest_times_are_others() -> None:
    expected = {
        "nat": {"udp4": {"rtt_ms": {"min": 16, "max": 60}, "loss": {"max": 0.3}, "mapping": "unknown"}},
        "relays": [{"rank": "<= 2", "rtt_ms": {"median": {"min": 18, "max": 60}}, "direct_rtt_ms": ">= 9"}],
        "elapsed_s": {"max": 1},
        "binding_lifetime_s": {"min": 28, "max": 32},
        "warnings_contain": ["VPN"],
    }
    assert with_longer_times(expected) == {
        "nat": {"udp4": {"rtt_ms": {"min": 16, "max": 600}, "loss": {"max": 0.3}, "mapping": "unknown"}},
        "relays": [{"rank": "<= 2", "rtt_ms": {"median": {"min": 18, "max": 600}}, "direct_rtt_ms": ">= 9"}],
        "elapsed_s": {"max": 10},
        "binding_lifetime_s": {"min": 28, "max": 32},
        "warnings_contain": ["VPN"],
    }
