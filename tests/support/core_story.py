"""A drive that writes down what happens, one readable block a step, for transcripts that reviewers read as a diff.

A block is: when and what was told; `+` a record, with the states its rows went to; `>` a send; `wake` when it changed.
"""

import itertools
from collections.abc import Iterator

from podium.core.effects import (
    Answer,
    AnySend,
    CheckinAnswers,
    EndLease,
    EndRound,
    FinishRound,
    JudgeUpdate,
    PrepareRound,
    Record,
    Step,
)
from podium.core.events import (
    AliasMoved,
    AnyEvent,
    Booted,
    CheckedIn,
    DevicesMarked,
    Frozen,
    LeasesTold,
    RunPaused,
    UpdatesJudged,
    VersionReleased,
)
from podium.core.rows import AnyRow, LeaseRow, RoundRow, RunRow
from podium.core.selection.reasons import REASONS
from podium.wire.limits import Limits
from tests.support.core_drive import Drive
from tests.support.core_made import LIMITS

SHOWN = ("run", "round", "reason", "device", "digest", "epoch", "ticket")
"""Fields of an event that a reader wants to see, where it has them; -1 and "" are left out."""


class Teller(Drive):
    """Writes down what is fed once `telling`."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        super().__init__(limits)
        self.lines: list[str] = []
        self.telling = False

    def feed(self, event: AnyEvent) -> Step:
        """One step, written down."""
        before, wake = dict(self.folded), self.wake_ms
        step = super().feed(event)
        if self.telling:
            self.lines.append(f"{event.at_ms:>9} ms  {said(event)}")
            self.lines += [f"              + {recorded(record, before)}" for record in step.records]
            rows = itertools.count(1)  # a step may answer a batch in parts
            self.lines += [f"              > {line}" for send in step.sends for line in sent(send, rows)]
            if step.wake_ms != wake:
                self.lines.append(f"              wake {step.wake_ms}")
        return step

    def told_windows(self, *devices: int) -> None:
        """`devices` check in, and a note says when each is told to come back."""
        told = self.check_in(*devices)
        ways = (f"device {device} in {each.window_ms} ms" for device, each in zip(devices, told, strict=True))
        self.note(f"told to come back: {', '.join(ways)}")

    def note(self, text: str) -> None:
        """What the reader should know at this place."""
        self.lines += ["", f"# {text}"]


def said(event: AnyEvent) -> str:
    """An event in one line."""
    name = type(event).__name__
    match event:
        case CheckedIn():
            return f"{name} devices {' '.join(str(device) for device in event.device)}"
        case LeasesTold():
            return ", ".join(f"{type(row).__name__} {row.lease} by device {row.device}" for row in event.rows)
        case UpdatesJudged():
            return f"{name} " + ", ".join(f"{each.lease} {each.code or 'good'}" for each in event.verdicts)
        case Booted():
            return f"{name} after {event.down_ms} ms down"
        case DevicesMarked():
            return f"{name} {event.state}{', leases revoked' * event.revoke}: {' '.join(event.devices)}"
        case RunPaused():
            return f"{name} {event.run} {'now' if event.now else 'after its round'}"
        case Frozen():
            return f"{name}{', leases revoked' * event.revoke}"
        case AliasMoved():
            return f"{name} {event.alias} to {event.version}, read at {event.counter}"
        case VersionReleased():
            return f"{name} {event.version}"
    held = {field: getattr(event, field, -1) for field in SHOWN if field != "ticket"}
    return " ".join([name, *(f"{field} {value}" for field, value in held.items() if value not in (-1, ""))])


def recorded(record: Record, before: dict[tuple[str, str], AnyRow]) -> str:
    """A record in one line, with the states that its rows went through; `before` is kept up to date."""
    moves = []
    for row in record.rows:
        if isinstance(row, LeaseRow | RoundRow | RunRow):
            key = (type(row).__name__, row.key())
            old = next((was for (_, name), was in before.items() if name == row.key() and type(was) is type(row)), None)
            was = old.state if isinstance(old, LeaseRow | RoundRow | RunRow) else ""
            if was != row.state:
                moves.append(f"{key[0].removesuffix('Row').lower()} {was or '(new)'} -> {row.state}")
            before[key] = row
    why = " ".join(f"{name}={value}" for name, value in record.why.items())
    by = f"by {record.actor}" if record.actor != "plane" else ""
    told = (f"{record.kind} {record.subject}", by, f"({why})" if why else "", "; ".join(moves))
    return "  ".join(part for part in told if part)


def sent(send: AnySend, rows: Iterator[int]) -> list[str]:
    """A send as lines; check-ins are numbered by `rows`."""
    match send:
        case Answer():
            left = f" for {send.remaining_ms} ms" if send.remaining_ms else ""
            return [f"answer: {send.word or 'refused'}{f' {send.code}' if send.code else ''}{left}"]
        case CheckinAnswers():
            return [f"check-in {next(rows)}: {answered(send, row)}" for row in range(len(send.ticket))]
        case PrepareRound():
            return [f"prepare round {send.run}.{send.round} on {send.base}"]
        case JudgeUpdate():
            return [f"judge the update of {send.lease}"]
        case FinishRound():
            return [f"finish round {send.run}.{send.round} over {' '.join(send.leases)}"]
        case EndRound():
            own = send.round in send.key_rounds
            others = [f"k-{send.run}.{number}" for number in send.key_rounds if number != send.round]
            keys = [*others, *([send.key_id or "(none)"] if own else [])]
            return [f"end round {send.run}.{send.round}, destroy key {' '.join(keys)}" if keys else _kept(send)]
        case EndLease():
            return [f"drop the chunks of {send.lease}"]


def _kept(send: EndRound) -> str:
    return f"end round {send.run}.{send.round}, its key lives on"


def answered(send: CheckinAnswers, row: int) -> str:
    """What one check-in heard."""
    offer, news = send.offers.get(row), send.news.get(row, "")
    what = f"{offer.state} {offer.lease} for {offer.remaining_ms} ms" if offer else REASONS[int(send.reason[row])]
    return f"{what}{f', news: {news}' if news else ''}"
