"""Mutants of transition tables: each row dropped, and each row's target swapped for every other state.

Decides: which mutants there are, how one is named, and how it is put into a table. Never: whether it is caught
(hunt.py). A name is "<machine>:<state>:<event>-><target>", or ends in "->" when the row is dropped.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

Rows = dict[tuple[str, str], str]
VARIABLE = "PODIUM_MUTANT"
"""The environment variable that tests/conftest.py, and nothing of the product, reads."""

NAME = re.compile(r"(\w+):([\w-]+):([\w-]+)->([\w-]*)")


@dataclass(frozen=True)
class Mutant:
    """One wrong row of one machine's table; `target` is "" when the row is dropped."""

    machine: str
    state: str
    event: str
    target: str

    @property
    def name(self) -> str:
        """The mutant as `parse` reads it."""
        return f"{self.machine}:{self.state}:{self.event}->{self.target}"

    def put_into(self, rows: Rows) -> None:
        """Make `rows` wrong, in place, so that whoever imported the table sees it; KeyError without such a row."""
        del rows[self.state, self.event]
        if self.target:
            rows[self.state, self.event] = self.target


def parse(name: str) -> Mutant:
    """The mutant of that name; ValueError if it is none."""
    match = NAME.fullmatch(name)
    if not match:
        raise ValueError(f"{name!r} names no mutant; such as lease:HELD:reported->LAPSED")
    return Mutant(*match.groups())


def mutants(machine: str, states: tuple[str, ...], rows: Rows) -> Iterator[Mutant]:
    """Every mutant of one table: per row one that is dropped and `len(states) - 1` that lead astray."""
    for (state, event), right in rows.items():
        yield Mutant(machine, state, event, "")
        yield from (Mutant(machine, state, event, wrong) for wrong in states if wrong != right)
