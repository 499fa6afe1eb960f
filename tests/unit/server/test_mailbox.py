"""The mailbox's rooms: who gets in, what is passed on, and how they end."""

from __future__ import annotations

from random import Random

import pytest

from nattools.model.endpoint import Endpoint
from nattools.protocols.mailbox import messages as m
from nattools.server.mailbox import Mailbox, MailboxLimits

ALICE, BOB = Endpoint("11.1.0.2", 1), Endpoint("11.1.0.3", 1)


class Peers:
    """Connections to a mailbox by name, and what each was told."""

    def __init__(self, **limits: float) -> None:
        self.mailbox = Mailbox(MailboxLimits(**limits), draw=Random(1))  # type: ignore[arg-type]
        self.now = 0.0
        self.told: dict[str, list[m.FromMailbox]] = {}
        self.gone: list[str] = []
        self._numbers: dict[str, int] = {}

    def connect(self, name: str, source: Endpoint = ALICE) -> None:
        self._numbers[name] = self.mailbox.connect(source)
        self.told[name] = []

    def join(self, name: str, nameplate: int | None = None, *, source: Endpoint = ALICE) -> m.FromMailbox:
        """Connect and join; the first answer."""
        self.connect(name, source)
        self.say(name, m.Join(m.VERSION, member(name), nameplate))
        return self.told[name][0]

    def say(self, name: str, message: m.ToMailbox) -> None:
        self.receive(name, m.encode(message))

    def receive(self, name: str, text: bytes) -> None:
        self._note(self.mailbox.receive(self._numbers[name], text, self.now))

    def lose(self, name: str) -> None:
        self._note(self.mailbox.disconnect(self._numbers[name], self.now))

    def sweep(self) -> None:
        self._note(self.mailbox.sweep(self.now))

    def _note(self, outgoing: list[object]) -> None:
        for number, text, last in outgoing:  # type: ignore[misc]
            name = next(each for each in reversed(self._numbers) if self._numbers[each] == number)
            if text:
                self.told[name].append(m.decode_from_mailbox(text))
            if last:
                self.gone.append(name)


def member(name: str) -> bytes:
    return name.rstrip("'").encode().ljust(16, b".")


def test_two_meet_and_a_third_stays_outside() -> None:
    peers = Peers()
    opened = peers.join("alice")
    assert isinstance(opened, m.Joined)
    assert not opened.present
    assert peers.join("bob", opened.nameplate) == m.Joined(opened.nameplate, True)
    assert peers.told["alice"] == [opened, m.Peer(True)]
    assert peers.join("mallory", opened.nameplate) == m.Closed("taken")
    peers.say("alice", m.PeerMessage(b"to bob"))
    peers.say("bob", m.PeerMessage(b"to alice"))
    assert peers.told["bob"][-1] == m.PeerMessage(b"to bob")
    assert peers.told["alice"][-1] == m.PeerMessage(b"to alice")
    assert peers.gone == ["mallory"]


def test_who_knows_the_code_may_come_first() -> None:
    peers = Peers()
    assert peers.join("bob", 123) == m.Joined(123, False)
    assert peers.join("alice", 123) == m.Joined(123, True)


def test_nameplates_are_short_and_differ() -> None:
    peers = Peers(entry_burst=1000)
    plates = []
    for number in range(60):
        opened = peers.join(f"peer{number}")
        assert isinstance(opened, m.Joined)
        plates.append(opened.nameplate)
    assert len(set(plates)) == 60
    assert max(plates) < 1000
    assert all(plate < 10 for plate in plates[:2])


def test_a_member_comes_back_on_a_new_connection() -> None:
    peers = Peers()
    peers.join("alice", 7)
    peers.join("bob", 7)
    assert peers.join("alice'", 7) == m.Joined(7, True)
    assert peers.told["alice"][-1] == m.Closed("replaced")
    assert peers.gone == ["alice"]
    peers.lose("bob")
    assert peers.told["alice'"][-1] == m.Peer(False)
    peers.say("alice'", m.PeerMessage(b"nobody hears this"))
    assert peers.join("bob'", 7) == m.Joined(7, True)
    assert peers.told["alice'"][-1] == m.Peer(True)
    assert peers.mailbox.rooms == 1


def test_the_place_of_one_who_waited_alone_and_went_is_free() -> None:
    peers = Peers()
    peers.join("alice", 7)
    peers.lose("alice")
    peers.join("again", 7)
    assert peers.join("bob", 7) == m.Joined(7, True)


