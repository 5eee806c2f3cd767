"""The ratchet: the breaches that exist today, by rule and place. It may only shrink.

Decides: whether what the rules found is what ratchet.json owns up to. Never: raises an entry; `--lower` writes the
smaller figures after somebody has mended something: python -m tests.tidy.rules.ratchet --lower
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.tidy.rules.sources import Finding

FILE = Path(__file__).resolve().parents[1] / "ratchet.json"
SIZED = frozenset({"file-lines", "function-lines", "class-lines", "parameters", "nesting", "silencer"})
"""Rules whose finding is one size per place; the others' findings are counted per place."""

Levels = dict[str, dict[str, int]]


def levels(findings: Iterable[Finding]) -> Levels:
    """Rule -> place -> how bad it is."""
    counts: dict[str, Counter[str]] = {}
    for each in findings:
        of_rule = counts.setdefault(each.rule, Counter())
        of_rule[each.where] = max(of_rule[each.where], each.value) if each.rule in SIZED else of_rule[each.where] + 1
    return {rule: dict(sorted(places.items())) for rule, places in sorted(counts.items())}


def complaints(findings: Iterable[Finding], owned: Levels) -> list[str]:
    """One line for each breach above its ratchet entry and for each entry that could be lower; [] if all is well."""
    found = list(findings)
    now = levels(found)
    worse = [each for each in found if now[each.rule][each.where] > owned.get(each.rule, {}).get(each.where, 0)]
    lines = [f"{each.rule}: {each.where}: {each.message}" for each in worse]
    for rule, places in owned.items():
        for where, level in places.items():
            better = now.get(rule, {}).get(where, 0)
            if better < level:
                lines.append(f"{rule}: {where}: the ratchet says {level}, it is {better}: lower it")
    return lines


def lowered(owned: Levels, now: Levels) -> Levels:
    """`owned` with each entry as low as `now` allows; entries at 0 are gone, none is raised or added."""
    lower = {
        rule: {where: min(level, now.get(rule, {}).get(where, 0)) for where, level in places.items()}
        for rule, places in owned.items()
    }
    kept = {rule: {where: level for where, level in places.items() if level} for rule, places in lower.items()}
    return {rule: places for rule, places in kept.items() if places}


def read() -> Levels:
    """What ratchet.json holds."""
    owned: Levels = json.loads(FILE.read_text())
    return owned


if __name__ == "__main__":
    from tests.tidy.rules.everything import findings

    if sys.argv[1:] != ["--lower"]:
        sys.exit("usage: python -m tests.tidy.rules.ratchet --lower")
    FILE.write_text(json.dumps(lowered(read(), levels(findings())), indent=2) + "\n")
