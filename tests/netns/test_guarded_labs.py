"""The guard of the tests lets a lab's own packets pass: nothing of them leaves its namespaces."""

from __future__ import annotations

import errno
import threading

import pytest
from guard import Guard

from nattools.errors import CannotRun
from nattools.lab.netns import namespaces
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import HostSpec, Scenario
from nattools.model.endpoint import Endpoint

pytestmark = pytest.mark.netns


def test_a_labs_namespaces_are_free(guard: Guard) -> None:
    scenario = Scenario(title="one host", host={"alice": HostSpec()})

    async def main() -> None:
        alice = await lab.network("alice").open_udp(family=4)
        assert alice.send(b"?", Endpoint("11.201.0.2", 3478)) is None
        alice.close()

    with NetnsLab(scenario) as lab:
        lab.run(main)
    assert guard.refused == []


@pytest.mark.parametrize("threads", [True, False])
def test_who_has_threads_is_told_that_it_is_those(threads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says no more than that an argument is invalid."""

    def refused() -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(namespaces, "unshare_user", refused)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    if threads:
        thread.start()
    try:
        with pytest.raises(CannotRun, match="threads" if threads else "may not create") as raised:
            namespaces._become_root_of_own()
        assert ("before it starts any" in raised.value.remedy) is threads
    finally:
        done.set()
        if threads:
            thread.join()
