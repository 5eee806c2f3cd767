"""Generate docs/states from the transition tables of the core: one diagram and one table for each machine.

Decides: how a machine is drawn. Never: its transitions (core/rounds/table.py). Usage: python -m tools.states
"""

from dataclasses import dataclass

from podium.core.rounds import table as tables
from tools.pages import Pages, table, write

NOTE = "<!-- generated from src/podium/core/rounds/table.py by `make docs`; do not edit -->\n"


@dataclass(frozen=True)
class Machine:
    """One state machine; the first of `states` is where it begins."""

    name: str
    states: tuple[str, ...]
    events: tuple[str, ...]
    rows: dict[tuple[str, str], str]


MACHINES = (
    Machine("run", tables.RUN_STATES, tables.RUN_EVENTS, tables.RUN_TABLE),
    Machine("round", tables.ROUND_STATES, tables.ROUND_EVENTS, tables.ROUND_TABLE),
    Machine("lease", tables.LEASE_STATES, tables.LEASE_EVENTS, tables.LEASE_TABLE),
)


def diagram(machine: Machine) -> str:
    """A Mermaid state diagram (stateDiagram-v2); a state that nothing leaves is an end."""
    left = {state for state, _ in machine.rows}
    lines = ["stateDiagram-v2", f"    [*] --> {machine.states[0]}"]
    lines += [f"    {state} --> {target}: {event}" for (state, event), target in machine.rows.items()]
    lines += [f"    {state} --> [*]" for state in machine.states if state not in left]
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def page(machine: Machine) -> str:
    """The machine's page: the diagram, then every (state, event) pair; an empty cell is a typed refusal."""
    left = {state for state, _ in machine.rows}
    rows = [
        (f"`{state}`", *(machine.rows.get((state, event), "") for event in machine.events))
        for state in machine.states
        if state in left
    ]
    ends = ", ".join(f"`{state}`" for state in machine.states if state not in left)
    return (
        f"{NOTE}# States of a {machine.name}\n\n{diagram(machine)}\n"
        f"Each row is a state, each column an event, each cell the next state. "
        f"An empty cell cannot happen: it is refused and changes nothing.\nEnds: {ends}.\n\n"
        + table(("", *machine.events), rows)
    )


def pages() -> Pages:
    """Every page of docs/states."""
    index = f"{NOTE}# State machines\n\n" + "".join(f"- [{each.name}]({each.name}.md)\n" for each in MACHINES)
    return {"docs/states/README.md": index} | {f"docs/states/{each.name}.md": page(each) for each in MACHINES}


if __name__ == "__main__":
    write(pages())
