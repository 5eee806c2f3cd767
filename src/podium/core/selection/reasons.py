"""Why a device that checked in got nothing: a closed list of reason codes that scales to columns.

An int16 column holds the index into `REASONS`; the clauses of a rule are counted apart, by clause text.
"""

REASONS: tuple[str, ...] = (
    "offered",  # a lease: not a refusal
    "reserved",  # a seat is kept; come back in the window
    "no-task",  # no run wants devices now
    "full",  # eligible, but every seat is taken
    "banned",
    "kind",  # lacks the plan
    "dataset",  # lacks a dataset or holds too few examples
    "requires",  # a hard rule is false
    "when",  # a momentary rule is false
    "unknown-fact",  # a rule names a fact the device did not tell
    "separation",  # took part too recently
    "round-done",  # took part in this round already
    "epoch",  # the session is not the one known here: a new one is needed
    "cordoned",  # an operator keeps it from new leases
    "paused",  # every run is paused
    "frozen",  # an operator froze the plane
    "spent",  # took part in this run as often as it may
    "budget",  # has spent what it may on this task today or this month
    "region",  # is in none of the task's regions
    "privacy",  # the run has spent its privacy budget
    "backoff",  # lost its last leases one after the other
)
CODE: dict[str, int] = {name: index for index, name in enumerate(REASONS)}
DECLINES: tuple[str, ...] = ("battery", "metered", "thermal", "schedule", "busy", "private")
"""What a device may say when it declines; every private ground is the one word `private`."""