def test_the_place_of_one_who_met_somebody_is_kept() -> None:
    peers = Peers()
    peers.join("alice", 7)
    peers.join("bob", 7)
    peers.lose("alice")
    assert peers.join("mallory", 7) == m.Closed("taken")


@pytest.mark.parametrize(
    ("parting", "told"), [("done", "left"), ("wrong-code", "wrong-code"), ("failed", "failed")]
)
def test_leaving_ends_the_room_and_uses_the_code_up(parting: m.Parting, told: m.Closing) -> None:
    peers = Peers(used_up_s=600)
    peers.join("alice", 7)
    peers.join("bob", 7)
    peers.say("bob", m.PeerMessage(b"his half"))
    peers.say("bob", m.Leave(parting))
    assert peers.told["alice"][-1] == m.Closed(told)
    assert peers.gone == ["bob", "alice"]
    assert peers.mailbox.rooms == 0
    assert peers.join("mallory", 7) == m.Closed("used-up")
    peers.now = 601
    peers.sweep()
    assert peers.join("others", 7) == m.Joined(7, False)


def test_a_code_that_nobody_met_under_stays_good() -> None:
    peers = Peers()
    peers.join("alice", 7)
    peers.say("alice", m.Leave())
    assert peers.join("again", 7) == m.Joined(7, False)


@pytest.mark.parametrize(("both", "lifetime_s"), [(False, 3600), (True, 43200)])
def test_rooms_have_a_lifetime(both: bool, lifetime_s: float) -> None:
    peers = Peers(waiting_s=3600, lifetime_s=43200)
    peers.join("alice", 7)
    if both:
        peers.join("bob", 7)
    peers.now = lifetime_s - 1
    peers.sweep()
    assert peers.mailbox.rooms == 1
    peers.now = lifetime_s
    peers.sweep()
    assert peers.mailbox.rooms == 0
    assert peers.told["alice"][-1] == m.Closed("expired")


def test_a_room_without_connections_is_kept_for_a_while() -> None:
    peers = Peers(vacant_s=120)
    peers.join("alice", 7)
    peers.join("bob", 7)
    peers.lose("alice")
    peers.lose("bob")
    peers.now = 119
    peers.sweep()
    assert peers.join("alice'", 7) == m.Joined(7, False)
    peers.now = 400
    peers.sweep()
    assert peers.mailbox.rooms == 1
    peers.lose("alice'")
    peers.now = 520
    peers.sweep()
    assert peers.mailbox.rooms == 0


def test_there_are_no_more_rooms_than_allowed() -> None:
    peers = Peers(rooms=2)
    peers.join("alice")
    peers.join("bob", 777)
    assert peers.join("carol") == m.Closed("full")
    assert peers.join("dave", 778) == m.Closed("full")
    assert peers.join("erin", 777) == m.Joined(777, True)


def test_a_full_mailbox_takes_a_room_from_the_network_that_has_many() -> None:
    peers = Peers(rooms=6)
    peers.join("alice", 7)
    for number in range(5):
        peers.join(f"mallory{number}", 100 + number, source=Endpoint(f"2a10:1:1:{number}::2", 1))
    assert peers.join("bob", 8, source=BOB) == m.Joined(8, False)
    assert peers.gone == ["mallory0"]
    assert peers.told["mallory0"][-1] == m.Closed("expired")
    assert peers.mailbox.rooms == 6
    assert peers.join("carol", 7) == m.Joined(7, True)


def test_a_source_opens_so_many_rooms_and_a_site_a_few_times_as_many() -> None:
    peers = Peers(rooms_per_source=2)
    sites = [Endpoint(f"2a10:1:1:{number:x}::2", 1) for number in range(0, 0x2000, 0x80)]
    answers = [peers.join("mallory", source=site) for site in sites for _ in range(3)]
    assert sum(isinstance(answer, m.Joined) for answer in answers) == 8
    assert isinstance(peers.join("alice"), m.Joined)
    assert peers.mailbox.sweep(4000.0)
    peers.now = 4000.0
    assert isinstance(peers.join("later", source=sites[0]), m.Joined)


@pytest.mark.parametrize("parting", ["done", "wrong-code", "failed"])
def test_who_said_nothing_ends_no_conversation(parting: m.Parting) -> None:
    peers = Peers()
    peers.join("alice", 7)
    peers.join("mallory", 7, source=BOB)
    peers.say("alice", m.PeerMessage(b"her half"))
    peers.say("mallory", m.Leave(parting))
    assert peers.told["alice"][-1] == m.Peer(False)
    assert peers.gone == ["mallory"]
    assert peers.join("bob", 7) == m.Joined(7, True)
    peers.say("bob", m.PeerMessage(b"his half"))
    assert peers.told["alice"][-1] == m.PeerMessage(b"his half")


