"""What a watch tells, beside what has changed from one measurement to the next."""

from __future__ import annotations

SENTENCES = {
    "watch-began": "Watching: {what}.",
    "watch-offline": "Nothing can be measured: {why}.",
    "watch-online": "Measuring works again, after {seconds:about}.",
    "watch-woke": "This machine slept for {seconds:about}. Measuring again.",
    "watch-resumed": "This program was stopped for {seconds:about}. Measuring again.",
    "watch-server-gone": "{server} ({address}) no longer answers.",
    "watch-server-back": "{server} ({address}) answers again.",
    "watch-flow-died": (
        "The NAT ended a mapping that was in use: after {seconds:about} a busy flow to {server} got no more "
        "answers, and a new one gets them."
    ),
    "watch-flow-moved": (
        "The NAT changed a mapping that was in use: after {seconds:about} it is {after}, and was {before}."
    ),
}
