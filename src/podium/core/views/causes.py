"""The causes: every reason that a run or a device can be held by, as a table.

Decides: code -> what it means, the sentence about a run, the sentence about a device, and the next steps. Never:
whether a cause applies (explain.py). A sentence's names in braces are filled with what holds for this very run; a step
one of whose names has no value is left out, so that no step is said that would not help. docs/reference/causes.md is
generated from here. Codes are stable.
"""

from collections.abc import Mapping

import msgspec


class CauseKind(msgspec.Struct, frozen=True):
    """One kind of cause. `run`, `device`: the sentence, "" where it is no cause; `next`: steps, the best first."""

    title: str
    run: str
    device: str
    next: tuple[str, ...]


_AGAIN = "or change the task: podium stop {run}, then podium run TASK.toml with {looser}"

CAUSES: dict[str, CauseKind] = {
    # the plane as a whole
    "store-full": CauseKind(
        "the plane's disk is full",
        "the plane's disk is full: nothing is decided until it can write; what it acknowledged is kept",
        "the plane's disk is full: no lease is granted until it can write",
        (
            "free space on the disk of the plane's data directory; the plane tries again by itself within 30 s",
            "then: podium explain {subject}",
        ),
    ),
    "store-failed": CauseKind(
        "the plane's store fails",
        "the plane's store fails ({trouble}): nothing is decided until it can write; what it acknowledged is kept",
        "the plane's store fails ({trouble}): no lease is granted until it can write",
        (
            "look at the disk of the plane's data directory and at plane.log there; the plane reloads by itself",
            "then: podium explain {subject}",
        ),
    ),
    "plane-loading": CauseKind(
        "the plane is starting, reloading or stopping",
        "the plane is starting, reloading or stopping ({trouble}): nothing is decided meanwhile",
        "the plane is starting, reloading or stopping ({trouble}): no lease is granted meanwhile",
        ("ask again in a few seconds: podium explain {subject}",),
    ),
    "frozen": CauseKind(
        "a person froze the plane",
        "the plane was frozen {age} ago by {actor}{why}: no lease is granted",
        "the plane was frozen {age} ago by {actor}{why}: no lease is granted",
        ("podium unfreeze",),
    ),
    "leases-full": CauseKind(
        "the plane has as many live leases as it may",
        "{live} leases are live on the plane, which is its limit: a seat is granted when one ends",
        "",
        ("wait for leases of other runs to end, or: podium pause {other}",),
    ),
    # the run
    "run-finished": CauseKind(
        "the run is over: it did what it was asked for",
        "run {subject} finished {age} ago ({reason}): {sealed} of {rounds} rounds sealed, its version is {version}",
        "",
        ("podium model list --run {subject}",),
    ),
    "run-stopped": CauseKind(
        "the run is over: a person stopped it",
        "run {subject} was stopped {age} ago ({reason}): {sealed} of {rounds} rounds sealed, its version is {version}",
        "",
        ("podium retry {subject}    # goes on from {version}, as a new run",),
    ),
    "run-timed-out": CauseKind(
        "the run is over: its deadline passed",
        "run {subject} reached its deadline of {deadline} {age} ago: {sealed} of {rounds} rounds sealed, its version "
        "is {version}",
        "",
        ("podium retry {subject}    # goes on from {version}, as a new run with {deadline} more",),
    ),
    "run-abandoned": CauseKind(
        "the run is over: too many of its rounds in a row were abandoned",
        "run {subject} was abandoned {age} ago: {abandoned} rounds in a row were, the last one ({round}) {reason}; "
        "{sealed} of {rounds} rounds sealed, its version is {version}",
        "",
        (
            "mend what holds devices back, {listed}, until {need} may take part; now {fit} may",
            "podium retry {subject}    # goes on from {version}, as a new run",
        ),
    ),
    "task-refused": CauseKind(
        "the run is over, and this release takes its task no longer",
        "run {subject} is over ({ended}: {reason}), and its task is refused now: {refused}",
        "",
        ("change the task, then: podium run TASK.toml",),
    ),
    "shape-drift": CauseKind(
        "leases of a run end otherwise than they did",
        "what becomes of its leases has changed: over the newest {rounds_new} rounds {shape} is {share_new} of them, "
        "before it was {share_before} (stability index {index}, above {limit})",
        "",
        (
            "podium device list    # the last failures, if {shape} ends in one",
            "podium watch {run}    # see whether it passes",
        ),
    ),
    "run-aborted": CauseKind(
        "the run is over: one kind of failure reached its share of round.abort",
        "run {subject} was abandoned {age} ago ({reason}): {lost} of {ended} leases {kind}, {share} were allowed; "
        "{sealed} of {rounds} rounds sealed, its version is {version}",
        "",
        (
            "podium audit list -l kind=lease-{kind}    # which devices, when and why",
            "podium retry {subject}    # goes on from {version}, as a new run, once that is mended",
        ),
    ),
    "frozen-meanwhile": CauseKind(
        "the plane was frozen while rounds of the run were open",
        "the plane was frozen while {rounds_frozen} went on: no device got a lease then, so what was lost there is not "
        "its devices' doing",
        "",
        ("podium audit list -l kind=plane-frozen    # who froze it, when and why",),
    ),
    "pausing": CauseKind(
        "the run comes to rest",
        "a person paused run {subject}: it comes to rest once round {round} ended",
        "",
        ("podium resume {subject}",),
    ),
    "paused": CauseKind(
        "the run is paused",
        "a person paused run {subject} {age} ago: it grants no lease, and its deadlines stand still",
        "run {run} is paused: it grants no lease",
        ("podium resume {run}",),
    ),
    # the round goes on by itself
    "preparing": CauseKind(
        "the round's upload key and signed manifest are being made",
        "{have} of {need} devices are there; the plane makes the upload key and the signed manifest of round {round}",
        "",
        ("wait a few seconds; if this stays, plane.log in the plane's data directory says what fails",),
    ),
    "window-preparing": CauseKind(
        "a buffered round's upload key and signed manifest are being made",
        "the plane makes the upload key and the signed manifest of round {round}, which has {have} of {need} reports "
        "already",
        "",
        ("wait a few seconds; if this stays, plane.log in the plane's data directory says what fails",),
    ),
    "starting": CauseKind(
        "the round has its minimum and is about to start",
        "{have} devices are there, {need} are enough: round {round} starts within {settle}",
        "",
        ("wait {settle}",),
    ),
    "waiting-for-reports": CauseKind(
        "devices are at work",
        "{n} at work on round {round}: {have} of {need} reports are stored, {left} until its deadline{over}",
        "",
        (
            "wait: round {round} closes with the report that makes {need}, or in {left} with at least {minimum}",
            "podium watch {subject}",
        ),
    ),
    "being-checked": CauseKind(
        "stored updates are being checked",
        "{n} with an update for round {round} that the plane opens and checks",
        "",
        ("wait a few seconds; if this stays, plane.log in the plane's data directory says what fails",),
    ),
    "aggregating": CauseKind(
        "the round is being aggregated",
        "{have} accepted updates of round {round} are made into the next version",
        "",
        ("wait a few seconds; if this stays, plane.log in the plane's data directory says what fails",),
    ),
    "returning": CauseKind(
        "devices that may take part come back for their seat",
        "{n} that may take part in round {round}, back within {window}",
        "run {run} may take it: it comes back within {window}",
        ("wait {window}",),
    ),
    "not-checked-in": CauseKind(
        "connected devices are yet to check in for this round",
        "{n} connected, but yet to check in for round {round}, which they are due to within {window} ({examples})",
        "run {run} may take it: it is connected, and due to check in for round {round} within {window}",
        ("wait {window}; if this stays, look at the agent on {examples}",),
    ),
    # the devices
    "too-few-enrolled": CauseKind(
        "the population is smaller than a round needs",
        "{n} missing: {enrolled} enrolled, round {round} needs {need}",
        "",
        (
            "podium device token --uses {count}    # then, on each new device: podium device enroll TOKEN --state DIR, "
            "podium device run --state DIR",
            _AGAIN,
        ),
    ),
    "not-connected": CauseKind(
        "enrolled devices are not heard",
        "{n} not heard within {horizon} ({examples})",
        "it is not connected: {heard}",
        ("podium device run --state DIR    # on {examples}", _AGAIN),
    ),
    "cordoned": CauseKind(
        "a person keeps devices from new leases",
        "{n} cordoned ({examples})",
        "it is cordoned: a person keeps it from new leases",
        ("podium device uncordon {ids}", _AGAIN),
    ),
    "banned": CauseKind(
        "a person banned devices",
        "{n} banned ({examples})",
        "it is banned: it may not open a session",
        ("podium device unban {ids}    # if they were banned by mistake", _AGAIN),
    ),
    "at-work-elsewhere": CauseKind(
        "devices work for another run",
        "{n} at work in another run: {others}",
        "it works in another run: {others}",
        ("wait until they have reported, or let no new ones go there: podium pause {other}", _AGAIN),
    ),
    "separation": CauseKind(
        "devices took part too recently",
        "{n} that took part less than {separation} ago (select.separation): the first is free in {first_free}, enough "
        "are in {enough_free}",
        "run {run} wants {separation} between two trainings (select.separation): it is free in {first_free}",
        ("wait {enough_free}", _AGAIN),
    ),
    "times-spent": CauseKind(
        "devices took part in the run as often as they may",
        "{n} that took part {times} times (select.fairness.times_max)",
        "run {run} takes a device {times} times at most (select.fairness.times_max), and it was",
        ("podium device token --uses {count}    # for other devices", _AGAIN),
    ),
    "budget-spent": CauseKind(
        "devices have spent what they may on the task",
        "{n} with nothing left of select.budgets: {budgets}",
        "task of run {run} lets a device spend {budgets} (select.budgets), and it has",
        ("wait: a day of the plane's clock for trainings and energy, 30 days for bytes", _AGAIN),
    ),
    "backoff": CauseKind(
        "devices lost their last leases one after the other",
        "{n} left alone, whose last {losses} leases or more were lost ({examples}): the first is tried again in "
        "{first_free}",
        "its last {losses} leases of run {run} were lost: it is tried again in {first_free}",
        ("podium device logs {first}    # what failed there", "wait {first_free}"),
    ),
    "region": CauseKind(
        "devices are in none of the task's regions",
        "{n} outside {regions} (select.regions; they have {values})",
        "run {run} wants devices in {regions} (select.regions); it has {values}",
        ("podium device token --label region=REGION    # for other devices: labels are the token's", _AGAIN),
    ),
    "privacy-spent": CauseKind(
        "the run has spent its privacy budget",
        "run {subject} has spent its privacy budget: no device takes part any more",
        "run {run} has spent its privacy budget",
        ("podium stop {run}",),
    ),
    "tries-spent": CauseKind(
        "devices used up their tries in this round",
        "{n} out of tries in round {round}: {outcomes}",
        "it may take no further lease in round {round} of run {run}: {outcomes}",
        (
            "podium device logs {failed}    # what failed there",
            "wait for the next round, where they may try again: this one ends in {left}",
            _AGAIN,
        ),
    ),
    "plan-missing": CauseKind(
        "devices do not offer the plan",
        "{n} without the plan {plan} (they offer {values})",
        "run {run} wants the plan {plan}; it offers {values}",
        ("install the package of {plan} on {examples}, then: podium device run --state DIR --plan {plan}", _AGAIN),
    ),
    "plan-digest": CauseKind(
        "devices hold another build of the plan",
        "{n} with another build of {plan}: {digest} is asked for (they have {values})",
        "run {run} wants {plan} as {digest}; it has {values}",
        (
            "install the build {digest} of {plan} on {examples}, then start the agent again",
            _AGAIN,
        ),
    ),
    "dataset": CauseKind(
        "devices lack a dataset, or hold too few examples",
        "{n} without the data asked for: {datasets} (they tell {values})",
        "run {run} wants {datasets}; it tells {values}",
        ("give {examples} the data, then: podium device run --state DIR --dataset SPEC", _AGAIN),
    ),
    "requires-false": CauseKind(
        "a clause of select.requires is false for devices",
        "{n} with `{clause}` false (they have {values})",
        "run {run} requires `{clause}`; it has {values}",
        (
            "make `{clause}` true on {agents}, then start the agent again: such facts are told once a session",
            "podium device token --site SITE --label NAME=VALUE    # for other devices: {enrolment}",
            _AGAIN,
        ),
    ),
    "requires-unknown": CauseKind(
        "devices do not tell a fact that select.requires names",
        "{n} without a fact that `{clause}` names (they have {values})",
        "run {run} requires `{clause}`; it does not tell what that names (it has {values})",
        (
            "let the agent on {agents} tell that fact, then start it again: such facts are told once a session",
            "podium device token --site SITE --label NAME=VALUE    # for other devices: {enrolment}",
            _AGAIN,
        ),
    ),
    "when-false": CauseKind(
        "a clause of select.when is false for devices now",
        "{n} with `{clause}` false now (they tell {values})",
        "run {run} wants `{clause}`; it tells {values}",
        ("make `{clause}` true on {examples}: they are asked again within {window}", _AGAIN),
    ),
    "when-unknown": CauseKind(
        "devices do not tell a momentary fact that select.when names",
        "{n} without a fact that `{clause}` names (they tell {values})",
        "run {run} wants `{clause}`; it does not tell what that names",
        ("let the agent on {examples} tell that fact: they are asked again within {window}", _AGAIN),
    ),
    # one device
    "at-work": CauseKind(
        "the device works",
        "",
        "it works: lease {lease} has been {state} for {age}, and lapses in {left} unless it moves",
        ("podium explain {run}",),
    ),
    "reserved": CauseKind(
        "a seat is kept for the device",
        "",
        "run {run} counts on it: round {round} starts with {have} of {need} devices",
        ("podium explain {run}",),
    ),
    "contributed": CauseKind(
        "the device has done its part of this round",
        "",
        "it has reported for round {round} of run {run}; the next round may take it again",
        ("podium explain {run}",),
    ),
    "seats-taken": CauseKind(
        "every seat of the round is taken",
        "",
        "it may take part in run {run}, but every seat of round {round} is taken",
        ("podium explain {run}",),
    ),
    "no-run": CauseKind(
        "no run wants devices",
        "",
        "no run wants devices now; it comes back within {window}",
        ("podium run TASK.toml",),
    ),
    "failed-last": CauseKind(
        "the device told of a failure",
        "",
        "its last failure: {failure}",
        ("podium device logs {subject}",),
    ),
    "claims-contradicted": CauseKind(
        "the device tells of its line what the plane measured otherwise",
        "",
        "what it tells of its line contradicts what the plane measured, since {age}: {held}; rules, preferences and "
        "strategies see that value",
        (
            "mend the probe that gives the number: podium device show {subject} tells what was measured",
            "if its line is another now, its next leases teach the plane that",
        ),
    ),
}


def sentence(template: str, facts: Mapping[str, object]) -> str:
    """`template` with its names filled; "" if one of them has no value in `facts`."""
    try:
        return template.format_map(facts)
    except KeyError:
        return ""