def test_who_says_nothing_does_not_keep_the_seat_of_another() -> None:
    peers = Peers(speaks_within_s=3)
    peers.join("alice", 7)
    peers.join("mallory", 7, source=BOB)
    peers.say("alice", m.PeerMessage(b"her half"))
    peers.now = 2.9
    assert peers.join("early", 7) == m.Closed("taken")
    peers.now = 3.0
    assert peers.join("bob", 7) == m.Joined(7, True)
    assert peers.told["mallory"][-1] == m.Closed("taken")
    assert peers.told["alice"][-1] == m.Peer(True)
    peers.now = 10.0
    peers.say("bob", m.PeerMessage(b"his half"))
    assert peers.join("late", 7) == m.Closed("taken"), "both have spoken"


def test_who_ends_the_conversations_of_others_finds_few_and_codes_become_longer() -> None:
    peers = Peers()
    codes = [peers.join(f"alice{number}") for number in range(3)]
    ended = 0
    for number in range(1, 100):
        peers.join("mallory", number, source=BOB)
        if peers.told["mallory"][-1] == m.Closed("rate"):
            break
        peers.say("mallory", m.PeerMessage(b"a guess"))
        ended += peers.told["mallory"][0] == m.Joined(number, True)
        peers.say("mallory", m.Leave("wrong-code"))
    assert 0 < ended <= len(codes)
    opened = peers.join("carol")
    assert isinstance(opened, m.Joined)
    assert opened.nameplate > 9


def test_joining_others_takes_more_of_the_allowance_than_opening_a_room() -> None:
    peers = Peers(entry_rate=0, entry_burst=30)
    for number in range(20):
        peers.join(f"alice{number}", 100 + number)
    answers = [peers.join("mallory", 100 + number, source=BOB) for number in range(20)]
    assert sum(isinstance(answer, m.Joined) for answer in answers) == 10


def test_guessing_at_rooms_is_slow() -> None:
    peers = Peers(entry_rate=0.5, entry_burst=3)
    answers = [peers.join(f"guess{number}", 100 + number) for number in range(5)]
    assert answers[3:] == [m.Closed("rate")] * 2
    assert peers.join("bob", 1, source=BOB) == m.Joined(1, False), "others are not hindered"
    peers.now = 2.0
    assert peers.join("later", 200) == m.Joined(200, False)


def test_a_talker_is_shown_the_door_and_may_come_back() -> None:
    peers = Peers(message_rate=10, message_burst=20)
    peers.join("alice", 7)
    peers.join("bob", 7)
    for _ in range(20):
        peers.say("alice", m.PeerMessage(b"x"))
    assert len(peers.told["bob"]) == 1 + 19 + 1
    assert peers.told["alice"][-1] == m.Closed("rate")
    assert peers.told["bob"][-1] == m.Peer(False)
    assert peers.join("alice'", 7) == m.Joined(7, True)


def test_pings_count_too() -> None:
    peers = Peers(message_rate=10, message_burst=20)
    peers.connect("alice")
    for _ in range(21):
        peers.receive("alice", b"")
    assert peers.told["alice"] == [m.Closed("rate")]
    assert peers.mailbox.connections == 0


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"\xff",
        m.encode(m.PeerMessage(b"x")),
        m.encode(m.Leave()),
        b'{"type":"join","version":1,"member":"AAAAAAAAAAAAAAAAAAAAAA==","nameplate":0}',
        b'{"type":"join","version":1,"member":"AAAA"}',
        m.encode(m.Joined(1, True)),
    ],
)
def test_what_is_no_message_in_its_place_ends_the_connection(text: bytes) -> None:
    peers = Peers()
    peers.connect("alice")
    peers.receive("alice", text)
    assert peers.told["alice"] == [m.Closed("protocol")]
    assert peers.mailbox.connections == peers.mailbox.rooms == 0


def test_a_second_join_ends_the_connection() -> None:
    peers = Peers()
    peers.join("alice", 7)
    peers.say("alice", m.Join(m.VERSION, member("alice"), 8))
    assert peers.told["alice"][-1] == m.Closed("protocol")


def test_another_version_is_told_so() -> None:
    peers = Peers()
    peers.connect("alice")
    peers.say("alice", m.Join(2, member("alice")))
    assert peers.told["alice"] == [m.Closed("version")]
