"""What has changed from one report to a later one, and what that means."""

from __future__ import annotations

SENTENCES = {
    # as a whole
    "diff-same-in-common": (
        "In what both {one} and {other} measure nothing has changed; the rest cannot be compared."
    ),
    "diff-same": "Nothing has changed beyond the usual difference between two measurements.",
    "diff-other-network": (
        "These were measured in different networks ({what}): what differs may follow from that."
    ),
    "diff-other-nat": "Another NAT, or one with other settings: it behaves differently.",
    "diff-other-address": "A new outside address from the same NAT: peers need the new one.",
    "diff-opened": "More works than before.",
    "diff-closed": "Less works than before.",
    "diff-slower": "The connection is worse: it loses more, or is slower.",
    "diff-faster": "The connection is better: it loses less, or is faster.",
    "diff-else": "Some things have changed.",
    # one by one
    "diff-nothing-answers": "Nothing outside answers any more. {text}",
    "diff-answers-again": "Servers outside answer again. Before: {text}",
    "diff-ends-otherwise": "Nothing outside answers, for another reason. Before: {before} Now: {after}",
    "diff-works-now": "{technique:protocol} works now.",
    "diff-works-no-more": "{technique:protocol} no longer works.",
    "diff-router": "The default router was {before}, and is {after}.",
    "diff-interface": "It was measured through {before}, and is through {after}.",
    "diff-own-address": "This machine's address was {before}, and is {after} now.",
    "diff-outside-address": "From outside this machine was {before}, and is {after}.",
    "diff-behaviour": "{lane}, {what}: {before} before, {after} now.",
    "diff-lifetime": "{lane}: an idle mapping lived {before}, and lives {after}.",
    "diff-loss": "{lane}: {before:percent} of the packets were lost, and now {after:percent}.",
    "diff-round-trip": "{lane}: a round trip took {before:ms}, and takes {after:ms}.",
    "diff-relay": "The relay {uri} over {transport:upper} {after}.",
    "diff-relay-round-trip": (
        "Through the relay {uri} over {transport:upper} a round trip took {before:ms}, and takes {after:ms}."
    ),
    "diff-connection": "The connection, {what}: {before} before, {after} now.",
    "diff-warned": "New: {text}",
    "diff-warned-no-more": "Gone: {text}",
    "diff-section": "{what:compared}: {before} before, {after} now.",
    # what cannot be compared
    "diff-redacted": (
        "Addresses and names are pseudonyms in one of them, or in both by themselves, and were not compared: "
        "they agree where the originals are redacted with the same --salt and the same other options."
    ),
    "diff-unknown-now": "{what}: {before} before, not known now.",
    "diff-known-now": "{what}: not known before, {after} now.",
}
